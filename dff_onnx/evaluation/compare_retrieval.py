"""Two evaluations of retrieval on one data set, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dff_onnx.datasets.dataset import counted
from dff_onnx.differences import SHORT, Difference
from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation.compare import check_same_dataset, differences_of, pairs_of
from dff_onnx.evaluation.retrieval_scores import PairedDifference, QueryScore, paired_difference
from dff_onnx.evaluation.retrieval_stored import StoredRetrieval
from dff_onnx.evaluation.text import WIDTH, p_text
from dff_onnx.files import printable
from dff_onnx.metrics import Interval, bootstrap_interval
from dff_onnx.report.names import fitted, shown


@dataclass(frozen=True, slots=True)
class ComparedRetrieval:
    """The mean average precision of one system in A and one in B, on the queries that both have.

    Attributes:
        protocol: of the data set.
        system_a, system_b: their names.
        a, b: the means with their intervals.
        apart: B minus A, query by query.
    """

    protocol: str
    system_a: str
    system_b: str
    a: Interval
    b: Interval
    apart: PairedDifference


@dataclass(frozen=True, slots=True)
class RetrievalComparison:
    """All that can be compared.

    Attributes:
        dataset: of both.
        files: that are compared.
        differences: of their networks and of the systems that are compared.
        common: queries that both have.
        only_a, only_b: queries of one alone, left out.
        results: for each pair of systems and protocol.
    """

    dataset: str
    files: tuple[str, str]
    differences: tuple[Difference, ...]
    common: int
    only_a: int
    only_b: int
    results: tuple[ComparedRetrieval, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def compare_retrieval(a: StoredRetrieval, b: StoredRetrieval, system: str | None = None) -> RetrievalComparison:
    """Compares two runs on the queries that both have.

    Args:
        a, b: of one data set.
        system: to take in both; None: all that both have, or the only one of each.

    Raises:
        RefusedError: when the data sets differ, a query has more to find in one than in the other, or none is in both.
        UsageError: when there is no such system, or it is not clear which are meant.
    """
    check_same_dataset(a, b)
    pairs = pairs_of(a, b, system)
    protocols = [name for name in a.protocols if name in b.protocols]
    results = [
        found for one, other in pairs for name in protocols if (found := _compared(a, one, b, other, name)) is not None
    ]
    if not results:
        raise RefusedError(f"{a.path} and {b.path}: have no query in common")
    asked_a, asked_b = ({score.query for score in stored.scores} for stored in (a, b))
    return RetrievalComparison(
        dataset=a.dataset,
        files=(shown(printable(a.path)), shown(printable(b.path))),
        differences=tuple(differences_of(a, b, pairs)),
        common=len(asked_a & asked_b),
        only_a=len(asked_a - asked_b),
        only_b=len(asked_b - asked_a),
        results=tuple(results),
    )


def _compared(a: StoredRetrieval, one: str, b: StoredRetrieval, other: str, protocol: str) -> ComparedRetrieval | None:
    mine, theirs = a.of(one, protocol), b.of(other, protocol)
    try:
        apart = paired_difference(mine, theirs)
    except UsageError as error:
        raise RefusedError(f"{a.path} and {b.path}: {error}") from error
    if apart is None:
        return None
    both = {score.query for score in mine} & {score.query for score in theirs}
    return ComparedRetrieval(protocol, one, other, _mean(mine, both), _mean(theirs, both), apart)


def _mean(scores: Sequence[QueryScore], both: set[str]) -> Interval:
    aps = [one.ap for one in scores if one.query in both and one.ap is not None]
    return bootstrap_interval(aps, np.ones(len(aps)), np.zeros(len(aps)))


def retrieval_comparison_text(compared: RetrievalComparison) -> str:
    """For a terminal."""
    lines = [f"{mark:<7} {path}" for mark, path in zip(("first", "second"), compared.files, strict=True)]
    lines += [fitted(f"  {one.told('{} and {}', SHORT)}", WIDTH).rstrip() for one in compared.differences]
    lines += ["", f"{compared.dataset}: {counted(compared.common, 'query', 'queries')} in both"]
    if compared.only_a or compared.only_b:
        lines[-1] += f"; left out: {compared.only_a} only in the first, {compared.only_b} only in the second"
    for one in compared.results:
        lines += ["", f"mAP in per cent, {one.protocol} ({counted(one.apart.queries, 'query', 'queries')})"]
        for mark, name, figure in (("first ", one.system_a, one.a), ("second", one.system_b, one.b)):
            bounds = f"({100 * figure.low:.2f} to {100 * figure.high:.2f})"
            lines.append(f"  {mark} {fitted(name, 22)} {100 * figure.estimate:6.2f} {bounds}")
        said = one.apart.interval
        bounds = f"({100 * said.low:+.2f} to {100 * said.high:+.2f})"
        lines.append(f"  difference {100 * said.estimate:+.2f} {bounds}, p {p_text(one.apart.p)}")
    return "\n".join(lines)
