"""Any tree with a folder for each class, as a retrieval set: every picture asks for the others of its class."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from dff_onnx.datasets.paths import needed_folder, pictures_below
from dff_onnx.datasets.retrieval_set import CLASSIC, RetrievalQuery, RetrievalSet, relevance
from dff_onnx.errors import DatasetError
from dff_onnx.files import printable

MOST = 50_000_000  # pairs of pictures of one class, which take 8 bytes each


def read_class_folders(root: str | Path) -> RetrievalSet:
    """Reads the pictures below each folder of `root`; deeper folders belong to that class, too.

    A query is searched for, too, but counts neither for nor against itself. The only picture of a class has nothing to
    find and is in no mean.

    Args:
        root: with one folder for each class.

    Raises:
        DatasetError: when there are fewer than two classes, a picture is in no class's folder, or in two (by a link).
    """
    root = needed_folder(root, "the folder that holds a folder for each class")
    paths = pictures_below(root)
    classes: dict[str, list[int]] = defaultdict(list)
    for at, path in enumerate(paths):
        if len(path.parts) < 2:
            raise DatasetError(f"{root / path}: is in no class's folder; move it into one")
        classes[path.parts[0]].append(at)
    if len(classes) < 2:
        raise DatasetError(f"{root}: has {len(classes)} folder with pictures; two classes at least are needed")
    if sum(len(one) ** 2 for one in classes.values()) > MOST:
        raise DatasetError(f"{root}: its classes have more than {MOST} pairs of pictures; give fewer of them")
    _check_one_class_each(root, paths)
    queries = []
    for at, path in enumerate(paths):
        others = [one for one in classes[path.parts[0]] if one != at]
        queries.append(RetrievalQuery(printable(path), root / path, at, None, {CLASSIC: relevance(others, [at])}))
    return RetrievalSet(root.resolve().name, root, tuple(root / path for path in paths), tuple(queries), (CLASSIC,))


def _check_one_class_each(root: Path, paths: list[Path]) -> None:
    """A link from one class's folder into another's would make a picture right and wrong at once."""
    seen: dict[Path, Path] = {}
    for path in paths:
        first = seen.setdefault((root / path).resolve(), path)
        if first.parts[0] != path.parts[0]:
            raise DatasetError(f"{root / path}: is the same picture as {root / first}, of another class; take one away")
