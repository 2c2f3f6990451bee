"""Exact one-concept DFF on iCoseg beside an independent implementation's figures, group by group.

    DFF_ONNX_DATA=... python benchmarks/icoseg_k1.py [NETWORK@SIZE ...]

A faithful implementation lands within 0.01 IoU of each group's figure, within one image per group in CorLoc, and
within 0.01 in both means.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.backbone.session import Backbone
from dff_onnx.images import Resize
from dff_onnx.maps import mask, upsample
from dff_onnx.records import Box, Preprocessing
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.settings import Settings

LAYERS = {
    "squeezenet1_1": ("/fires.7/Concat_output_0", None),
    "mobilenetv2-cam": (
        "features",
        Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5),
    ),
    "resnet50v2-stage3": ("features", None),
}


@dataclass(frozen=True)
class Figures:
    """Of one group."""

    images: int
    iou: float
    corloc: float


def main() -> int:
    """Prints the table; 1 where a figure is out of its tolerance."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    expected = json.loads((data / "expected" / "icoseg-k1.json").read_text())
    wrong = 0
    for name in sys.argv[1:] or sorted(expected):
        network, size = name.split("@")
        layer, preprocessing = LAYERS[network]
        backbone = Backbone.open(data / "models" / f"{network}.onnx", layer, preprocessing=preprocessing)
        ours = {group: measure(data / "icoseg", group, backbone, int(size)) for group in expected[name]}
        wrong += compare(name, expected[name], ours)
    print("within tolerance" if not wrong else f"{wrong} figures out of tolerance")
    return min(wrong, 1)


def compare(name: str, expected: dict[str, dict[str, float]], ours: dict[str, Figures]) -> int:
    """Prints one network's groups and means, and counts what is out of tolerance."""
    wrong = 0
    print(f"\n{name:<44} {'IoU':>15} {'CorLoc':>15}")
    for group, figures in ours.items():
        other = expected[group]
        out = abs(figures.iou - other["iou"]) > 0.01
        out |= abs(figures.corloc - other["corloc"]) * figures.images > 1.01 or figures.images != other["images"]
        wrong += out
        row = f"{figures.iou:7.4f} {other['iou']:7.4f} {figures.corloc:7.4f} {other['corloc']:7.4f}"
        print(f"{group[:44]:<44} {row}{'  !' if out else ''}")
    for what in ("iou", "corloc"):
        mine, theirs = (
            np.mean(v) for v in ([getattr(f, what) for f in ours.values()], [e[what] for e in expected.values()])
        )
        wrong += bool(abs(mine - theirs) > 0.01)
        print(f"  mean {what:<6} ours {mine:.4f}, theirs {theirs:.4f}")
    return wrong


def measure(icoseg: Path, group: str, backbone: Backbone, size: int) -> Figures:
    """IoU summed over the group and divided once; CorLoc > 0.5."""
    found = discover(icoseg / "images" / group, backbone, Settings(k=1, resize=Resize("square", size)))
    inter = union = hits = 0
    for index, image in enumerate(found.images):
        truth = ground_truth(icoseg / "ground_truth" / group / f"{found.paths[index].stem}.png")
        ours = mask_of(found, index)
        inter += int((ours & truth).sum())
        union += int((ours | truth).sum())
        box = image.concepts[0].box
        hits += box is not None and overlap(box, box_of(truth)) > 0.5
    return Figures(len(found.images), inter / union, hits / len(found.images))


def mask_of(found: Discovery, index: int, concept: int = 0) -> NDArray[np.bool_]:
    """A concept's mask at the picture's own size."""
    size, threshold = found.images[index].size, found.found.concepts[concept].threshold
    heat = upsample(found.heat_map(index)[[concept]], size.height, size.width)
    on: NDArray[np.bool_] = mask(heat, np.asarray([threshold], np.float32))[0]
    return on


def ground_truth(path: Path) -> NDArray[np.bool_]:
    """A 1-bit mask."""
    with Image.open(path) as image:
        on: NDArray[np.bool_] = np.asarray(image.convert("L")) > 0
        return on


def box_of(truth: NDArray[np.bool_]) -> Box:
    """Around everything that is on."""
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two half-open boxes."""
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    down = min(a.y1, b.y1) - max(a.y0, b.y0)
    inter = max(across, 0) * max(down, 0)
    return inter / (a.area + b.area - inter)


if __name__ == "__main__":
    sys.exit(main())
