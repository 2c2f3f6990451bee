"""One process at a time, and what dead ones leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from killing import ROOT

from dff_onnx.files import write_atomically
from dff_onnx.locks import Lock, taken

HOLD = """
import pathlib, sys
from dff_onnx.locks import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
lock.take()
print(flush=True)
input()
"""


def test_a_lock_names_its_process_and_goes_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert Lock(tmp_path / "lock").take() == str(process.pid)
        process.kill()
    lock = Lock(tmp_path / "lock")
    assert (tmp_path / "lock").read_text() == str(process.pid) and lock.take() is None
    assert (tmp_path / "lock").read_text() == str(os.getpid()) and Lock(tmp_path / "lock").take() == str(os.getpid())
    lock.free(remove=True)
    assert not (tmp_path / "lock").exists() and lock.take() is None
    lock.free()


def test_what_dead_processes_left_half_written_goes_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [".dff-1-0123abcd.part", f".dff-{dead.pid}-0123abcd.parts", "x.part", f".dff-{os.getpid()}-00000000.part"]
    gone = [f".dff-{dead.pid}-0123abcd.part", f".dff-{os.getpid()}-0123abcd.part"]
    for name in (*kept, *gone):
        (tmp_path / name).write_bytes(b"half")
    with (tmp_path / kept[-1]).open("rb") as file:
        assert taken(file)  # as another thread of ours, or a process in another container, that still writes
        write_atomically(tmp_path / "new", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "new"])
