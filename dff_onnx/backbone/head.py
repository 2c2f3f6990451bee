"""The head of a classifier: one linear layer, and a pooling over all places before or behind it.

Two shapes are known, whatever operators write them: pooling, then a linear layer (ResNet, DenseNet, MobileNet, the
paper's GAP networks), and a convolution of one cell to one channel a class, a ReLU perhaps, then pooling (SqueezeNet,
NIN). Any other tensor of one channel a class that is only pooled serves as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from dff_onnx.backbone.graph import layout_of, resolve_layer
from dff_onnx.backbone.image_input import image_input, input_layout
from dff_onnx.backbone.layouts import layouts
from dff_onnx.backbone.model_file import ModelFile
from dff_onnx.backbone.nodes import attribute, constants, references
from dff_onnx.backbone.shapes import PROBE, Shape, shapes_of, values_at
from dff_onnx.errors import ModelError, NoHeadError, UsageError
from dff_onnx.linear_head import LinearHead, Pool
from dff_onnx.records import Layout

# What moves values and changes none, and what turns scores into probabilities.
PASSING = {"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
PROBABILITIES = {"Softmax", "LogSoftmax", "Sigmoid"}
LINEAR = {"Conv", "Gemm", "MatMul"}
# Poolings, of all places where their window or their axes cover them.
POOLINGS: Mapping[str, Pool] = {
    "GlobalAveragePool": "mean",
    "GlobalMaxPool": "max",
    "AveragePool": "mean",
    "MaxPool": "max",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceSum": "sum",
}
MOST_MAPS = 2**13  # channels that serve as maps: their weights are a square
WINDOWED = {"AveragePool", "MaxPool"}
OTHER_METHODS = "take another --method: eigen-cam, score-cam and ablation-cam need no such head"


@dataclass(frozen=True, slots=True, eq=False)
class FoundHead:
    """The head that a file has.

    Attributes:
        features: the tensor it looks at, of any layout.
        answer: the tensor of its scores, before any softmax.
        head: its figures.
        learned: whether they are the network's; of channels that are only pooled they say no more than that.
    """

    features: str
    answer: str
    head: LinearHead
    learned: bool = True


def find_head(file: ModelFile, features: str | None = None, linear: str | None = None) -> FoundHead:
    """Finds the head of a classifier, from its scores backwards.

    Args:
        file: the network, as `load_model` gives it.
        features: the layer to look at, where the one before the pooling is not meant; its channels must fit.
        linear: the linear layer to take, by its node, its output or its weights, where none is found or several are.

    Raises:
        NoHeadError: when the scores are made otherwise, with what was found in its place.
        ModelError: when there are several such heads, with their names, no scores or no places, or damaged weights.
        UsageError: when what was named is no linear layer.
    """
    graph = _Graph(file.model, file.path)
    names = [graph.linear_named(linear)] if linear else [output.name for output in file.model.graph.output]
    tried = [(name, graph.head_at(name, features)) for name in names]
    found = {head.answer: head for _, head in tried if isinstance(head, FoundHead)}
    if not found:
        reasons = [why for name, why in tried if isinstance(why, str) and (linear or graph.is_flat(name))]
        raise graph.none_found(reasons)
    if len(found) > 1:
        raise ModelError(f"{file.path}: has several heads ({', '.join(found)}); name one of them with --head")
    chosen = next(iter(found.values()))
    return graph.moved(chosen, resolve_layer(file.model, features, file.path)) if features else chosen


def usual_head(file: ModelFile) -> FoundHead | None:
    """The only head of a classifier that learned one, else None."""
    graph = _Graph(file.model, file.path)
    try:
        tried = [graph.head_at(output.name, None) for output in file.model.graph.output]
    except ModelError:  # it cannot be run at the size of the probe, say
        return None
    # Channels that are only pooled may be classes, or features.
    found = [head for head in tried if isinstance(head, FoundHead) and head.learned]
    return found[0] if len({head.answer for head in found}) == 1 else None


def answer_named(file: ModelFile, linear: str) -> str:
    """The tensor of the scores that a linear layer gives, its bias included.

    Args:
        file: the network.
        linear: as in `find_head`.

    Raises:
        UsageError: when it is no linear layer.
    """
    return _Graph(file.model, file.path).linear_named(linear)


def no_scores(model: ModelProto, path: Path) -> ModelError:
    """The error of a network whose outputs are no scores."""
    outputs = ", ".join([output.name for output in model.graph.output][:4])
    return ModelError(
        f"{path}: has no output with one score a class ({outputs}): it is a backbone without a classifier; give the "
        "whole network"
    )


@dataclass(frozen=True)
class _Graph:
    """A network's nodes, looked at from its end."""

    model: ModelProto
    path: Path

    @cached_property
    def makers(self) -> dict[str, NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output if name}

    @cached_property
    def held(self) -> dict[str, Any]:
        return constants(self.model.graph)

    @cached_property
    def told(self) -> dict[str, Layout]:
        return layouts(self.model.graph, input_layout(image_input(self.model, self.path)))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        return {name: tensor.shape for name, tensor in shapes_of(self.model, self.path, PROBE).items()}

    def head_at(self, output: str, features: str | None) -> FoundHead | str:
        """The head that ends in an output, or why there is none."""
        answer = end = self._back(output, PROBABILITIES)
        bias = _zeros(1)
        node = self.makers.get(end)
        if node is not None and (parts := self._added(node)):
            if self._figures(end) != self._figures(parts[0]):
                return f"{_named(node)} adds more than one figure a class"
            bias, end = self._value(parts[1]).ravel(), self._back(parts[0], set())
            node = self.makers.get(end)
        if node is None:
            return f"output {output!r} is the picture itself"
        if pool := self._pool(node):
            return self._pooled_maps(answer, node, pool, bias)
        if not self._is_linear(node):
            return f"{output!r} comes from {_named(node)}, which is no linear layer"
        return self._pooled_linear(answer, node, bias, features)

    def _pooled_linear(
        self, answer: str, node: NodeProto, added: NDArray[np.float32], features: str | None
    ) -> FoundHead | str:
        """Pooling, then a linear layer."""
        layer = self._linear(node)
        if layer is None:
            return f"{_named(node)} does not treat each place alike and by itself"
        weights, bias = layer
        total = _sum(bias, added, len(weights))
        if total is None:
            return f"{_named(node)} and the sum behind it do not fit"
        before = self.makers.get(self._back(node.input[0], set()))
        pool = self._pool(before) if before is not None else None
        if pool is None or before is None:
            if features and self.is_flat(answer):  # what was named is taken for what a mean would be taken of
                return FoundHead(features, answer, LinearHead(weights, total))
            what = f"{_named(before)} lies before it" if before is not None else "the picture itself lies before it"
            return f"{_named(node)} does not follow a pooling over all places: {what}"
        return FoundHead(before.input[0], answer, LinearHead(weights, total, pool))

    def _pooled_maps(self, answer: str, end: NodeProto, pool: Pool, added: NDArray[np.float32]) -> FoundHead | str:
        """One channel a class, then pooling."""
        if user := self._linear_behind(answer):
            return f"{_named(end)} pools the features that {_named(user)} looks at"
        maps, rectified = end.input[0], False
        node = self.makers.get(maps)
        if node is not None and node.op_type == "Relu":
            node, rectified = self.makers.get(node.input[0]), True
        # A mean may be taken before or behind a linear layer; other poolings and the bias may not change places.
        exchange = not added.any() if rectified else pool == "mean"
        if exchange and node is not None and node.op_type == "Conv" and self._is_linear(node):
            layer = self._linear(node)
            total = _sum(layer[1], added, len(layer[0])) if layer else None
            if layer and total is not None:
                return FoundHead(node.input[0], answer, LinearHead(layer[0], total, pool, rectified))
        shape = self.shapes.get(maps, ())
        if len(shape) != 4:
            return f"{_named(end)} pools what has no grid"
        channels = shape[1 if layout_of(self.model, maps, self.path) == "NCHW" else 3]
        total = _sum(_zeros(channels), added, channels)
        if total is None:
            return f"{_named(end)} and the sum behind it do not fit"
        if channels > MOST_MAPS:
            return f"{_named(end)} pools {channels} channels, more than {MOST_MAPS} classes"
        return FoundHead(maps, answer, LinearHead(np.eye(channels, dtype=np.float32), total, pool), learned=False)

    def _is_linear(self, node: NodeProto) -> bool:
        """Whether a node multiplies what the picture decides by what is constant, and adds nothing else."""
        if node.op_type not in LINEAR:
            return False
        first, *others = (self._is_constant(name) for name in node.input if name)
        return not first and all(others)

    def _linear(self, node: NodeProto) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Weights `(classes, c)` and bias, one or one a class; None for a window of several cells, and other shapes."""
        weights = self._value(node.input[1])
        bias = self._value(node.input[2]) if len(node.input) > 2 and node.input[2] else _zeros(1)
        if node.op_type == "Conv":
            plain = attribute(node, "group") in (None, 1) and weights.shape[2:] == (1, 1)
            moved = any(attribute(node, "pads") or [0]) or set(attribute(node, "strides") or [1]) != {1}
            return (weights[:, :, 0, 0], bias) if plain and not moved else None
        if weights.ndim != 2 or attribute(node, "transA") or bias.size not in (1, bias.shape[-1] if bias.ndim else 1):
            return None
        turned = weights if attribute(node, "transB") else np.ascontiguousarray(weights.T)
        if node.op_type == "MatMul":
            return turned, bias
        alpha, beta = (1.0 if said is None else said for said in (attribute(node, "alpha"), attribute(node, "beta")))
        return np.float32(alpha) * turned, np.float32(beta) * bias.ravel()

    def _pool(self, node: NodeProto) -> Pool | None:
        """How a node pools, None where it does not pool all places of a grid."""
        pool = POOLINGS.get(node.op_type)
        if pool is None or not self._has_grid(node.input[0]):
            return None
        if node.op_type in WINDOWED:
            return pool if _covers(node, self.shapes.get(node.input[0], ())) else None
        if not node.op_type.startswith("Reduce"):
            return pool
        axes = attribute(node, "axes")
        if axes is None and len(node.input) > 1 and node.input[1] and self._is_constant(node.input[1]):
            axes = self._value(node.input[1]).ravel().tolist()
        if axes is None:
            return None
        layout = self.told.get(node.input[0]) or layout_of(self.model, node.input[0], self.path)
        return pool if {int(axis) % 4 for axis in axes} == ({2, 3} if layout == "NCHW" else {1, 2}) else None

    def linear_named(self, name: str) -> str:
        """The output of the linear layer that a name means."""
        for node in self.model.graph.node:
            if name in (node.name, *node.output, *node.input[1:2]):
                if node.op_type in LINEAR or node.op_type in PASSING | PROBABILITIES | {"Add"} | POOLINGS.keys():
                    return self._end_of(node)
                raise UsageError(f"{self.path}: {name!r} is a {node.op_type}, and a head is a linear layer")
        linear = [node.name or node.output[0] for node in self.model.graph.node if node.op_type in LINEAR]
        there = f"; it has {', '.join(linear[-3:])}" if linear else ""
        raise UsageError(f"{self.path}: has no layer {name!r} for --head{there}")

    def _end_of(self, node: NodeProto) -> str:
        """Where the head ends that a linear layer is of: behind the sum with its bias, or the pooling of its maps."""
        end: str = node.output[0]
        if node.op_type not in LINEAR or (after := self._only_user(end)) is None:
            return end
        if self._added(after):
            return str(after.output[0])
        pooling = self._only_user(after.output[0]) if after.op_type == "Relu" else after
        return str(pooling.output[0]) if node.op_type == "Conv" and pooling is not None and self._pool(pooling) else end

    def _only_user(self, name: str) -> NodeProto | None:
        users = [node for node in self.model.graph.node if name in node.input]
        user: NodeProto | None = users[0] if len(users) == 1 else None
        return user

    def _linear_behind(self, name: str) -> NodeProto | None:
        """The first linear layer that a tensor goes into, directly or not."""
        reached = {name}
        found: NodeProto | None = None
        for node in self.model.graph.node:
            if found is None and reached.intersection(node.input):
                found = node if node.op_type in LINEAR else None
                reached.update(node.output)
        return found

    def _added(self, node: NodeProto) -> tuple[str, str] | None:
        """What an Add takes, the constant last; None where it adds no constant."""
        if node.op_type != "Add" or sum(constant := self._constant_inputs(node)) != 1:
            return None
        first, second = node.input
        return (second, first) if constant[0] else (first, second)

    def moved(self, found: FoundHead, features: str) -> FoundHead:
        """The head over another layer, of as many channels."""
        shape = self.shapes.get(features, ())
        if len(shape) != 4:
            raise ModelError(
                f"{self.path}: {features!r} has no grid of features; `dff-onnx layers` lists those that do"
            )
        channels = shape[1 if layout_of(self.model, features, self.path) == "NCHW" else 3]
        if channels != found.head.channels:
            raise ModelError(
                f"{self.path}: the head behind {found.answer!r} takes {found.head.channels} channels, and "
                f"{features!r} has {channels}; name another layer with --features, or leave it out"
            )
        return replace(found, features=features)

    def none_found(self, reasons: list[str]) -> ModelError:
        """Why there is no head.

        Args:
            reasons: of what has one figure a class, or was named.
        """
        made = [shape[1:] for name, shape in self.shapes.items() if name in self.makers and name not in self.held]
        if not any(len(shape) == 3 and min(shape) > 1 for shape in made):
            why = "has no layer with a grid of features, so there is no place to map; class maps need such a network"
            return ModelError(f"{self.path}: {why}")
        if not reasons:
            return no_scores(self.model, self.path)
        why = f"has no head that pools and is linear: {reasons[0]}; {OTHER_METHODS}"
        return NoHeadError(f"{self.path}: {why}")

    def is_flat(self, name: str) -> bool:
        """Whether a tensor has one figure a class and no places."""
        return sum(size > 1 for size in self.shapes.get(name, ())[1:]) <= 1

    def _has_grid(self, name: str) -> bool:
        """Whether a layer's tensor has four axes; where the operators tell its layout, they also tell this."""
        return name in self.makers and (name in self.told or len(self.shapes.get(name, ())) == 4)

    def _figures(self, name: str) -> int:
        return math.prod(self.shapes.get(name, ()))

    def _back(self, name: str, further: set[str]) -> str:
        """The tensor that this one is but for its shape and type."""
        while (node := self.makers.get(name)) is not None and node.op_type in PASSING | further:
            name = node.input[0]
        return name

    def _constant_inputs(self, node: NodeProto) -> list[bool]:
        return [self._is_constant(name) for name in node.input]

    def _is_constant(self, name: str) -> bool:
        """Whether a tensor depends on nothing that is given."""
        waiting, seen = [name], set[str]()
        while waiting:
            one = waiting.pop()
            if one in seen or one in self.held:
                continue
            seen.add(one)
            if one not in self.makers:
                return False
            waiting += references(self.makers[one])
        return True

    def _value(self, name: str) -> NDArray[np.float32]:
        """A constant, also one that nodes make of others (a transposed or dequantized weight)."""
        try:
            held = self.held.get(name)
            value = numpy_helper.to_array(held) if held else values_at(self.model, [name], self.path)[name]
            with np.errstate(over="ignore"):
                value = value.astype(np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.path}: tensor {name!r} holds no numbers of its shape; download it again"
            ) from error
        if not np.isfinite(value).all():
            raise ModelError(f"{self.path}: tensor {name!r} holds NaN or infinite values; download or export it again")
        return value


def _covers(node: NodeProto, shape: Shape) -> bool:
    """Whether one window takes in a whole grid, and nothing beside it: some leave out its last cells."""
    padded = any(attribute(node, "pads") or [0]) or attribute(node, "auto_pad") in (b"SAME_UPPER", b"SAME_LOWER")
    return list(attribute(node, "kernel_shape") or []) == list(shape[2:]) and not padded


def _sum(bias: NDArray[np.float32], added: NDArray[np.float32], classes: int) -> NDArray[np.float32] | None:
    """Of two biases that have one figure, or one a class; None where they have others."""
    if not {bias.size, added.size} <= {1, classes}:
        return None
    return np.broadcast_to(bias.ravel() + added.ravel(), classes).astype(np.float32)


def _zeros(count: int) -> NDArray[np.float32]:
    return np.zeros(count, np.float32)


def _named(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"
