"""Rankings against a small ground truth that is worked out by hand, and systems against each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from dff_onnx.datasets import RetrievalQuery, RetrievalSet, relevance
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.evaluation import QueryScore, paired_difference, score_rankings, score_similarities
from dff_onnx.metrics import mean_over_queries

Lists = Mapping[str, tuple[list[int], list[int]]]


def query(name: str, index: int | None, lists: Lists) -> RetrievalQuery:
    known = {protocol: relevance(*both) for protocol, both in lists.items()}
    return RetrievalQuery(name, Path(f"{name}.jpg"), index, None, known)


def known_set(*queries: RetrievalQuery, images: int = 6) -> RetrievalSet:
    protocols = tuple(queries[0].relevance)
    return RetrievalSet("small", Path(), tuple(Path(f"{i}.jpg") for i in range(images)), queries, protocols)


# Of the revisited kind: two lists of positives, one of junk.
TWO = known_set(
    query("a", None, {"medium": ([0, 1, 2], [5]), "hard": ([1, 2], [0, 5])}),
    query("b", None, {"medium": ([3], []), "hard": ([], [3])}),
)
RANKINGS = [[0, 5, 3, 2, 4, 1], [4, 3, 0, 1, 2, 5]]
# a, medium: without 5 the positives are at 0, 2, 4; hard: without 5 and 0 at 1, 3. b: at 1.
EXPECTED = {
    ("medium", "a"): (3, (1 + 1 + 1 / 2 + 2 / 3 + 2 / 4 + 3 / 5) / 6, (1.0, 3 / 5, 3 / 5)),
    ("medium", "b"): (1, 0.25, (0.0, 1 / 2, 1 / 2)),
    ("hard", "a"): (2, (0 + 1 / 2 + 1 / 3 + 2 / 4) / 4, (0.0, 2 / 4, 2 / 4)),
    ("hard", "b"): (0, None, (None, None, None)),
}


def test_each_protocol_has_the_precision_worked_out_by_hand() -> None:
    found = score_rankings(TWO, RANKINGS, "mine")
    assert [one.key for one in found] == list(EXPECTED)
    for one in found:
        positives, ap, precisions = EXPECTED[one.key]
        assert (one.system, one.positives) == ("mine", positives)
        assert one.ap == (None if ap is None else pytest.approx(ap))
        assert one.precisions == pytest.approx(precisions) if ap is not None else one.precisions == precisions


def test_a_query_without_positives_is_in_no_mean() -> None:
    hard = [one for one in score_rankings(TWO, RANKINGS, "mine") if one.protocol == "hard"]
    assert mean_over_queries([one.ap for one in hard], samples=1).estimate == hard[0].ap


def test_a_query_does_not_find_itself() -> None:
    own = known_set(query("a", 0, {"classic": ([1], [0])}), images=3)
    assert score_rankings(own, [[0, 1, 2]], "x")[0].ap == 1
    assert score_similarities(own, [[9.0, 0.5, 0.4]], "x")[0].ap == 1
    kept = known_set(query("a", 0, {"classic": ([0, 1], [])}), images=3)  # as Oxford has it
    assert score_rankings(kept, [[0, 2, 1]], "x")[0].ap == pytest.approx((1 + 1 + 1 / 2 + 2 / 3) / 4)


def test_similarities_are_ranked_and_equal_ones_by_their_index() -> None:
    similarities = np.zeros((2, 6), np.float32)
    for row, ranking in zip(similarities, RANKINGS, strict=True):
        row[ranking] = np.arange(6, 0, -1)
    assert score_similarities(TWO, similarities, "mine") == score_rankings(TWO, RANKINGS, "mine")
    assert score_similarities(TWO, iter(similarities), "mine") == score_rankings(TWO, iter(RANKINGS), "mine")
    assert score_similarities(TWO, np.ones((2, 6)), "x") == score_rankings(TWO, [range(6), range(6)], "x")


def test_what_a_short_ranking_lacks_was_not_found() -> None:
    found = score_rankings(TWO, [[0], []], "mine")
    assert [one.ap for one in found] == [pytest.approx(1 / 3), 0, 0, None]
    assert found[0].precisions == (1, 1 / 5, 1 / 10)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a ranking less": (lambda: score_rankings(TWO, RANKINGS[:1], "x"), "1 rankings are given of 2 queries"),
    "a ranking more": (lambda: score_rankings(TWO, [*RANKINGS, []], "x"), "more rankings are given than the 2 queries"),
    "a picture beyond": (lambda: score_rankings(TWO, [[6], []], "x"), "ranking of a has picture 6, and there are 6"),
    "a picture twice": (lambda: score_rankings(TWO, [[1, 1], []], "x"), "holds a number twice"),
    "no indexes": (lambda: score_rankings(TWO, [[0.5], []], "x"), "whole numbers are needed"),
    "a row too short": (lambda: score_similarities(TWO, np.ones((2, 5)), "x"), "has 5 similarities, and there are 6"),
    "nan": (lambda: score_similarities(TWO, np.full((2, 6), math.nan), "x"), "hold nan"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rankings_that_do_not_belong_to_the_set_are_refused(case: str) -> None:
    call, said = REFUSED[case]
    with pytest.raises(ArrayError, match=said):
        call()


def scores(system: str, aps: list[float | None], positives: int = 3) -> list[QueryScore]:
    return [
        QueryScore(system, "classic", f"q{i}", 0 if ap is None else positives, ap, (ap,) * 3)
        for i, ap in enumerate(aps)
    ]


def test_systems_are_compared_query_by_query() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(60)  # queries differ far more than systems
    a = scores("a", (hard * 0.9).tolist())
    b = scores("b", (hard * 0.9 + 0.02 + 0.01 * rng.random(60)).tolist())
    found = paired_difference(a, b)
    assert found is not None and found.queries == 60 and found.p < 0.001
    assert 0.02 < found.interval.low < found.interval.estimate < found.interval.high < 0.03
    assert found.interval.estimate == pytest.approx(np.mean([two.ap - one.ap for one, two in zip(a, b, strict=True)]))
    back = paired_difference(b, a)
    assert back is not None and back.interval.estimate == pytest.approx(-found.interval.estimate)
    same = paired_difference(a, a)
    assert same is not None and same.p == 1 and same.interval.low == same.interval.high == 0


def test_only_queries_that_both_have_are_compared() -> None:
    found = paired_difference(scores("a", [0.5, None, 0.25, 0.125]), scores("b", [0.75, None, 0.5])[::-1])
    assert found is not None and found.queries == 2 and found.interval.estimate == 0.25
    assert paired_difference(scores("a", [None]), scores("b", [None])) is None
    assert paired_difference([], scores("b", [0.5])) is None


def test_scores_of_other_data_are_refused() -> None:
    with pytest.raises(UsageError, match="q0 has 3 pictures to find in one and 4 in the other"):
        paired_difference(scores("a", [0.5]), scores("b", [0.5], positives=4))
    with pytest.raises(UsageError, match="a query is there twice"):
        paired_difference(scores("a", [0.5]) * 2, scores("b", [0.5]))
