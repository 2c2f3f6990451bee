"""Weights and biases of a quantized network, rounded anew.

Weights get steps as fine as eight bits allow, and coarser ones where a pair of products could exceed 16 bits, in which
processors without VNNI add them. Biases make up for what rounded weights add on average (Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction", section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from dff_onnx.backbone.runtime import create_session

MOST_WEIGHT, MOST_ACTIVATION, MOST_PAIR, MOST_BIAS = 127, 255, 2**15 - 1, 2**30

# Of the network's input by its name; gone through twice.
Feeds = Iterable[Mapping[str, NDArray[Any]]]
Figures = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """One that is quantized: its node, weights and bias in float, the step and zero point of its input.

    Attributes:
        tensors: of the quantized network: weights, their scale, bias, its scale.
    """

    node: NodeProto
    weights: Figures
    bias: Figures
    step: float
    zero: int
    tensors: tuple[TensorProto, ...]

    def scale(self, peaks: Figures) -> Figures:
        """By output channel: as fine as eight bits allow, and coarser where a pair could saturate at these inputs."""
        outputs = len(self.weights)
        flat = self.weights.reshape(outputs, self.weights.shape[1], -1)
        scale = np.abs(flat).max(axis=(1, 2)) / MOST_WEIGHT
        if flat.shape[1] > 1:  # depthwise convolutions add in 32 bits
            most = np.clip(np.rint(peaks / self.step) + self.zero, self.zero, MOST_ACTIVATION)
            groups = most.reshape(-1, flat.shape[1])
            products = flat * np.repeat(groups, outputs // len(groups), axis=0)[:, :, None]
            for sign in (1, -1):
                pair = np.sort(np.maximum(sign * products, 0).reshape(outputs, -1), axis=1)[:, -2:].sum(axis=1)
                scale = np.maximum(scale, pair / MOST_PAIR)
        fine: Figures = np.maximum(scale, np.abs(self.bias) / (self.step * MOST_BIAS))
        return np.maximum(fine, np.finfo(np.float32).tiny)

    def rounded(self, peaks: Figures) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
        """The weights in steps, the step of each output channel, and what the rounding adds to the weights."""
        scale = self.scale(peaks).astype(np.float32)
        columns = scale.astype(np.float64).reshape(-1, *[1] * (self.weights.ndim - 1))
        whole = np.clip(np.rint(self.weights / columns), -MOST_WEIGHT, MOST_WEIGHT)
        return whole.astype(np.int8), scale, (whole * columns - self.weights).astype(np.float32)


def round_weights(found: Sequence[Convolution], plain: ModelProto, feeds: Feeds) -> None:
    """Rounds weights anew, so that nothing saturates, and biases, which make up for it."""
    sources = dict.fromkeys(one.node.input[0] for one in found)
    peaks = _pooled(plain, [helper.make_node("GlobalMaxPool", [name], [f"{name}.peak"]) for name in sources], feeds)
    rounded = [one.rounded(peaks[f"{one.node.input[0]}.peak"].max(axis=0)) for one in found]
    nodes: list[NodeProto] = []
    for one, (_, _, error) in zip(found, rounded, strict=True):
        name = one.node.name
        more = helper.make_node("Constant", [], [f"{name}.error"], value=numpy_helper.from_array(error))
        added = NodeProto(op_type="Conv", input=[one.node.input[0], *more.output], output=[f"{name}.added"])
        added.attribute.extend(one.node.attribute)
        nodes += [more, added, helper.make_node("GlobalAveragePool", added.output, [f"{name}.mean"])]
    means = _pooled(plain, nodes, feeds)
    for one, (whole, scale, _) in zip(found, rounded, strict=True):
        steps = np.float32(one.step) * scale
        bias = np.rint((one.bias - means[f"{one.node.name}.mean"].mean(axis=0)) / steps).astype(np.int32)
        for tensor, values in zip(one.tensors, (whole, scale, bias, steps), strict=True):
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def convolutions(made: ModelProto, plain: ModelProto) -> Iterator[Convolution]:
    """Those in eight bits, with their figures from the float network, whose nodes have the same names."""
    held, figures = ({tensor.name: tensor for tensor in one.graph.initializer} for one in (made, plain))
    before = {node.name: node for node in plain.graph.node}
    rounded = {node.output[0]: node for node in made.graph.node if node.op_type == "DequantizeLinear"}
    for node in made.graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and set(node.input) <= rounded.keys():
            source, *constant = (rounded[name] for name in node.input)
            weights, bias = (numpy_helper.to_array(figures[name]) for name in before[node.name].input[1:])
            step, zero = (float(numpy_helper.to_array(held[name])) for name in source.input[1:3])
            tensors = tuple(held[name] for one in constant for name in one.input[:2])
            yield Convolution(before[node.name], weights.astype(float), bias.astype(float), step, int(zero), tensors)


def _pooled(plain: ModelProto, nodes: Sequence[NodeProto], feeds: Feeds) -> dict[str, Figures]:
    """What poolings that are added to a network give, `(pictures, channels)` each."""
    probe, names = ModelProto(), [node.output[0] for node in nodes if node.op_type.startswith("Global")]
    probe.CopyFrom(plain)
    probe.graph.node.extend(nodes)
    del probe.graph.output[:]
    probe.graph.output.extend(ValueInfoProto(name=name) for name in names)
    session = create_session(probe.SerializeToString(), "cpu")
    runs = zip(*(session.run(names, feed) for feed in feeds), strict=True)
    return {
        name: np.concatenate(values).astype(np.float64)[:, :, 0, 0] for name, values in zip(names, runs, strict=True)
    }
