"""Memory stays flat: what a fit needs beyond `A` and `H` does not grow with the rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import numpy as np
from dff_onnx import factorize

kind, rows, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
W = np.random.default_rng(1).gamma(0.3, 1, (12, 128)).astype(np.float32)

class Made:
    def __iter__(self):
        for start in range(0, rows, 8192):
            rng = np.random.default_rng(start)
            H = rng.standard_gamma(0.3, (min(8192, rows - start), 12), dtype=np.float32)
            yield np.maximum(H @ W + rng.standard_normal((len(H), 128), dtype=np.float32) - 1, 0)

def status(what):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(what)) / 1024

A = Made()
if kind != "made":
    A = np.lib.format.open_memmap(path, "w+", np.float32, (rows, 128))
    for number, block in enumerate(Made()):
        A[number * 8192 : number * 8192 + len(block)] = block
    A.flush()
    A = np.load(path, mmap_mode="r" if kind == "mapped" else None)
factorize(np.random.default_rng(0).random((9000, 64), dtype=np.float32), 3)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
found = factorize(A, 5)
print(status("VmHWM") - before - found.H.nbytes / 2**20)
"""


def needed(kind: str, rows: int, folder: Path) -> float:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("needs /proc/self/clear_refs to measure memory")
    command = [sys.executable, "-c", PROGRAM, kind, str(rows), str(folder / "A.npy")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["made", "mapped", "array"])
def test_half_a_million_rows_need_no_more_memory_than_promised(kind: str, tmp_path: Path) -> None:
    # 256 MB of A: 128 MB out of core, 64 MB in memory.
    assert needed(kind, 500_000, tmp_path) <= (64 if kind == "array" else 128)


@pytest.mark.slow
def test_twice_the_rows_need_the_same_memory(tmp_path: Path) -> None:
    assert needed("made", 800_000, tmp_path) <= needed("made", 400_000, tmp_path) + 8
