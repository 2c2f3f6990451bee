"""One writer at a time, known by its process number."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.errors import OutputError
from dff_onnx.locks import Lock


class WriterLock:
    """Held from its making on until `free`, or until the process ends, however it ends.

    The lock is the system's: the file beside the index, `INDEX.lock`, means nothing by being there.

    Raises:
        OutputError: when another process holds it, naming the process; when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        beside = path.with_name(path.name + ".lock")
        self._lock = Lock(beside)
        try:
            holder = self._lock.take()
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written: {beside.name} beside it: {error.strerror}; see that there is room and "
                "that you may write there, or choose another place"
            ) from error
        if holder is not None:
            raise OutputError(
                f"{path}: is being written by process {holder}; wait until it is done, or end it, "
                "and run the command again"
            )

    def free(self) -> None:
        """Lets others write."""
        self._lock.free()
