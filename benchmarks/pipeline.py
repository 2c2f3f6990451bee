"""A whole run beside its two unavoidable parts: decoding the pictures and the network on the same batches.

    DFF_ONNX_DATA=... python benchmarks/pipeline.py MODEL.onnx [--layer NAME] [--images 1000] [--rounds 3]

Both are measured in one process, in turns; the ratio of the best rounds is what counts on a noisy machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from dff_onnx.backbone.session import Backbone
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.parts import BATCH
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings


def main() -> int:
    """Prints seconds, their ratio, and the peak memory."""
    arguments = _arguments()
    source = Path(os.environ["DFF_ONNX_DATA"]) / "photos"
    backbone = Backbone.open(arguments.model, arguments.layer)  # all cores on one call: what the parts do best
    worker = Backbone.open(arguments.model, arguments.layer, threads=1)  # as the command opens it
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        for path in walk_pictures(source)[: arguments.images]:
            (folder / path).symlink_to(source.resolve() / path)
        whole, parts = [], []
        for round_ in range(arguments.rounds):
            parts.append(seconds(partial(decode_and_run, folder, backbone)))
            out = Path(scratch) / f"out{round_}"
            whole.append(seconds(partial(run, folder, out, worker, Settings(k=5, overlays="none"))))
            print(f"round {round_}: decoding and network {parts[-1]:.2f} s, run {whole[-1]:.2f} s", flush=True)
        started = time.process_time()
        run(folder, Path(scratch) / "drawn", worker, Settings(k=5, overlays=100))
        drawn = time.process_time() - started
        started = time.process_time()
        run(folder, Path(scratch) / "undrawn", worker, Settings(k=5, overlays="none"))
        drawn -= time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"ratio of the best rounds {min(whole) / min(parts):.3f}, peak memory {peak:.0f} MiB")
    print(f"an overlay takes about {drawn * 10:.1f} ms of CPU")
    return 0


def decode_and_run(folder: Path, backbone: Backbone) -> None:
    """What no run can do without, one after the other."""
    paths = walk_pictures(folder)
    for start in range(0, len(paths), BATCH):
        pictures = [read_picture(folder / path, Resize()) for path in paths[start : start + BATCH]]
        backbone(np.stack([picture.pixels for picture in pictures]))


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--layer")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
