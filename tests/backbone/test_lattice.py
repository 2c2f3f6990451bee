"""Where cells look, told by arithmetic and seen by moving a bright pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from nets import model, plain
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.lattice import PIXELS, Lattice, lattice_of
from dff_onnx.errors import ModelError

NET = Path("net.onnx")
SIZE = 96


def box_filters(*windows: dict[str, Any]) -> ModelProto:
    """Convolutions of equal weights, each of 8 channels; a `pad` before one is a node of its own."""
    nodes, tensors, source, channels = [], [], "image", 3
    for i, window in enumerate(windows):
        kernel, before = window["kernel_shape"][0], window.pop("pad", None)
        if before is not None:
            tensors.append(numpy_helper.from_array(np.array([0, 0, before, before, 0, 0, 1, 1], np.int64), f"pads{i}"))
            nodes.append(helper.make_node("Pad", [source, f"pads{i}"], [f"padded{i}"]))
            source = f"padded{i}"
        tensors.append(numpy_helper.from_array(np.ones((8, channels, kernel, kernel), np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [source, f"w{i}"], [f"conv{i}"], **window))
        source, channels = f"conv{i}", 8
    return model(nodes, tensors, source, 8)


def seen_lattice(net: ModelProto, layer: str) -> Lattice:
    """The centre of all pixels that two cells in the middle answer to."""
    session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.arange(SIZE)
    pictures = np.zeros((SIZE, 3, SIZE, SIZE), np.float32)
    pictures[rows, :, rows, :] = 1.0  # one bright row each
    answers = session.run([layer], {"image": pictures})[0][:, 0]
    middle = answers.shape[2] // 2
    first = answers.shape[1] // 2
    centres = [rows[answers[:, cell, middle] > 0].mean() for cell in (first, first + 1)]
    stride = centres[1] - centres[0]
    return Lattice(stride, centres[0] - first * stride)


SQUARE = {"kernel_shape": [3, 3], "strides": [2, 2]}
CASES = {
    "no padding": [SQUARE, SQUARE, SQUARE],
    "symmetric padding": [SQUARE | {"pads": [1, 1, 1, 1]}] * 3,
    "as TensorFlow pads": [SQUARE | {"auto_pad": "SAME_UPPER"}] * 4,
    "as TensorFlow pads wide windows": [{"kernel_shape": [5, 5], "strides": [2, 2], "auto_pad": "SAME_UPPER"}] * 2,
    "as it padded before": [SQUARE | {"auto_pad": "SAME_LOWER"}] * 2,
    "a node that pads": [SQUARE | {"pad": 0}, SQUARE | {"pad": 1}],
    "dilation": [SQUARE | {"pads": [1, 1, 1, 1]}, {"kernel_shape": [3, 3], "dilations": [2, 2], "pads": [1, 1, 1, 1]}],
    "even kernels": [{"kernel_shape": [4, 4], "strides": [4, 4]}, {"kernel_shape": [2, 2], "strides": [2, 2]}],
}


@pytest.mark.parametrize("name", CASES)
def test_arithmetic_and_sight_agree(name: str) -> None:
    net = box_filters(*({**window} for window in CASES[name]))
    layer = net.graph.node[-1].output[0]
    found, seen = lattice_of(net, layer, NET), seen_lattice(net, layer)
    assert (found.stride, found.offset) == pytest.approx((seen.stride, seen.offset))


def test_pools_and_activations_are_walked_through() -> None:
    assert lattice_of(plain(), "relu1", NET) == PIXELS
    assert lattice_of(plain(), "relu2", NET) == Lattice(2.0, 0.5)


def test_padding_that_the_graph_computes_is_run() -> None:
    net = box_filters(SQUARE | {"pad": 1})
    net.graph.node.insert(0, helper.make_node("Cast", ["floats"], ["pads0"], to=TensorProto.INT64))
    pads = next(tensor for tensor in net.graph.initializer if tensor.name == "pads0")
    values = numpy_helper.to_array(pads).astype(np.float32)
    net.graph.initializer.remove(pads)
    net.graph.initializer.append(numpy_helper.from_array(values, "floats"))
    assert lattice_of(net, "conv0", NET) == Lattice(2.0, 0.0)


def test_tokens_and_oblong_windows_are_refused() -> None:
    shape = numpy_helper.from_array(np.array([0, 8, -1, 1], np.int64), "shape")
    net = box_filters(SQUARE)
    net.graph.node.append(helper.make_node("Reshape", ["conv0", "shape"], ["tokens"]))
    net.graph.initializer.append(shape)
    with pytest.raises(ModelError, match=r"net\.onnx: 'tokens' has no lattice of cells: a Reshape"):
        lattice_of(net, "tokens", NET)
    with pytest.raises(ModelError, match="strides of"):
        lattice_of(box_filters({"kernel_shape": [3, 3], "strides": [2, 1]}), "conv0", NET)
    with pytest.raises(ModelError, match="not centred alike"):
        lattice_of(box_filters(SQUARE | {"pads": [1, 0, 0, 1]}), "conv0", NET)
