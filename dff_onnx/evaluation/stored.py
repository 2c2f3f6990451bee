"""`figures.json`: an evaluation as strict JSON, written and read back with suspicion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation.scores import Figures, ImageScore, Kind
from dff_onnx.evaluation.system_settings import settings_by_system
from dff_onnx.evaluation.table import Row, Table
from dff_onnx.report.read_results import read_json
from dff_onnx.report.results import strict_json
from dff_onnx.runs.machine import versions

SCHEMA = "dff-onnx/evaluation/1"
LARGEST = 256 * 2**20
FIGURES = "figures.json"
MOST = 2**53  # no count is larger, and JSON of any program keeps it


@dataclass(frozen=True, slots=True)
class Stored:
    """What a comparison needs of a file.

    Attributes:
        path: of the file.
        kind, dataset: of the evaluation.
        systems: their names, in order.
        groups: in the order of the data set.
        scores: as they were written.
        fingerprint: of the network, as the file has it; empty where it has none.
        settings: of each system, likewise.
    """

    path: Path
    kind: Kind
    dataset: str
    systems: tuple[str, ...]
    groups: tuple[str, ...]
    scores: tuple[ImageScore, ...]
    fingerprint: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]


def identity(kind: str, dataset: str, fingerprint: Any, systems: Sequence[Any]) -> dict[str, Any]:
    """The fields that two evaluations into one folder must share."""
    return {"schema": SCHEMA, "kind": kind, "dataset": dataset, "fingerprint": fingerprint, "systems": list(systems)}


def figures_json(figures: Figures, made: Sequence[Table]) -> str:
    """An evaluation with its tables."""
    systems = [asdict(system) for system in figures.systems]
    fields = identity(figures.kind, figures.dataset, figures.fingerprint, systems) | {
        "device": figures.device,
        "versions": versions(),
        "groups": list(figures.groups),
        "notes": list(figures.notes),
        "failures": [asdict(failure) for failure in figures.failures],
        "tables": [
            {"metric": table.metric, "images": list(table.images), "rows": [_row(row) for row in table.rows]}
            for table in made
        ],
        "classes": [asdict(one) for one in figures.classes],
        "images": [asdict(score) for score in figures.scores],
    }
    return to_json(fields)


def to_json(fields: Mapping[str, Any]) -> str:
    """Strict JSON: what is no number is null."""
    return strict_json(strict(fields)).decode()


def strict(value: Any) -> Any:
    """A tree of what JSON knows; nan and infinities become None."""
    if isinstance(value, Mapping):
        return {str(key): strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(row: Row) -> dict[str, Any]:
    fields = asdict(row)
    fields["interval"] = None if row.interval is None else [row.interval.low, row.interval.high]
    return fields


def read_fields(path: Path) -> dict[str, Any]:
    """The table in a file of figures, its schema checked and nothing else.

    Raises:
        RefusedError: when it cannot be read, is no JSON, or nothing of ours.
    """
    fields = read_json(path, LARGEST)
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA:
        raise RefusedError(f"{path}: is no {SCHEMA}; give a figures.json of `dff-onnx eval`")
    return fields


def kind_of(path: str | Path) -> str:
    """Of figures, as a file says it; nothing else of it is judged.

    Raises:
        UsageError, RefusedError: as `read_figures`.
    """
    path = _file(Path(path))
    fields = read_fields(path)
    try:
        return text_of(fields, "kind")
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}") from error


def read_figures(path: str | Path) -> Stored:
    """Reads what was written for co-segmentation or CorLoc.

    Args:
        path: of the file, or of the folder that holds it.

    Raises:
        UsageError: when there is no such file.
        RefusedError: naming the file, when it is damaged, of another kind, or says what cannot be.
    """
    path = _file(Path(path))
    fields = read_fields(path)
    try:
        return _stored(path, fields)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}") from error


def _file(path: Path) -> Path:
    if path.is_dir():
        if not (path / FIGURES).is_file():
            raise UsageError(f"{path}: holds no {FIGURES}; give a folder that `dff-onnx eval -o` wrote")
        return path / FIGURES
    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give a {FIGURES} of `dff-onnx eval`, or its folder")
    return path


def _stored(path: Path, fields: Mapping[str, Any]) -> Stored:
    kind = text_of(fields, "kind")
    if kind not in ("coseg", "corloc"):
        raise RefusedError(f"holds figures of {kind[:20]!r}; coseg, corloc and retrieval can be compared, each alone")
    systems = tuple(text_of(one, "name") for one in tables_of(fields, "systems"))
    scores = tuple(_score(one) for one in tables_of(fields, "images"))
    groups = tuple(dict.fromkeys(score.group for score in scores))
    if len({(score.system, *score.key) for score in scores}) != len(scores):
        raise RefusedError("has a picture twice under one system")
    if not scores or not {score.system for score in scores} <= set(systems) or len(set(systems)) != len(systems):
        raise RefusedError("its pictures and its systems do not belong together")
    fingerprint = fields.get("fingerprint")
    return Stored(
        path=path,
        kind="coseg" if kind == "coseg" else "corloc",
        dataset=text_of(fields, "dataset"),
        systems=systems,
        groups=groups,
        scores=scores,
        fingerprint=fingerprint if isinstance(fingerprint, Mapping) else {},
        settings=settings_by_system(fields["systems"]),
    )


def tables_of(fields: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    """A list of tables in JSON; raises `RefusedError` where it is none."""
    value = fields.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise RefusedError(f"its {key} are no list of tables")
    return value


def _score(fields: Mapping[str, Any]) -> ImageScore:
    inter, union, hit = (fields.get(key) for key in ("inter", "union", "hit"))
    if hit is not None and not isinstance(hit, bool):
        raise RefusedError("a hit is neither true, false nor null")
    if (inter is None) != (union is None):
        raise RefusedError("a picture has one of inter and union, and both or none are needed")
    if inter is not None and _count(inter) > _count(union):
        raise RefusedError("an intersection is larger than its union")
    system, group, path = (text_of(fields, key) for key in ("system", "group", "path"))
    return ImageScore(system, group, path, _count(fields.get("truth")), inter, union, hit)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise RefusedError(f"a count is {str(value)[:20]!r}, and a whole number from 0 is needed")
    return value


def text_of(fields: Mapping[str, Any], key: str) -> str:
    """A printable text in JSON; raises `RefusedError` where it is none."""
    value = fields.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise RefusedError(f"a {key} is no printable text")
    return value
