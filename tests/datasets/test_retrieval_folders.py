"""Holidays and folders of classes, pictures taken out of a set, and the parts that all retrieval sets share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import write_picture
from retrieval_trees import write_oxford, write_pictures, write_revisited

from dff_onnx.datasets import (
    RetrievalSet,
    read_class_folders,
    read_holidays,
    read_oxford,
    read_revisited,
    relevance,
    without_images,
    without_queries,
)
from dff_onnx.errors import DatasetError, UsageError


def told(found: RetrievalSet) -> dict[str, tuple[int | None, list[int], list[int]]]:
    """Place, positives and junk of each query."""
    known = [(query, query.relevance["classic"]) for query in found.queries]
    return {query.name: (query.index, one.positives.tolist(), one.junk.tolist()) for query, one in known}


def test_a_hundred_of_holidays_is_a_scene_and_its_query_is_not_found(tmp_path: Path) -> None:
    write_pictures(tmp_path / "jpg", ["100000", "100001", "100002", "100100", "100101", "100200"])
    found = read_holidays(tmp_path)
    assert told(found) == {"100000": (0, [1, 2], [0]), "100100": (3, [4], [3]), "100200": (5, [], [5])}
    assert found.name == tmp_path.name and all(query.box is None for query in found.queries)


def test_holidays_itself_is_known_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, ["100000", "100001"])
    monkeypatch.setattr("dff_onnx.datasets.holidays.NAMES", {(1, 2): "Holidays"})
    assert read_holidays(tmp_path).name == "Holidays"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["100000", "a"], "a.jpg: its name is no number"),
        (["100000", "１００００１"], "its name is no number"),
        (["100000", "0100000"], "two pictures have the number 100000"),
        (["100001", "100102"], "no picture's number ends in 00"),
    ],
)
def test_what_is_not_holidays_is_refused(names: list[str], said: str, tmp_path: Path) -> None:
    write_pictures(tmp_path, names)
    with pytest.raises(DatasetError, match=said):
        read_holidays(tmp_path)


def test_every_picture_asks_for_the_others_of_its_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "bears", ["a", "b", "deep/c"])
    write_pictures(tmp_path / "cars", ["a"])
    found = read_class_folders(tmp_path)
    assert told(found) == {
        "bears/a.jpg": (0, [1, 2], [0]),
        "bears/b.jpg": (1, [0, 2], [1]),
        "bears/deep/c.jpg": (2, [0, 1], [2]),
        "cars/a.jpg": (3, [], [3]),
    }
    assert found.images == tuple(query.picture for query in found.queries)


def test_what_is_no_tree_of_classes_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "bears", ["a"])
    with pytest.raises(DatasetError, match="has 1 folder with pictures; two classes at least"):
        read_class_folders(tmp_path)
    write_pictures(tmp_path / "cars", ["b"])
    write_picture(tmp_path / "c.jpg")
    with pytest.raises(DatasetError, match=r"c.jpg: is in no class's folder"):
        read_class_folders(tmp_path)
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_class_folders(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no pictures"):
        read_class_folders(tmp_path / "empty")


def test_a_picture_in_two_classes_is_refused_and_two_links_in_one_are_not(tmp_path: Path) -> None:
    write_pictures(tmp_path / "bears", ["a"])
    write_pictures(tmp_path / "cars", ["b"])
    (tmp_path / "bears" / "again.jpg").symlink_to(tmp_path / "bears" / "a.jpg")
    assert len(read_class_folders(tmp_path).images) == 3
    (tmp_path / "cars" / "c.jpg").symlink_to(tmp_path / "bears" / "a.jpg")
    with pytest.raises(DatasetError, match=r"cars/c.jpg: is the same picture as .*bears/a.jpg, of another class"):
        read_class_folders(tmp_path)


def test_classes_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "bears", ["a", "b"])
    write_pictures(tmp_path / "cars", ["a", "b"])
    monkeypatch.setattr("dff_onnx.datasets.class_folders.MOST", 7)
    with pytest.raises(DatasetError, match="more than 7 pairs"):
        read_class_folders(tmp_path)


def test_pictures_taken_out_are_nowhere_and_the_others_move_up(tmp_path: Path) -> None:
    found = read_oxford(write_oxford(tmp_path))
    fewer = without_images(found, {1, 4})
    assert [path.stem for path in fewer.images] == ["all_souls_000013", "all_souls_000051", "ashmolean_7"]
    assert told(fewer) == {"all_souls_1": (0, [0, 1], []), "ashmolean_1": (2, [2], [])}
    assert fewer.notes == ("2 pictures left out of the set",)
    asked = without_images(found, [0])
    assert told(asked) == {"ashmolean_1": (2, [2], [])}
    assert asked.notes == ("1 picture left out of the set, and 1 query",)
    assert without_images(found, []) is found


def test_queries_that_are_not_searched_are_taken_out_by_name(tmp_path: Path) -> None:
    write_revisited(tmp_path)
    found = read_revisited(tmp_path)
    assert [query.name for query in without_queries(found, ["q1"]).queries] == ["q2"]
    assert without_queries(found, ["q1"]).notes == ("1 query left out",)
    assert without_queries(found, []) is found
    fewer = without_images(found, [0, 2])
    known = fewer.queries[0].relevance
    assert len(fewer.queries) == 2
    assert (known["easy"].positives.tolist(), known["easy"].junk.tolist()) == ([], [0, 2])
    assert (known["hard"].positives.tolist(), known["hard"].junk.tolist()) == ([0], [2])


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    found = read_oxford(write_oxford(tmp_path))
    with pytest.raises(DatasetError, match="no picture is left"):
        without_images(found, range(5))
    with pytest.raises(DatasetError, match="no query is left"):
        without_images(found, [0, 3])
    with pytest.raises(DatasetError, match="no query is left"):
        without_queries(found, ["all_souls_1", "ashmolean_1"])
    with pytest.raises(UsageError, match="has 5 pictures, and no picture 5"):
        without_images(found, [5])


def test_a_picture_is_not_positive_and_junk() -> None:
    known = relevance([3, 1, 3], (2,))
    assert known.positives.tolist() == [1, 3] and known.positives.dtype == known.junk.dtype == np.int64
    with pytest.raises(DatasetError, match="picture 3 is both"):
        relevance([3], [3])
