"""Programs that are killed at a random moment, and the folders they leave."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "dff_onnx"]
# Lock files stay where others may wait for them.
STAYING = ".lock"


def started(command: Sequence[str | Path], **variables: str) -> subprocess.Popen[str]:
    """A program of ours."""
    env = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    words = list(map(str, command))
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def ended(command: Sequence[str | Path], **variables: str) -> float:
    """Runs a program to its good end; how long it took, in seconds."""
    begin = time.monotonic()
    with started(command, **variables) as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    return time.monotonic() - begin


def killed(command: Sequence[str | Path], moment: float, **variables: str) -> bool:
    """Runs a program and kills it after so many seconds, with no warning; False where it had ended well by then."""
    with started(command, **variables) as process:
        try:
            said = process.communicate(timeout=moment)[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
    assert process.returncode == 0, said
    return False


def moments(rng: random.Random, longest: float, most: int = 8) -> Iterator[float]:
    """When to kill a program and, if it did not end, the same command again: uniformly random moments.

    Args:
        rng: draws them.
        longest: seconds that it takes undisturbed, or a little more.
        most: kills before it is let go to its end: a busy machine may be slower than when it was timed.
    """
    yield from (rng.uniform(0, longest) for _ in range(most))
    yield 600.0


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def left(out: Path) -> dict[str, bytes]:
    """What a command left, an index by its contents: the pages of a database depend on how often it was opened."""
    found = {name: data for name, data in contents(out).items() if not name.endswith(STAYING)}
    for name in [name for name in found if name.endswith(".db")]:
        with sqlite3.connect(out / name) as connection:
            found[name] = "\n".join(connection.iterdump()).encode()
        connection.close()
    return found
