"""What a head says of concepts: planted ones, whose classes are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dff_onnx.datasets.class_names import ClassNames, imagenet_names, names_for
from dff_onnx.linear_head import LinearHead
from dff_onnx.runs.class_evidence import Evidence, source_of, spoken_for

NAMES = ClassNames(("wall", "cat", "dog", "sea", "sky"), (None,) * 5)
# A concept of channel 0, one of channels 1 and 2.
W = np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32)
WEIGHTS = np.array([[0, 0, 0], [3, -1, -1], [2, 5, 0], [1, 5, 10], [4, 0, 5]], np.float32)
PEAKS = np.array([2, 10], np.float32)


def evidence(bias: Any = (0, 0, 0, 0, 0), **options: Any) -> Evidence:
    return Evidence(LinearHead(WEIGHTS, np.asarray(bias, np.float32), **options), NAMES)


def told(found: Any) -> list[list[tuple[int, str, float]]]:
    return [[(one.number, one.name, pytest.approx(one.weight, rel=1e-6)) for one in concept] for concept in found]


def test_a_concept_speaks_for_the_three_classes_whose_maps_it_raises_most() -> None:
    assert told(spoken_for(W, PEAKS, evidence())) == [
        [(4, "sky", 8.0), (1, "cat", 6.0), (2, "dog", 4.0)],
        [(3, "sea", 110.0), (4, "sky", 40.0), (2, "dog", 30.0)],
    ]


def test_the_bias_counts_where_it_is_part_of_the_maps_alone() -> None:
    bias = (100, 0, 0, -5, 1)
    assert spoken_for(W, PEAKS, evidence(bias)) == spoken_for(W, PEAKS, evidence())
    assert told(spoken_for(W, PEAKS, evidence(bias, rectified=True))) == [
        [(0, "wall", 100.0), (4, "sky", 9.0), (1, "cat", 6.0)],
        [(3, "sea", 105.0), (0, "wall", 100.0), (4, "sky", 41.0)],
    ]


def test_the_weight_is_the_class_map_where_nothing_but_the_concept_is_seen_at_its_peak() -> None:
    H = np.array([[0, 0], [2, 0], [0, 10], [0, 7]], np.float32)  # each concept alone, at its peak once
    A = (H @ W)[None, :, None]
    for rectified in (False, True):
        known = evidence((1, 2, 3, 4, 5), rectified=rectified)
        maps = known.head.maps(A)[0, :, 0]
        for j, found in enumerate(spoken_for(W, H.max(axis=0), known)):
            assert [one.weight for one in found] == pytest.approx(maps[H[:, j].argmax(), [one.number for one in found]])


def test_a_concept_that_is_nowhere_speaks_for_no_class() -> None:
    found = spoken_for(W, np.array([0, 10], np.float32), evidence((1,) * 5, rectified=True))
    assert found[0] == () and len(found[1]) == 3


def test_classes_that_do_not_answer_are_left_out() -> None:
    # Rectified, the first concept's map is 0 for all but one class: 0 is no answer.
    silent = evidence((-7,) * 5, rectified=True)
    assert told(spoken_for(W[:1], PEAKS[:1], silent)) == [[(4, "sky", 1.0)]]
    against = Evidence(LinearHead(-np.abs(WEIGHTS), np.zeros(5, np.float32)), NAMES)
    assert list(spoken_for(W, PEAKS, against)) == [(), ()]


def test_of_equal_classes_the_lower_number_comes_first_and_fewer_than_three_are_all() -> None:
    same = Evidence(
        LinearHead(np.ones((2, 3), np.float32), np.zeros(2, np.float32)), ClassNames(("b", "a"), (None,) * 2)
    )
    assert [[one.name for one in found] for found in spoken_for(W, PEAKS, same)] == [["b", "a"]] * 2


def test_without_a_head_there_is_no_evidence() -> None:
    assert list(spoken_for(W, PEAKS, None)) == [(), ()]


def test_the_networks_own_names_are_told_by_their_source() -> None:
    assert source_of(names_for(1000)) == source_of(imagenet_names()) == source_of(names_for(1001)) == "imagenet"
    assert source_of(names_for(7)) == source_of(names_for(999)) == "numbers"


def test_given_names_are_told_apart() -> None:
    known = imagenet_names()
    given = [
        NAMES,
        ClassNames(("wall", "cat", "dog", "sea", "Sky"), (None,) * 5),
        ClassNames(NAMES.names[::-1], (None,) * 5),
        ClassNames(NAMES.names, ("n00000001", None, None, None, None)),
        ClassNames(("wall", "cat dog", "sea", "sky"), (None,) * 4),
        ClassNames(("other", *known.names), (None, *known.synsets)),
        ClassNames(known.names[::-1], known.synsets[::-1]),
    ]
    told = [source_of(names) for names in given]
    assert len(set(told)) == len(given) and all(len(one) == len("given ") + 16 for one in told)
    assert told[0] == source_of(ClassNames(tuple(NAMES.names), (None,) * 5))
