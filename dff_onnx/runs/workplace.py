"""The folder in a run's own where work is kept until it has ended, and that one process at a time has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dff_onnx.errors import NetworkError, OutputError, UsageError
from dff_onnx.files import PASSING
from dff_onnx.locks import AGAIN, Lock

RESUME = f"{PASSING}resume"
LOCK = "lock"


class Workplace:
    """Taken from its making on until `leave`, or until the process ends, however it ends.

    Args:
        out: the run's folder, made where it is missing.

    Raises:
        UsageError: when another process is at work there, naming it.
        OutputError: when it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / RESUME
        self._lock = Lock(self.folder / LOCK)
        self._made = [folder for folder in (self.folder, out) if not folder.exists()]
        try:
            holder = self._taken()
        except OSError as error:
            self._remove(self._made)
            raise OutputError(f"{out}: cannot be made a folder ({error.strerror}); choose another with -o") from error
        if holder is not None:
            raise UsageError(
                f"{out}: process {holder} is at work there; wait until it is done, or end it, and run the command "
                "again, or choose another folder with -o"
            )

    def clear(self) -> None:
        """Removes what was kept: it is not needed any more."""
        with contextlib.suppress(OSError):
            # Journals first: none is left that speaks of rows which are gone.
            for file in sorted(self.folder.iterdir(), key=lambda file: file.suffix != ".journal"):
                if file.name != LOCK:
                    file.unlink()

    def leave(self) -> None:
        """Lets others take it. What was kept stays; a folder in which nothing was written does not."""
        self._lock.free(remove=True)
        self._remove([self.folder, *self._made])

    @staticmethod
    def _remove(folders: Sequence[Path]) -> None:
        for folder in folders:
            with contextlib.suppress(OSError):  # it is not empty, or another process has it
                folder.rmdir()

    def _taken(self) -> str | None:
        for _ in range(AGAIN):
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # who had it before left just now
                return self._lock.take()
        return self._lock.take()


@contextmanager
def at_work(out: Path) -> Iterator[Path]:
    """A workplace around all the work, for folders that are no run's: gives the folder that things are kept in.

    What is kept goes at a good end, and with errors that would come again.

    Args:
        out: the folder that results go to.

    Raises:
        UsageError: when another process is at work there, naming it.
        OutputError: when it cannot be written.
    """
    place = Workplace(out)
    try:
        yield place.folder
    except (OutputError, NetworkError, MemoryError):
        raise
    except Exception:
        place.clear()
        raise
    else:
        place.clear()
    finally:
        place.leave()
