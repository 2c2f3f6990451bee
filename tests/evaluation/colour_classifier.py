"""The network of `figures` with a head: red, green and blue are its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from figures import CHANNELS, GROUND, answers, colour_network
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from square_trees import SIDE, square

FEATURES = "mixed"
SHADES = np.array([(220, 20, 20), (20, 200, 20), (30, 30, 220)], float)
BIAS = np.array([0.1, 0.2, -0.3], np.float32)


def weights() -> NDArray[np.float32]:
    """`(3, CHANNELS)`: each class for its own colour and against the others."""
    heard = answers(SHADES)
    heard = heard / np.linalg.norm(heard, axis=1, keepdims=True)
    return np.asarray(3 * (heard - heard.mean(axis=0)), np.float32)


def colour_classifier(path: Path) -> Path:
    """Writes the network, its features, a mean over all places, and a linear layer."""
    made = onnx.load(colour_network(path))
    graph = made.graph
    graph.node.extend(
        [
            helper.make_node("GlobalAveragePool", [FEATURES], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights of classes", "bias of classes"], ["scores"], transB=1),
        ]
    )
    graph.initializer.extend(
        [
            numpy_helper.from_array(weights(), "weights of classes"),
            numpy_helper.from_array(BIAS, "bias of classes"),
        ]
    )
    assert weights().shape == (len(SHADES), CHANNELS)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(SHADES)]))
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString())
    return path


def write_coloured(root: Path, name: str, colours: list[int], corner: int = 16) -> Path:
    """Writes an iCoseg-shaped group, squares of these classes' colours and their masks; gives the pictures' folder."""
    for number, colour in enumerate(colours):
        pixels = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
        pixels[square(corner)] = SHADES[colour]
        images = {"images": pixels, "ground_truth": square(corner).astype(np.uint8) * 255}
        for folder, image in images.items():
            (root / folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / folder / name / f"{number}.png")
    return root / "images" / name
