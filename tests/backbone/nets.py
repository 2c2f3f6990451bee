"""Small networks, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


def weights(name: str, *shape: int, seed: int = 0) -> TensorProto:
    values = np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def model(
    nodes: list[NodeProto],
    tensors: list[TensorProto],
    output: str,
    channels: int,
    shape: tuple[Any, ...] = ("n", 3, "h", "w"),
    kind: int = TensorProto.FLOAT,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", kind, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", channels, None, None])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def plain(shape: tuple[Any, ...] = ("n", 3, "h", "w")) -> ModelProto:
    """conv, relu1, pool, conv, relu2, and a convolution that can be negative."""
    return model(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"], name="first", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv1"], ["relu1"], name="rectifier"),
            helper.make_node("MaxPool", ["relu1"], ["pool1"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Conv", ["pool1", "w2"], ["conv2"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv2"], ["relu2"]),
            helper.make_node("Conv", ["relu2", "w3"], ["conv3"]),
        ],
        [weights("w1", 8, 3, 3, 3), weights("w2", 16, 8, 3, 3, seed=1), weights("w3", 9, 16, 1, 1, seed=2)],
        "conv3",
        9,
        shape,
    )


def gated() -> ModelProto:
    """SiLU: features times their sigmoid, which is no feature."""
    return model(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1]),
            helper.make_node("Sigmoid", ["conv1"], ["gate"]),
            helper.make_node("Mul", ["conv1", "gate"], ["silu"]),
        ],
        [weights("w1", 8, 3, 3, 3)],
        "silu",
        8,
    )


def branching() -> ModelProto:
    """An If whose branches refer to a tensor outside them."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["relu1"], [f"{name}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, ["n", 8, None, None])],
        )
        for name, kind in (("then", "Identity"), ("else", "Neg"))
    }
    return model(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv1"], ["relu1"]),
            helper.make_node("If", ["yes"], ["chosen"], **branches),
            helper.make_node("Relu", ["chosen"], ["end"]),
        ],
        [weights("w1", 8, 3, 3, 3), numpy_helper.from_array(np.array(True), "yes")],
        "end",
        8,
    )


def saved(made: ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    (folder / name).write_bytes(made.SerializeToString())
    return folder / name


def picture(n: int = 2, height: int = 40, width: int = 56, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def reshaped(shape: tuple[int, ...]) -> ModelProto:
    """A network whose grid is written into it: conv, ReLU, a Reshape to the fixed size of its cells, ReLU."""
    n, _, height, width = shape
    sizes = np.array([n, 8, height, width], np.int64)
    return model(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1]),
            helper.make_node("Reshape", ["conv1", "sizes"], ["shaped"]),
            helper.make_node("Relu", ["shaped"], ["relu1"]),
        ],
        [weights("w1", 8, 3, 3, 3), numpy_helper.from_array(sizes, "sizes")],
        "relu1",
        8,
        shape,
    )


def channels_last(shape: tuple[Any, ...] = ("n", "h", "w", 3), kind: int = TensorProto.FLOAT) -> ModelProto:
    """As TensorFlow's converter writes it: channels last outside, first around the convolution, a bias in between."""
    before = [helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT)]
    made = model(
        [
            *before,
            helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "w1"], ["conv1"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Transpose", ["conv1"], ["last"], perm=[0, 2, 3, 1]),
            helper.make_node("Add", ["last", "bias"], ["biased"]),
            helper.make_node("Relu", ["biased"], ["relu1"]),
        ],
        [weights("w1", 8, 3, 3, 3), weights("bias", 8, seed=1)],
        "relu1",
        8,
        shape,
        kind,
    )
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("relu1", TensorProto.FLOAT, ["n", None, None, 8]))
    return made


def by_hand(made: ModelProto, layer: str, values: Any, source: str = "image") -> Any:
    """What plain ONNX Runtime makes of the network."""
    import onnxruntime

    copy = ModelProto()
    copy.CopyFrom(made)
    del copy.graph.output[:]
    copy.graph.output.append(ValueInfoProto(name=layer))
    session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([layer], {source: values})[0]
