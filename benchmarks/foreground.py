"""Foreground mode where it was not tuned: later pictures, objects off the centre, strangers in the set.

    DFF_ONNX_DATA=... python benchmarks/foreground.py [compact|squeezenet1_1 ...]

Rows are means over iCoseg's groups: IoU summed over a group and divided once. `plain` is the paper's k=1 protocol on
the same pictures.

- later: the model is learned from the pictures at even places and projected on the others; beside it what the others
  have when all pictures are looked at together.
- off the centre: every picture is cropped to 70 % of its sides, as far from its object as 80 % of the object allow.
- strangers: to each group come unrelated photographs, a third and once as many as its own; its own are scored.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from icoseg_k1 import LAYERS, ground_truth
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.backbone.protocol import Activations
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.foreground import View, project
from dff_onnx.images import Resize, read_original
from dff_onnx.progress import Silent
from dff_onnx.runs.collect import collect
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.foreground import WORKING_SIDE
from dff_onnx.runs.settings import Settings

SIZE = Resize("square", 448)
FOREGROUND, PLAIN = Settings(foreground=True, resize=SIZE), Settings(k=1, resize=SIZE)
Mask = NDArray[np.bool_]
Truths = dict[str, Mask]


def main() -> None:
    """Prints the table of each network."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    for name in sys.argv[1:] or ["compact", "squeezenet1_1"]:
        backbone = (
            Backbone.open() if name == "compact" else Backbone.open(data / "models" / f"{name}.onnx", LAYERS[name][0])
        )
        print(f"\n{name} at {SIZE.pixels}: mean IoU over the groups (least of a group)", flush=True)
        for title, measure in CASES.items():
            rows = np.asarray(
                [measure(data, group, backbone) for group in sorted((data / "icoseg" / "images").iterdir())]
            )
            cells = [
                f"{label} {m:.3f} ({low:.2f})"
                for label, m, low in zip(LABELS[title], rows.mean(0), rows.min(0), strict=True)
            ]
            print(f"  {title:<22} {', '.join(cells)}", flush=True)


def later(data: Path, group: Path, backbone: Activations) -> list[float]:
    """Projected, looked at together, plain."""
    truths = truths_of(data, group)
    together = discover(group, backbone, FOREGROUND)
    paths = together.paths
    with tempfile.TemporaryDirectory() as folder:
        for path in paths[::2]:
            (Path(folder) / path.name).symlink_to(group / path)
        learned = discover(folder, backbone, FOREGROUND).foreground
    if learned is None:
        raise RuntimeError("foreground mode gives a model")
    model, others = learned.model, paths[1::2]
    rows = collect(group, others, backbone, model.resize, Silent())
    pictures = [read_original(group / path, WORKING_SIDE) for path in others]
    maps = project(model, View(rows.A, rows.grids, model.resize), pictures)
    projected = [enlarged(one, truths[path.stem].shape) for one, path in zip(maps, others, strict=True)]
    theirs = [truths[path.stem] for path in others]
    ours = [together.masks(i)[0] for i in range(1, len(paths), 2)]
    plain = discover(group, backbone, PLAIN)
    return [
        iou(projected, theirs),
        iou(ours, theirs),
        iou([plain.masks(i)[0] for i in range(1, len(paths), 2)], theirs),
    ]


def off_the_centre(data: Path, group: Path, backbone: Activations) -> list[float]:
    """Foreground mode, plain."""
    truths = truths_of(data, group)
    with tempfile.TemporaryDirectory() as folder:
        cropped: Truths = {}
        for path in sorted(group.iterdir()):
            top, left, height, width = away_from(truths[path.stem])
            cropped[path.stem] = truths[path.stem][top : top + height, left : left + width]
            with Image.open(path) as image:
                image.crop((left, top, left + width, top + height)).save(Path(folder) / f"{path.stem}.png")
        return [scored(discover(folder, backbone, how), cropped) for how in (FOREGROUND, PLAIN)]


def strangers(share: float) -> Callable[[Path, Path, Activations], list[float]]:
    """Foreground mode and plain on a group with so many unrelated photographs, as a share of its own."""

    def measure(data: Path, group: Path, backbone: Activations) -> list[float]:
        own = sorted(group.iterdir())
        photos = sorted((data / "photos").iterdir())
        many = max(1, round(share * len(own)))
        chosen = np.random.default_rng(len(own)).choice(len(photos), many, replace=False)
        with tempfile.TemporaryDirectory() as folder:
            for number, path in enumerate([*own, *(photos[i] for i in chosen)]):
                name = path.name if number < len(own) else f"stranger {path.name}"
                (Path(folder) / name).symlink_to(path)
            return [scored(discover(folder, backbone, how), truths_of(data, group)) for how in (FOREGROUND, PLAIN)]

    return measure


CASES: dict[str, Callable[[Path, Path, Activations], list[float]]] = {
    "later pictures": later,
    "off the centre": off_the_centre,
    "a third are strangers": strangers(0.5),
    "half are strangers": strangers(1.0),
}
LABELS = {
    "later pictures": ["projected", "together", "plain"],
    "off the centre": ["foreground", "plain"],
    "a third are strangers": ["foreground", "plain"],
    "half are strangers": ["foreground", "plain"],
}


def truths_of(data: Path, group: Path) -> Truths:
    """A group's masks by the stems of their files."""
    return {path.stem: ground_truth(path) for path in (data / "icoseg" / "ground_truth" / group.name).iterdir()}


def scored(found: Discovery, truths: Truths) -> float:
    """IoU over the pictures that have a mask."""
    known = [(found.masks(i)[0], truths[path.stem]) for i, path in enumerate(found.paths) if path.stem in truths]
    return iou([ours for ours, _ in known], [theirs for _, theirs in known])


def iou(ours: Sequence[Mask], theirs: Sequence[Mask]) -> float:
    """Summed, then divided."""
    pairs = list(zip(ours, theirs, strict=True))
    return sum(int((a & b).sum()) for a, b in pairs) / sum(int((a | b).sum()) for a, b in pairs)


def enlarged(maps: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    """A map of 0..255 as a mask of another size."""
    resized: Mask = np.asarray(Image.fromarray(maps).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)) >= 128
    return resized


def away_from(truth: Mask) -> tuple[int, int, int, int]:
    """Top, left, height and width of the crop whose middle is farthest from the object it keeps."""
    height, width = (int(0.7 * side) for side in truth.shape)
    corners = list(places(truth.shape, height, width))
    crops = [truth[top : top + height, left : left + width] for top, left in corners]
    kept = [
        (far_off(crop), *corner) for crop, corner in zip(crops, corners, strict=True) if crop.sum() >= 0.8 * truth.sum()
    ]
    if not kept:
        return (truth.shape[0] - height) // 2, (truth.shape[1] - width) // 2, height, width
    _, top, left = max(kept)
    return top, left, height, width


def places(shape: tuple[int, ...], height: int, width: int) -> Iterator[tuple[int, int]]:
    """Of a 7 x 7 lattice of crops."""
    for down in range(7):
        for across in range(7):
            yield (shape[0] - height) * down // 6, (shape[1] - width) * across // 6


def far_off(truth: Mask) -> float:
    """Of the object's middle from the crop's, in parts of its sides."""
    rows, columns = np.nonzero(truth)
    return float(np.hypot(rows.mean() / truth.shape[0] - 0.5, columns.mean() / truth.shape[1] - 0.5))


if __name__ == "__main__":
    main()
