"""Which class each picture is of, from its path: a folder a class, or any split into a class and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from dff_onnx.errors import UsageError


@dataclass(frozen=True, slots=True)
class Labels:
    """The classes of some pictures.

    Attributes:
        names: of the classes.
        numbers: of each picture's class; -1 where it is of none.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def pictures(self) -> tuple[int, ...]:
        """How many each class has."""
        return tuple(self.numbers.count(number) for number in range(len(self.names)))


def labels_by_folder(paths: Sequence[str]) -> Labels:
    """The first folder of each path is its class; classes are sorted by name.

    Raises:
        UsageError: when a picture lies in no folder, there is one class alone, or a folder's name cannot stand in a
            line.

    >>> labels_by_folder(["dogs/1.jpg", "cats/1.jpg", "cats/old/2.jpg"])
    Labels(names=('cats', 'dogs'), numbers=(1, 0, 0))
    """
    folders = [PurePosixPath(path).parts[0] if len(PurePosixPath(path).parts) > 1 else None for path in paths]
    if None in folders:
        lost = paths[folders.index(None)]
        raise UsageError(
            f"{ascii(lost)[:80]}: lies in no folder, and a folder a class is needed; move it, or say with --positive "
            "which pictures are of the class"
        )
    names = sorted({folder for folder in folders if folder is not None})
    if odd := [name for name in names if not name.isprintable()]:
        raise UsageError(f"the folder {ascii(odd[0])[:80]} is a class, and its name cannot stand in a line; rename it")
    if len(names) < 2:
        raise UsageError(f"{ascii(names[0])[:80]} is the only class; two at least are needed to be told apart")
    place = {name: number for number, name in enumerate(names)}
    return Labels(tuple(names), tuple(place[folder] for folder in folders if folder is not None))


def labels_by_split(paths: Sequence[str], positive: Sequence[str]) -> Labels:
    """One class of the pictures that are meant, named as they were; all others are of none.

    Args:
        paths: of the pictures.
        positive: names of first folders, or patterns for whole paths (`*`, `?`, `[...]`; a star also takes slashes).

    Raises:
        UsageError: when one of these means no picture, or all together mean every picture.

    >>> labels_by_split(["cats/1.jpg", "dogs/1.jpg", "dogs/puppy-2.jpg"], ["cats", "*puppy*"])
    Labels(names=('cats, *puppy*',), numbers=(0, -1, 0))
    """
    folders = {PurePosixPath(path).parts[0] for path in paths if len(PurePosixPath(path).parts) > 1}
    meant: set[int] = set()
    for word in positive:
        # A folder's name may hold brackets, which a pattern would read otherwise.
        fits = (
            [path.startswith(f"{word}/") for path in paths]
            if word in folders
            else [fnmatchcase(path, word) for path in paths]
        )
        if not any(fits):
            there = ", ".join(ascii(name)[1:-1] for name in sorted(folders)[:8])[:200] or "no folders"
            raise UsageError(f"--positive: {ascii(word)[:80]} is no folder and fits no path; there are {there}")
        meant |= {place for place, fit in enumerate(fits) if fit}
    if len(meant) == len(paths):
        raise UsageError("--positive: means every picture; leave some for the rest, which the class is told from")
    return Labels((", ".join(positive),), tuple(0 if place in meant else -1 for place in range(len(paths))))
