"""INRIA Holidays (Jegou et al., ECCV 2008): 1491 pictures of 500 scenes, one query a scene."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from dff_onnx.datasets.named_pictures import named_pictures
from dff_onnx.datasets.paths import first_twice, needed_folder
from dff_onnx.datasets.retrieval_set import CLASSIC, RetrievalQuery, RetrievalSet, relevance
from dff_onnx.errors import DatasetError

NAMES: Mapping[tuple[int, int], str] = {(500, 1491): "Holidays"}  # by queries and pictures


def read_holidays(root: str | Path) -> RetrievalSet:
    """Reads a folder of `<number>.jpg`: pictures of one hundred show one scene, and that which ends in 00 asks.

    A query is searched for, too, but counts neither for nor against itself.

    Args:
        root: that the pictures lie below, in any folders.

    Raises:
        DatasetError: when a name is no number, two are one, or no picture is a query.
    """
    root = needed_folder(root, "the folder that holds the pictures")
    paths = named_pictures(root).paths
    scenes: dict[int, list[int]] = defaultdict(list)
    numbers = [_number(name, path) for name, path in paths.items()]
    if twice := first_twice(map(str, numbers)):
        raise DatasetError(f"{root}: two pictures have the number {twice}; take one of them away")
    for at, number in enumerate(numbers):
        scenes[number // 100].append(at)
    queries = []
    for at, ((name, path), number) in enumerate(zip(paths.items(), numbers, strict=True)):
        if number % 100 == 0:
            others = [one for one in scenes[number // 100] if one != at]
            queries.append(RetrievalQuery(name, path, at, None, {CLASSIC: relevance(others, [at])}))
    if not queries:
        raise DatasetError(f"{root}: no picture's number ends in 00, as that of a query does; fetch the set again")
    title = NAMES.get((len(queries), len(paths)), root.resolve().name)
    return RetrievalSet(title, root, tuple(paths.values()), tuple(queries), (CLASSIC,))


def _number(name: str, path: Path) -> int:
    if not (name.isascii() and name.isdigit() and len(name) <= 18):
        raise DatasetError(f"{path}: its name is no number, as those of Holidays are; take it out of the folder")
    return int(name)
