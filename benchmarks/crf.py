"""The CRF on half of iCoseg's groups: which parameters, how much it helps, what subsampling costs, how long it takes.

    DFF_ONNX_DATA=... python benchmarks/crf.py

Maps are those of exact one-concept DFF; masks are scored at the pictures' size. The groups are every other one of the
sorted list (the tuning half): the other half is for `dff-onnx eval coseg ... --halves`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from foreground import iou, truths_of
from icoseg_k1 import LAYERS, box_of, overlap
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.session import Backbone
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, evidence, sharpen
from dff_onnx.maps.regions import regions_of
from dff_onnx.progress import Silent
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.settings import Settings

NETWORKS = (
    ("squeezenet1_1", 448),
    ("squeezenet1_1", 224),
    ("compact", 448),
    ("compact", 224),
    ("mobilenetv2-cam", 448),
)
SWEEP: tuple[dict[str, Any], ...] = (
    {}, {"weight": 2.0}, {"weight": 4.0}, {"weight": 8.0}, {"radius": 0.03}, {"radius": 0.09}, {"radius": 0.12},
    {"eps": 1e-5}, {"eps": 1e-3}, {"eps": 1e-2}, {"steps": 3}, {"steps": 8}, {"subsample": 1}, {"subsample": 2},
    {"subsample": 4},
)  # fmt: skip


def main() -> None:
    """Prints the sweep and the times."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    groups = sorted((data / "icoseg" / "images").iterdir())[::2]
    print("IoU / CorLoc, mean over the tuning half; defaults:", Crf().to_dict())
    print(f"{'':<20}" + "".join(f"{f'{name}@{size}':>20}" for name, size in NETWORKS), flush=True)
    tables = [network_table(data, groups, name, size) for name, size in NETWORKS]
    for row, label in enumerate(["no CRF", *(str(change or "defaults") for change in SWEEP)]):
        cells = [f"{table[row][0]:.3f} / {table[row][1]:.3f}" for table in tables]
        print(f"{label:<20}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
    times()


def network_table(data: Path, groups: Sequence[Path], name: str, size: int) -> NDArray[np.float64]:
    """A row for no CRF and one for each change, `(rows, 2)`."""
    layer, preprocessing = LAYERS.get(name, (None, None))
    file = None if name == "compact" else data / "models" / f"{name}.onnx"
    backbone = Backbone.open() if file is None else Backbone.open(file, layer, preprocessing=preprocessing)
    found = []
    for group in groups:
        settings = Settings(k=1, resize=Resize("square", size))
        paths = [path.relative_to(group) for path in sorted(group.iterdir())]
        rows = collect(group, paths, backbone, settings.resize, Silent())
        crfs = [None, *(replace(Crf(), **change) for change in SWEEP)]
        found.append([scored(data, group, backbone, rows, replace(settings, crf=crf)) for crf in crfs])
    return np.asarray(np.mean(found, axis=0))


def scored(data: Path, group: Path, backbone: Backbone, rows: Collected, settings: Settings) -> tuple[float, float]:
    """IoU and CorLoc of a group."""
    truths = truths_of(data, group)
    made = discover_in(rows, group, backbone, settings)
    ours, theirs = [made.masks(i)[0] for i in range(len(made.paths))], [truths[path.stem] for path in made.paths]
    boxes = [found.regions[0].box if (found := regions_of(one[None])[0]).regions else None for one in ours]
    hits = [box is not None and overlap(box, box_of(truth)) > 0.5 for box, truth in zip(boxes, theirs, strict=True)]
    return iou(ours, theirs), float(np.mean(hits))


def times() -> None:
    """One core, 500 x 375 pixels, four concepts; the best of five."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
    picture = np.ascontiguousarray(np.asarray(noise, np.float32).transpose(2, 0, 1)) / 255
    heat = rng.random((4, 28, 28), np.float32)
    strength = evidence(heat, np.full(4, 0.6, np.float32), np.ones(4, np.float32))
    print("\nmilliseconds for 500 x 375 pixels and 4 concepts on one core:")
    for mode in ("binary", "joint"):
        for subsample in (1, 2, 3, 4):
            crf, best = Crf(mode, subsample=subsample), np.inf
            with single_threaded_blas():
                for _ in range(5):
                    start = time.perf_counter()
                    sharpen(strength, picture, crf)
                    best = min(best, time.perf_counter() - start)
            print(f"  {mode}, subsample {subsample}: {1000 * best:.0f}", flush=True)


if __name__ == "__main__":
    main()
