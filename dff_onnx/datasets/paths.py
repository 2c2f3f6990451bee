"""Files of a data set: names that stay inside its folder, texts of a size that can be, lists of pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from dff_onnx.errors import DatasetError, NoImagesError, UsageError
from dff_onnx.files import walk_pictures


def inside(root: Path, name: str, source: Path | None = None) -> Path:
    """The path that a name in an annotation stands for.

    Args:
        root: what the name must stay in.
        name: as the annotation has it, with slashes of either kind.
        source: the annotation, for the message; None where the caller adds it.

    Raises:
        DatasetError: when the name is empty, absolute, leads outside, or holds what no file name should.
    """
    posix = name.replace("\\", "/")
    leaves = ".." in posix.split("/") or PurePosixPath(posix).is_absolute() or bool(PureWindowsPath(name).anchor)
    if leaves or not PurePosixPath(posix).name or not name.isprintable():
        prefix = f"{source}: " if source else ""
        raise DatasetError(f"{prefix}names {name[:80]!r}, which is no file inside {root}; correct that name")
    return root / posix


def needed_folder(path: str | Path, what: str) -> Path:
    """The path, which must be a folder.

    Raises:
        DatasetError: saying what should be there.
    """
    path = Path(path)
    if not _is(path, "is_dir"):
        raise DatasetError(f"{path}: there is no such folder; give {what}")
    return path


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name too long for any is no error."""
    return _is(path, "is_file")


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a name too long for any is no error."""
    return _is(path, "is_dir")


def _is(path: Path, question: str) -> bool:
    try:
        return bool(getattr(path, question)())
    except (OSError, ValueError):
        return False


def pictures_below(folder: Path) -> list[Path]:
    """The pictures below a folder, relative to it, sorted.

    Raises:
        DatasetError: when there are none, or the folder cannot be listed.
    """
    try:
        return walk_pictures(needed_folder(folder, "a folder of pictures"))
    except (UsageError, NoImagesError) as error:
        raise DatasetError(str(error)) from error


def first_twice(names: Iterable[str]) -> str | None:
    """The first name that was there before; None where no two are alike.

    >>> first_twice(["a", "b", "a"])
    'a'
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def read_bytes(path: Path, limit: int) -> bytes:
    """A file's bytes, of which there must not be more than `limit`.

    Raises:
        DatasetError: when it is missing, unreadable or too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"{path}: cannot be read ({reason}); the data set needs this file") from error
    if len(data) > limit:
        raise DatasetError(f"{path}: has more than {limit} bytes, which no annotation of this kind has")
    return data


def read_text(path: Path, limit: int) -> str:
    """A UTF-8 file's text, its line ends as they are; raises as `read_bytes`, and for what is no UTF-8."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start})") from error
