"""The embedded backbone beside its teachers, and beside random weights of its own shape, on iCoseg.

    DFF_ONNX_DATA=... python benchmarks/embedded.py [--model OTHER.onnx]

k=1: mean IoU and CorLoc of the exact one-concept DFF; k=3: IoU of the best of three concepts, per group. Thresholds are
the 75th percentile over the set. Times are of the network alone, two threads, the best of several rounds in turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from icoseg_k1 import LAYERS, ground_truth, mask_of, measure
from numpy.typing import NDArray
from onnx import numpy_helper

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.discover import discover
from dff_onnx.runs.settings import Settings

ROUNDS = 15


@dataclass(frozen=True)
class Row:
    """Of one network at one size, averaged over the groups."""

    iou: float
    corloc: float
    best: float
    zeros: float


def main() -> int:
    """Prints the tables."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    model = _arguments().model or embedded_model()
    groups = sorted(path.name for path in (data / "icoseg" / "images").iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        networks: dict[str, tuple[Backbone, int]] = {"embedded@224": (Backbone.open(model, threads=2), 224)}
        for name, size in (
            ("squeezenet1_1", 448), ("squeezenet1_1", 224), ("mobilenetv2-cam", 448),
            ("resnet50v2-stage3", 448), ("resnet50v2-stage3", 224),
        ):  # fmt: skip
            layer, preprocessing = LAYERS[name]
            path = data / "models" / f"{name}.onnx"
            networks[f"{name}@{size}"] = Backbone.open(path, layer, preprocessing=preprocessing, threads=2), size
        for seed in range(3):
            path = randomised(model, Path(scratch) / f"random{seed}.onnx", seed)
            networks[f"random weights {seed}@224"] = Backbone.open(path, threads=2), 224
        rows = {name: row(data / "icoseg", groups, *network) for name, network in networks.items()}
        table(rows)
        trained = {name: network for name, network in networks.items() if "random" not in name}
        times(trained, data / "models" / "squeezenet1_1.onnx")
    return 0


def row(icoseg: Path, groups: list[str], backbone: Backbone, size: int) -> Row:
    """All groups with one network."""
    ones = [measure(icoseg, group, backbone, size) for group in groups]
    best = [best_of_three(icoseg, group, backbone, size) for group in groups]
    zeros = [share_of_zeros(icoseg / "images" / group, backbone, size) for group in groups]
    return Row(*(float(np.mean(v)) for v in ([f.iou for f in ones], [f.corloc for f in ones], best, zeros)))


def best_of_three(icoseg: Path, group: str, backbone: Backbone, size: int) -> float:
    """The highest IoU with the truth that one concept of three reaches, summed over the group."""
    found = discover(icoseg / "images" / group, backbone, Settings(k=3, resize=Resize("square", size)))
    inter, union = np.zeros(3), np.zeros(3)
    for index in range(len(found.images)):
        truth = ground_truth(icoseg / "ground_truth" / group / f"{found.paths[index].stem}.png")
        for concept in range(3):
            ours = mask_of(found, index, concept)
            inter[concept] += (ours & truth).sum()
            union[concept] += (ours | truth).sum()
    return float((inter / union).max())


def share_of_zeros(folder: Path, backbone: Backbone, size: int) -> float:
    """Of the activations of a folder's pictures."""
    pictures = [read_picture(folder / path, Resize("square", size)).pixels[None] for path in walk_pictures(folder)]
    return float(np.mean([(np.asarray(backbone(picture)) == 0).mean() for picture in pictures]))


def randomised(model: Path, path: Path, seed: int) -> Path:
    """The same network with He's random weights and no biases."""
    made, rng = onnx.load(model), np.random.default_rng(seed)
    for tensor in made.graph.initializer:
        if len(tensor.dims) == 4:
            values = rng.normal(0, np.sqrt(2 / np.prod(tensor.dims[1:])), tensor.dims)
        elif tensor.name.endswith(".bias"):
            values = np.zeros(tensor.dims)
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.save(made, path)
    return path


def table(rows: Mapping[str, Row]) -> None:
    """Absolute figures, and those relative to SqueezeNet at 448."""
    peer = rows["squeezenet1_1@448"]
    print(f"{'network':<24} {'IoU k=1':>8} {'CorLoc':>8} {'IoU k=3':>8} {'zeros':>7}   of SqueezeNet 1.1 at 448")
    for name, found in rows.items():
        shares = (found.iou / peer.iou, found.corloc / peer.corloc, found.best / peer.best)
        print(
            f"{name:<24} {found.iou:8.3f} {found.corloc:8.3f} {found.best:8.3f} {found.zeros:7.3f}   "
            + " ".join(f"{share:5.2f}" for share in shares)
        )


def times(networks: Mapping[str, tuple[Backbone, int]], complete: Path) -> None:
    """Milliseconds a picture, in batches of 8; the complete SqueezeNet among them, whose others end at fire9."""
    timed = {name: (backbone.session, given(backbone, size)) for name, (backbone, size) in networks.items()}
    peer = timed["squeezenet1_1@224"][1]
    timed["squeezenet1_1 whole@224"] = create_session(complete.read_bytes(), "cpu", 2), peer
    best = dict.fromkeys(timed, np.inf)
    for _ in range(ROUNDS):
        for name, (session, inputs) in timed.items():
            session.run(None, inputs)
            started = time.perf_counter()
            for _ in range(3):
                session.run(None, inputs)
            best[name] = min(best[name], (time.perf_counter() - started) / 24)
    print("\nmilliseconds a picture, batch of 8, two threads")
    for name, seconds in best.items():
        print(
            f"{name:<24} {1000 * seconds:7.2f}   {seconds / best['squeezenet1_1@224']:5.2f} of SqueezeNet 1.1 at 224, "
            f"{seconds / best['squeezenet1_1@448']:5.2f} at 448"
        )


def given(backbone: Backbone, size: int) -> dict[str, NDArray[Any]]:
    """A batch as the graph takes it: what normalises pixels outside of the graph is no part of the network's time."""
    pixels = np.random.default_rng(0).integers(0, 255, (8, size, size, 3), np.uint8)
    return {backbone.session.get_inputs()[0].name: to_input(pixels, backbone.fingerprint.preprocessing)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="another student")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
