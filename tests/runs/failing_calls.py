"""A program for `test_failing_calls`: one command again and again, each time another call that writes fails.

    LD_PRELOAD=failing_calls.so python failing_calls.py PLAN.json

It prints a JSON list: of each trial what failed, the exit code, what was said, and what lies in the folder then.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from called_command import called, laid

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.store import SqliteStore

SHIM = ctypes.CDLL(None)
# A full disk stays full; the others may pass.
ERRORS = {"ENOSPC": True, "EIO": False, "EACCES": False}
MOST = 2000  # calls that one command may make


def failing(arguments: list[str], folder: Path, number: int, error: str) -> tuple[int, str, int]:
    """As `called`, while call `number` below the folder fails; 0 fails none. Also how many calls there were."""
    SHIM.arm(str(folder).encode(), number, getattr(errno, error), int(ERRORS[error]))
    code, said = called(arguments)
    gc.collect()
    return code, said, SHIM.disarm()


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def indexed(folder: Path) -> list[str] | None:
    """The pictures of an index, and what is wrong with it; None where there is no index, or nothing in it yet."""
    try:
        with SqliteStore.open(folder / "index.db") as store:
            return [*store.stamps(), *store.check()]
    except UsageError:
        return None
    except StoreError as error:
        if "nothing at all" in str(error) or "half made" in str(error):
            return None
        raise


def trials(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every call of the command in turn: with a full disk, and the command once more behind it; with the other errors.

    Without `every` the other errors take turns.
    """
    arguments, folder, before = plan["arguments"], Path(plan["folder"]), Path(plan["before"])
    found = []
    laid(folder, before)
    code, said, calls = failing(arguments, folder, 0, "EIO")
    whole = {"code": code, "said": said, "files": digests(folder), "again": calls}
    for number in range(1, min(calls, MOST) + 1):
        for error in ERRORS if plan["every"] else ("ENOSPC", ("EIO", "EACCES")[number % 2]):
            laid(folder, before)
            code, said, _ = failing(arguments, folder, number, error)
            trial = {"error": error, "call": number, "code": code, "said": said, "files": digests(folder)}
            trial["indexed"] = indexed(folder)
            again, words, after = 0, "", None
            if plan["every"] or error == "ENOSPC":
                again, words = called(arguments)
                after = digests(folder)
                trial["indexed again"] = indexed(folder)
            found.append(trial | {"again": again, "words": words, "after": after})
    return [whole, *found]


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text())
    answer = json.dumps(trials(plan))
    print(answer)  # noqa: T201
