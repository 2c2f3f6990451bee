"""Classes from paths."""

from __future__ import annotations

import pytest

from dff_onnx.errors import UsageError
from dff_onnx.learning.labels import labels_by_folder, labels_by_split

PATHS = ["cats/1.jpg", "cats/old/2.jpg", "dogs [b]/1.jpg", "dogs [b]/3.jpg"]


def test_the_first_folder_is_the_class() -> None:
    found = labels_by_folder(PATHS)
    assert found.names == ("cats", "dogs [b]") and found.numbers == (0, 0, 1, 1) and found.pictures == (2, 2)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["cats"], (0, 0, -1, -1)),
        (["dogs [b]"], (-1, -1, 0, 0)),
        (["*/1.jpg"], (0, -1, 0, -1)),
        (["cats/*.jpg"], (0, 0, -1, -1)),
        (["*/old/*", "*3*"], (-1, 0, -1, 0)),
    ],
)
def test_a_split_is_by_folders_and_patterns(words: list[str], numbers: tuple[int, ...]) -> None:
    found = labels_by_split(PATHS, words)
    assert found.numbers == numbers and found.names == (", ".join(words),)


def test_splits_and_trees_that_tell_nothing_apart_are_refused() -> None:
    for words, said in ((["mice"], "is no folder and fits no path; there are cats"), (["*"], "means every picture")):
        with pytest.raises(UsageError, match=said):
            labels_by_split(PATHS, words)
    with pytest.raises(UsageError, match=r"loose\.jpg': lies in no folder"):
        labels_by_folder([*PATHS, "loose.jpg"])
    with pytest.raises(UsageError, match="is the only class"):
        labels_by_folder(PATHS[:2])
    with pytest.raises(UsageError, match=r"the folder 'a.nb' is a class, and its name cannot stand in a line"):
        labels_by_folder([*PATHS, "a\nb/1.jpg"])
    assert labels_by_split([*PATHS, "loose.jpg"], ["loose*"]).pictures == (1,)
