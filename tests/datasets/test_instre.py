"""INSTRE: indexes from 1, boxes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import mutated
from retrieval_trees import INSTRE_IMAGES, INSTRE_KNOWN, INSTRE_QUERIES, write_instre
from torture_tier import each, tiers

from dff_onnx.datasets import read_instre
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box


def test_indexes_count_from_one_in_the_file_and_from_zero_here(tmp_path: Path) -> None:
    write_instre(tmp_path)
    found = read_instre(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found.images] == INSTRE_IMAGES
    assert [q.relevance["classic"].positives.tolist() for q in found.queries] == [[0, 1, 3], [0, 3], [2, 3]]
    assert not any(q.relevance["classic"].junk.size for q in found.queries)
    assert [q.box for q in found.queries] == [Box(1, 2, 10, 20), Box(0, 0, 20, 30), Box(20, 0, 40, 30)]
    assert [q.picture.relative_to(tmp_path).as_posix() for q in found.queries] == INSTRE_QUERIES
    assert [q.index for q in found.queries] == [None] * 3 and found.protocols == ("classic",)


def test_one_picture_may_ask_for_each_of_its_two_objects(tmp_path: Path) -> None:
    write_instre(tmp_path)
    assert [q.name for q in read_instre(tmp_path).queries] == ["S1/a/9.jpg", "M/ab/9.jpg", "M/ab/9.jpg (2)"]


def test_the_set_itself_is_known_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_instre(tmp_path / "here")
    assert read_instre(tmp_path / "here").name == "here"
    monkeypatch.setattr("dff_onnx.datasets.instre.NAMES", {(3, 4): "INSTRE"})
    assert read_instre(tmp_path / "here").name == "INSTRE"


def first(good: Any, box: Any = ((1.0, 2.0, 10.0, 20.0),)) -> dict[str, Any]:
    """The set with another first query."""
    return {"known": [(good, box), *INSTRE_KNOWN[1:]]}


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "an index of zero": (first([[0, 1]]), "lists 0, and indexes from 1 to 4"),
    "an index beyond": (first([[5.0]]), "lists 5.0, and indexes from 1 to 4"),
    "half an index": (first([[1.5]]), "lists 1.5"),
    "nan": (first([[np.nan]]), "lists nan"),
    "infinity": (first([[np.inf]]), "lists inf"),
    "an index twice": (first([[2, 2]]), "lists a picture twice"),
    "words": (first("ab"), "has a query without positives and box"),
    "three figures": (first([[1]], [[1.0, 2.0, 3.0]]), "has a query without positives and box"),
    "width and height": (first([[1]], [[20.0, 10.0, 15.0, 12.0]]), "ends before it begins; x1 y1 x2 y2 are needed"),
    "a box beyond": (first([[1]], [[20.0, 10.0, 45.0, 22.0]]), "leaves 9.jpg, which has 40x30 pixels"),
    "a query less": ({"known": INSTRE_KNOWN[:2]}, "gnd is no list of 3 queries"),
    "a picture twice": ({"images": [*INSTRE_IMAGES, "S1/a/1.jpg"]}, "imlist has 'S1/a/1.jpg' twice"),
    "a picture that is not there": ({"images": [*INSTRE_IMAGES[:3], "no.jpg"]}, "there is no picture"),
    "a query that is not there": ({"queries": ["no.jpg", *INSTRE_QUERIES[1:]]}, "there is no picture"),
    "a path that leads away": ({"queries": ["../x.jpg", *INSTRE_QUERIES[1:]]}, "which is no file inside"),
    "no text": ({"images": [*INSTRE_IMAGES[:3], 7]}, "imlist has something that is no text"),
    "no pictures": ({"images": []}, "imlist is no list of paths"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_ground_truth_is_named(case: str, tmp_path: Path) -> None:
    fields, said = BROKEN[case]
    path = write_instre(tmp_path, **fields)
    with pytest.raises(DatasetError) as caught:
        read_instre(tmp_path)
    assert str(path) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_refused(share: float, tmp_path: Path) -> None:
    path = write_instre(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DatasetError, match=r"gnd_instre.mat: .*fetch it again"):
        read_instre(tmp_path)


@tiers("mutated truths of retrieval", 0.5)
def test_a_mutated_file_is_read_or_refused_and_nothing_else(cases: range, tmp_path: Path) -> None:
    path = write_instre(tmp_path)
    good = path.read_bytes()

    def judge(_: int, rng: np.random.Generator) -> str:
        path.write_bytes(mutated(good, rng))
        try:
            found = read_instre(tmp_path)
        except DatasetError as error:
            assert str(path) in str(error)
            return "refused"
        assert len(found.queries) == 3
        return "read"

    assert each(cases, judge)["refused"] > len(cases) / 3


def test_the_file_may_lie_elsewhere_and_must_be_there(tmp_path: Path) -> None:
    path = write_instre(tmp_path / "data").rename(tmp_path / "truth.mat")
    assert len(read_instre(tmp_path / "data", path).images) == 4
    with pytest.raises(DatasetError, match=r"gnd_instre.mat: cannot be read"):
        read_instre(tmp_path / "data")
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_instre(tmp_path / "nowhere")
