"""`figures.json` of retrieval: written, and read back with suspicion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation.retrieval_scores import FIRST, PairedDifference, QueryScore, RetrievalFigures
from dff_onnx.evaluation.retrieval_table import Contest, RetrievalRow, RetrievalTable
from dff_onnx.evaluation.scores import SystemUsed
from dff_onnx.evaluation.stored import FIGURES, identity, read_fields, tables_of, text_of, to_json
from dff_onnx.evaluation.system_settings import settings_by_system
from dff_onnx.runs.machine import versions

KIND = "retrieval"
MOST = 2**53


@dataclass(frozen=True, slots=True)
class StoredRetrieval:
    """What a comparison needs of a file.

    Attributes:
        path: of the file.
        dataset: that was searched.
        protocols, systems: their names, in order.
        scores: as they were written.
        fingerprint: of the network, as the file has it; empty where it has none.
        settings: of each system, likewise.
    """

    path: Path
    dataset: str
    protocols: tuple[str, ...]
    systems: tuple[str, ...]
    scores: tuple[QueryScore, ...]
    fingerprint: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]

    def of(self, system: str, protocol: str) -> list[QueryScore]:
        """The scores of one system under one protocol."""
        return [one for one in self.scores if (one.system, one.protocol) == (system, protocol)]


def retrieval_identity(
    dataset: str, fingerprint: Mapping[str, Any] | None, systems: Sequence[SystemUsed]
) -> dict[str, Any]:
    """What two evaluations into one folder must share; see `claimed`."""
    return identity(KIND, dataset, fingerprint, [asdict(system) for system in systems])


def retrieval_json(figures: RetrievalFigures, made: Sequence[RetrievalTable]) -> str:
    """An evaluation with its tables, and of each query the scores that they are made of."""
    fields = retrieval_identity(figures.dataset, figures.fingerprint, figures.systems) | {
        "device": figures.device,
        "versions": versions(),
        "images": figures.images,
        "protocols": list(figures.protocols),
        "places": list(FIRST),
        "notes": list(figures.notes),
        "failures": [asdict(failure) for failure in figures.failures],
        "tables": [
            {
                "protocol": table.protocol,
                "queries": table.queries,
                "rows": [_row(row) for row in table.rows],
                "contest": _contest(table.contest),
            }
            for table in made
        ],
        "queries": [asdict(score) for score in figures.scores],
    }
    return to_json(fields)


def read_retrieval(path: str | Path) -> StoredRetrieval:
    """Reads what `retrieval_json` wrote.

    Args:
        path: of the file, or of the folder that holds it.

    Raises:
        UsageError: when there is no such file.
        RefusedError: naming the file, when it is damaged, of another kind, or says what cannot be.
    """
    path = Path(path)
    path = path / FIGURES if path.is_dir() else path
    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give a {FIGURES} of `dff-onnx eval retrieval`, or its folder")
    fields = read_fields(path)
    try:
        return _stored(path, fields)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}") from error


def _row(row: RetrievalRow) -> dict[str, Any]:
    fields = asdict(row)
    fields["interval"] = None if row.interval is None else [row.interval.low, row.interval.high]
    fields["difference"] = None if row.difference is None else _difference(row.difference)
    return fields


def _contest(one: Contest | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"ours": one.ours, "others": one.others, "difference": _difference(one.difference)}


def _difference(apart: PairedDifference) -> dict[str, Any]:
    ends = [apart.interval.low, apart.interval.high]
    return {"mean": apart.interval.estimate, "interval": ends, "p": apart.p, "queries": apart.queries}


def _stored(path: Path, fields: Mapping[str, Any]) -> StoredRetrieval:
    if fields.get("kind") != KIND:
        raise RefusedError(f"holds no figures of {KIND}; give another file")
    systems = tuple(text_of(one, "name") for one in tables_of(fields, "systems"))
    protocols = fields.get("protocols")
    if not isinstance(protocols, list) or not all(isinstance(one, str) and one.isprintable() for one in protocols):
        raise RefusedError("its protocols are no list of names")
    scores = tuple(_score(one) for one in tables_of(fields, "queries"))
    if len({(score.system, *score.key) for score in scores}) != len(scores):
        raise RefusedError("has a query twice under one system and protocol")
    known = {score.system for score in scores} <= set(systems) and {score.protocol for score in scores} <= set(
        protocols
    )
    if not scores or not known or len(set(systems)) != len(systems):
        raise RefusedError("its queries, its protocols and its systems do not belong together")
    fingerprint = fields.get("fingerprint")
    return StoredRetrieval(
        path=path,
        dataset=text_of(fields, "dataset"),
        protocols=tuple(protocols),
        systems=systems,
        scores=scores,
        fingerprint=fingerprint if isinstance(fingerprint, Mapping) else {},
        settings=settings_by_system(fields["systems"]),
    )


def _score(fields: Mapping[str, Any]) -> QueryScore:
    positives, precisions = fields.get("positives"), fields.get("precisions")
    if isinstance(positives, bool) or not isinstance(positives, int) or not 0 <= positives <= MOST:
        raise RefusedError("positives are no whole number from 0")
    if not isinstance(precisions, list) or len(precisions) != len(FIRST):
        raise RefusedError(f"precisions are no list of {len(FIRST)}")
    figures = [_share(one) for one in (fields.get("ap"), *precisions)]
    if any((figure is None) != (positives == 0) for figure in figures):
        raise RefusedError("a query has a score and nothing to find, or the other way round")
    system, protocol, query = (text_of(fields, key) for key in ("system", "protocol", "query"))
    return QueryScore(system, protocol, query, positives, figures[0], tuple(figures[1:]))


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 or math.isnan(value):
        raise RefusedError("a score is no number from 0 to 1")
    return float(value)
