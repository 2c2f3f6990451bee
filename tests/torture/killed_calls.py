"""A program for `test_killed_calls`: one command again and again, each time killed before another call that writes.

    LD_PRELOAD=failing_calls.so python killed_calls.py PLAN.json

It prints a JSON object: how the undisturbed command ended, and of each trial what differs once the command was given
again. Commands run in children of this process, which has loaded the libraries and done nothing else.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from called_command import called, laid
from killing import left

for name in ("onnxruntime", "scipy.sparse.linalg", "sklearn.svm", "dff_onnx.evaluation", "dff_onnx.runs.run"):
    importlib.import_module(name)

SHIM = ctypes.CDLL(None)


def in_child(arguments: list[str], folder: Path, number: int) -> tuple[bool, dict[str, Any]]:
    """Runs a command and kills it before call `number` below the folder; whether it died, else how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        SHIM.arm_to_kill(str(folder).encode(), number)
        code, said = called(arguments)
        os.write(writer, json.dumps({"code": code, "said": said[-3000:], "calls": SHIM.disarm()}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL, {"code": -1, "said": str(status), "calls": 0}
    return False, json.loads(told) if told else {"code": 1, "said": "a traceback", "calls": 0}


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in left(folder).items()}


def trials(plan: dict[str, Any]) -> dict[str, Any]:
    """The command undisturbed; then killed before some of its calls, in an order of chance, and given again."""
    arguments, folder, before = plan["arguments"], Path(plan["folder"]), Path(plan["before"])
    laid(folder, before)
    _, first = in_child(arguments, folder, 0)
    whole, found = digests(folder), []
    order = list(range(1, first["calls"] + 1))
    random.Random(0).shuffle(order)
    for number in order[slice(*plan["cases"])]:
        laid(folder, before)
        died, ended = in_child(arguments, folder, number)
        if died:
            _, ended = in_child(arguments, folder, 0)
        after = digests(folder)
        differing = sorted(name for name in after.keys() | whole if after.get(name) != whole.get(name))
        found.append({"call": number, "died": died, "differing": differing} | ended)
    return {"whole": first, "files": sorted(whole), "trials": found}


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text())
    answer = json.dumps(trials(plan))
    print(answer)  # noqa: T201
