"""Whether `dff-onnx layers --on` recommends the layer that a person with masks would take.

    DFF_ONNX_DATA=... python benchmarks/layers.py [GROUP ...]

For six networks and three groups of iCoseg (elephants, Taj Mahal, gymnastics; `all` takes every group): the IoU of the
best concept at k = 4 for each layer compared, and the place of the recommended one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from icoseg_k1 import ground_truth, mask_of

from dff_onnx.backbone.graph import candidate_layers
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.export import export_file
from dff_onnx.records import Preprocessing
from dff_onnx.runs.compare_layers import compare_layers
from dff_onnx.runs.discover import discover
from dff_onnx.runs.settings import Settings

GROUPS = ("021 Elephants", "017 Agra", "036 Gymnastics-1")
HALF = Preprocessing(mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
OXFORD = Preprocessing(mean=(123.68, 116.779, 103.939), std=(1.0,) * 3, scale=1.0)
K = 4


def main() -> int:
    """Prints a line for each network and group."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    folders = sorted((data / "icoseg" / "images").iterdir())
    wanted = sys.argv[1:] or GROUPS
    chosen = [f for f in folders if wanted == ["all"] or f.name.startswith(tuple(wanted))]
    good = total = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name, path, preprocessing in networks(data / "models", Path(scratch)):
            for folder in chosen:
                place, line = examined(path, preprocessing, folder, data / "icoseg" / "ground_truth" / folder.name)
                good, total = good + (place <= 2), total + 1
                print(f"{name:<18} {folder.name[:18]:<18} {line}", flush=True)
    print(f"the recommended layer is the best or second best in {good} of {total}")
    return 0


def networks(models: Path, scratch: Path) -> Iterator[tuple[str, Path, Preprocessing | None]]:
    """The six networks of the data folder; checkpoints are exported."""
    for stem, architecture, said in (
        ("squeezenet1_1", "squeezenet1_1", None),
        ("resnet18-layer3", "resnet18", None),
        ("vgg19-relu3_4", "vgg19", OXFORD),
    ):
        made = export_file(architecture, models / f"{stem}.safetensors", scratch / f"{stem}.onnx", (), said)
        yield stem, made.path, None
    for stem, said in (("squeezenet1_1", None), ("mobilenetv2-cam", HALF), ("resnet50v2-stage3", None)):
        yield f"{stem}.onnx", models / f"{stem}.onnx", said


def examined(path: Path, preprocessing: Preprocessing | None, folder: Path, truth: Path) -> tuple[int, str]:
    """The place of the recommended layer among those compared, and a line that says it."""
    file = load_model(path)

    def opened(layer: str) -> Backbone:
        return Backbone.open(path, layer, device="cpu", preprocessing=preprocessing)

    candidates = candidate_layers(file.model, path)
    chosen = compare_layers(folder, candidates, opened, ks=(1, K)).recommended
    ious = {c.name: best_iou(opened(c.name), folder, truth) for c in candidates}
    place = 1 + sum(iou > ious[chosen] for iou in ious.values())
    shown = "  ".join(f"{iou:.3f}{'*' if name == chosen else ''}" for name, iou in ious.items())
    return place, f"place {place} of {len(ious)}   {shown}"


def best_iou(backbone: Backbone, folder: Path, truth: Path) -> float:
    """Of the concepts at k = 4, over the whole group: intersections summed, divided once."""
    found = discover(folder, backbone, Settings(k=K))
    inter, union = np.zeros(K), np.zeros(K)
    for index, path in enumerate(found.paths):
        mask = ground_truth(truth / f"{path.stem}.png")
        for concept in range(K):
            ours = mask_of(found, index, concept)
            inter[concept] += (ours & mask).sum()
            union[concept] += (ours | mask).sum()
    return float((inter / union).max())


if __name__ == "__main__":
    sys.exit(main())
