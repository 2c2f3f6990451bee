"""Every error this program raises on purpose, and the exit code each one owns.

    DffError                       1   (a bug, when raised bare)
    ├── UsageError                 2   an option, an argument, or an output folder of other settings
    ├── ImageError                 3   one picture cannot be used; a run lists it and goes on
    ├── NoImagesError              4   not one picture can be used
    ├── RefusedError               5   an input file or array is not what it must be
    │   ├── ModelError                 an ONNX file
    │   │   └── NoHeadError            whose scores are no pooled linear layer
    │   ├── CheckpointError            a file of weights
    │   ├── BankError                  a bank of concepts
    │   ├── DatasetError               a data set's annotations
    │   ├── StoreError                 an index of descriptors
    │   └── ArrayError                 an array given to the library
    ├── DeviceError                6   the device asked for is not there
    ├── OutputError                7   a file cannot be written
    └── NetworkError               8   a server

A message says what failed, which file, what was found there and what to do about it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class DffError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1


class UsageError(DffError, ValueError):
    """An option or argument that cannot be, alone or together with others."""

    exit_code = 2


class ImageError(DffError):
    """One picture that cannot be used.

    Attributes:
        path: the file.
        reason: why, as a clause that can stand alone in a list.
    """

    exit_code = 3

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


class NoImagesError(DffError):
    """A folder without one usable picture."""

    exit_code = 4


class RefusedError(DffError):
    """Input that was read but is not what it must be."""

    exit_code = 5


class ModelError(RefusedError):
    """An ONNX file that cannot be used, or a layer it does not have."""


class NoHeadError(ModelError):
    """A classifier that is sound and has places, but no head that pools and is linear: other methods may serve."""


class CheckpointError(RefusedError):
    """A file of weights that cannot be read safely or does not fit the architecture."""


class BankError(RefusedError):
    """A bank that cannot be read, or belongs to another backbone."""


class DatasetError(RefusedError):
    """A data set's file that is missing, malformed, or does not belong to its picture."""


class StoreError(RefusedError):
    """An index that cannot be read, is damaged, or belongs to another backbone or descriptor."""


class ArrayError(RefusedError, ValueError):
    """An array that cannot be factorized: empty, negative, not finite, or of a wrong shape."""


class DeviceError(DffError):
    """The device asked for is not available."""

    exit_code = 6


class OutputError(DffError):
    """A file or folder that cannot be written."""

    exit_code = 7


class NetworkError(DffError):
    """A server that does not answer as it should."""

    exit_code = 8


def first_line(error: BaseException) -> str:
    """What a library says, in a line of at most 200 characters.

    >>> first_line(ValueError("no such axis\\nat line 3"))
    'no such axis'
    """
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
