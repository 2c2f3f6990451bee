"""Whether an image of an index is the picture that is searched for."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.errors import ImageError
from dff_onnx.store import ImageRecord, Stamp


def name_in(path: Path, folder: Path | None) -> str | None:
    """A picture's path in an index of a folder, None where it does not lie there, or nobody knows the folder.

    >>> name_in(Path("pictures/birds/1.jpg"), Path("pictures"))
    'birds/1.jpg'
    """
    if folder is None:
        return None
    try:
        place, root = path.resolve(), folder.resolve()
    except OSError:
        return None
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else None


@dataclass(frozen=True, slots=True)
class OwnPicture:
    """A query's own picture.

    Attributes:
        path: of it, resolved.
        folder: that the index's paths are relative to, None where that is not known.
        content, file: its stamps.
    """

    path: Path
    folder: Path | None
    content: Stamp
    file: Stamp

    @classmethod
    def of(cls, path: Path, folder: Path | None) -> OwnPicture:
        """The query's picture.

        Raises:
            ImageError: when it cannot be read.
        """
        try:
            return cls(path.resolve(), folder, Stamp.of_content(path.read_bytes()), Stamp.of_file(path))
        except OSError as error:
            raise ImageError(path, error.strerror or str(error)) from error

    def is_of(self, record: ImageRecord) -> bool:
        """Whether it is an image: by its place, its content, or name, size and time of change.

        Size and time alone say little: unpacking gives many files one time, and pictures without compression have one
        size.
        """
        if record.stamp == self.content:
            return True
        if record.stamp == self.file and Path(record.path).name == self.path.name:
            return True
        with contextlib.suppress(OSError, ValueError):
            return self.folder is not None and (self.folder / record.path).resolve() == self.path
        return False
