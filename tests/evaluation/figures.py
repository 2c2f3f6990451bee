"""A set with known parts: articulated figures on clutter, and a network that sees their colours, mixed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD

SIDE = 224
PARTS = ("head", "torso", "arms", "legs")
COLOURS = {"head": (205, 78, 70), "torso": (56, 98, 205), "arms": (70, 180, 84), "legs": (214, 182, 40)}
GROUND = (124, 116, 104)  # ImageNet's mean: the network sees nothing there
DIRECTIONS, SHARED = 10, 2
CHANNELS = DIRECTIONS + SHARED
GAIN, BIAS = 0.8, -0.3
STRIDE = 4

Point = tuple[float, float]


def make_figures(folder: Path, n: int, seed: int = 0) -> None:
    """Writes `pictures/NNN.png` and `parts/NNN/<part>.png` (0 and 255): one figure a picture, equal for equal seeds.

    Masks are exact: a pixel has the colour of the part it belongs to, and belongs to one part at most.
    """
    (folder / "pictures").mkdir(parents=True)
    for number in range(n):
        rng = np.random.default_rng((seed, number))
        drawn = labels(rng)
        Image.fromarray(painted(drawn, rng)).save(folder / "pictures" / f"{number:03}.png")
        home = folder / "parts" / f"{number:03}"
        home.mkdir(parents=True)
        for part, name in enumerate(PARTS, 1):
            Image.fromarray(np.where(drawn == part, 255, 0).astype(np.uint8)).save(home / f"{name}.png")


def read_parts(folder: Path, stem: str) -> NDArray[np.bool_]:
    """The masks `(4, H, W)` of a picture, in the order of `PARTS`."""
    return np.stack([np.asarray(Image.open(folder / "parts" / stem / f"{name}.png")) > 0 for name in PARTS])


def colour_network(path: Path) -> Path:
    """Writes a network of stride 4: ten directions of colour, and two channels that answer to any colour.

    Pooling, convolution, ReLU, pooling, convolution, ReLU; the output is `mixed`. Each part wakes several channels, and
    no channel is one part. Its input is what torchvision's networks take: NCHW, normalised.
    """
    tensors = {
        "weights": directions(DIRECTIONS)[:, :, None, None] * GAIN,
        "bias": np.full(DIRECTIONS, BIAS),
        "mixing": mixing()[:, :, None, None],
    }
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["image"], ["smooth"], **pool),
            helper.make_node("Conv", ["smooth", "weights", "bias"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("AveragePool", ["relu"], ["coarse"], **pool),
            helper.make_node("Conv", ["coarse", "mixing"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["mixed"]),
        ],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("mixed", TensorProto.FLOAT, ["n", CHANNELS, "h4", "w4"])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(made.SerializeToString())
    return path


def answers(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the network says of plain colours `(m, 3)`, 0..255: `(m, CHANNELS)`."""
    normal = (colours / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    first = np.maximum(normal @ directions(DIRECTIONS).T * GAIN + BIAS, 0)
    return np.maximum(first @ mixing().T, 0)


def mixing() -> NDArray[np.float64]:
    """The second convolution `(CHANNELS, DIRECTIONS)`: neighbouring directions run into each other."""
    blurred = np.eye(DIRECTIONS) + 0.25 * np.roll(np.eye(DIRECTIONS), 1, axis=1)
    return np.concatenate([blurred, np.full((SHARED, DIRECTIONS), 0.6)])


def directions(count: int) -> NDArray[np.float64]:
    """Unit vectors `(count, 3)` spread over the sphere of colours (Fibonacci's spiral)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * math.pi * (3 - math.sqrt(5))
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


def labels(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A figure in a random pose, `(SIDE, SIDE)`: 0 is the ground, 1 and on the parts."""
    canvas = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(canvas)
    scale = rng.uniform(0.85, 1.15)
    lean = rng.uniform(-0.25, 0.25)
    hips = (SIDE / 2 + rng.uniform(-28, 28), SIDE * 0.57 + rng.uniform(-10, 10))
    neck = moved(hips, math.pi + lean, 56 * scale)
    for side in (-1, 1):
        leg = rng.uniform(0.15, 0.6) * side
        limb(draw, moved(hips, math.pi / 2 * side, 12 * scale), leg, leg + rng.uniform(-0.5, 0.5), 38, 25, 4, scale)
        arm = rng.uniform(0.7, 2.4) * side
        limb(draw, moved(neck, math.pi / 2 * side, 20 * scale), arm, arm + rng.uniform(-0.9, 0.9), 34, 20, 3, scale)
    capsule(draw, hips, moved(neck, lean, 10 * scale), 46 * scale, 2)
    x, y = moved(neck, math.pi + lean + rng.uniform(-0.2, 0.2), 26 * scale)
    draw.ellipse((x - 18 * scale, y - 21 * scale, x + 18 * scale, y + 21 * scale), fill=1)
    return np.asarray(canvas)


def limb(
    draw: ImageDraw.ImageDraw,
    joint: Point,
    upper: float,
    lower: float,
    length: float,
    width: float,
    label: int,
    scale: float,
) -> None:
    """Two capsules with a bend between them."""
    bend = moved(joint, upper, length * scale)
    capsule(draw, joint, bend, width * scale, label)
    capsule(draw, bend, moved(bend, lower, length * scale), width * scale, label)


def capsule(draw: ImageDraw.ImageDraw, start: Point, end: Point, width: float, label: int) -> None:
    draw.line([start, end], fill=label, width=round(width))
    for x, y in (start, end):
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=label)


def moved(point: Point, angle: float, length: float) -> Point:
    """Down for the angle 0, to the right for a quarter turn."""
    return point[0] + length * math.sin(angle), point[1] + length * math.cos(angle)


def painted(drawn: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture of a label image: clutter, and each part in its colour with stripes; noise over all."""
    pixels = clutter(rng)
    y, x = np.mgrid[:SIDE, :SIDE]
    for part, name in enumerate(PARTS, 1):
        stripes = 9 * np.sin(x * rng.uniform(-0.5, 0.5) + y * rng.uniform(-0.5, 0.5) + rng.uniform(0, 6))
        colour = np.array(COLOURS[name]) + rng.uniform(-6, 6, 3)
        inside = drawn == part
        pixels[inside] = colour + stripes[inside][:, None]
    noisy = pixels + rng.normal(0, 11, pixels.shape)
    return np.clip(noisy.round(), 0, 255).astype(np.uint8)


def clutter(rng: np.random.Generator) -> NDArray[np.float64]:
    """Ellipses of many sizes that differ little from the ground."""
    canvas = Image.new("RGB", (SIDE, SIDE), GROUND)
    draw = ImageDraw.Draw(canvas)
    for _ in range(60):
        x, y = rng.uniform(0, SIDE, 2)
        across, down = rng.uniform(4, 50, 2)
        shade = np.array(GROUND) + rng.uniform(-14, 14) + rng.uniform(-7, 7, 3)
        draw.ellipse((x - across, y - down, x + across, y + down), fill=tuple(shade.round().astype(int).tolist()))
    return np.asarray(canvas, np.float64)
