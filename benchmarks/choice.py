"""How `-k auto` does on iCoseg's groups, and what it costs.

DFF_ONNX_DATA=... python benchmarks/choice.py [groups|cost ...]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from icoseg_k1 import LAYERS

from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.choice import choose_k
from dff_onnx.factorization import factorize
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize
from dff_onnx.progress import Silent
from dff_onnx.runs.collect import Collected, collect

T = TypeVar("T")
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Prints the tables that were asked for, or all."""
    for name in sys.argv[1:] or TABLES:
        print(f"\n{name}", flush=True)
        TABLES[name]()


def groups() -> None:
    """The numbers of concepts of every group, and of the pictures in `examples`."""
    icoseg = sorted((Path(os.environ["DFF_ONNX_DATA"]) / "icoseg" / "images").iterdir())
    for folder in [*icoseg, HERE.parent / "examples" / "bunny", HERE.parent / "examples" / "rodents"]:
        for name in ("compact", "squeezenet1_1"):
            rows = _rows(folder, name)
            choice = choose_k(rows.A, [grid.cells for grid in rows.grids])
            halves = " ".join("-" if one.halves is None else f"{one.halves:.2f}" for one in choice.tried)
            print(
                f"  {folder.name[:24]:<24} {name:<13} {len(rows.seen):>2} pictures: {choice.k:>2}  {halves}", flush=True
            )


def cost() -> None:
    """Processor seconds of the choice beside those of one factorization and of the network."""
    folders = Path(os.environ["DFF_ONNX_DATA"])
    for folder in (folders / "photos", folders / "icoseg" / "images" / "036 Gymnastics-1"):
        for name in ("compact", "squeezenet1_1"):
            rows, network = _timed(partial(_rows, folder, name))
            _, once = _timed(partial(factorize, rows.A, 4))
            _, chosen = _timed(partial(choose_k, rows.A, [grid.cells for grid in rows.grids]))
            print(
                f"  {folder.name[:20]:<20} {name:<13} network {network:.2f} s, k=4 {once:.2f} s, choice {chosen:.2f} s"
            )


def _rows(folder: Path, name: str) -> Collected:
    model = Path(os.environ["DFF_ONNX_DATA"]) / "models" / f"{name}.onnx"
    backbone = Backbone.open() if name == "compact" else Backbone.open(model, LAYERS[name][0])
    return collect(folder, walk_pictures(folder), backbone, Resize("square", 224), Silent())


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    return work(), time.process_time() - start


TABLES = {"groups": groups, "cost": cost}


if __name__ == "__main__":
    main()
