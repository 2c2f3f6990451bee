"""Proofs that a tensor is never negative: through the quantization of values, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nets import by_hand, model, weights
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.nonnegative import nonnegative_tensors

CONV = helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1])


def network(nodes: list[NodeProto], **figures: Any) -> ModelProto:
    """A convolution that can be negative, and what is done to it; the constants' types are those of their arrays."""
    tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in figures.items()]
    return model([CONV, *nodes], [weights("w1", 8, 3, 3, 3), *tensors], nodes[-1].output[0], 8)


def there_and_back(zero: Any, scale: float = 0.1, source: str = "conv1") -> ModelProto:
    quantizers = [("QuantizeLinear", source, "q"), ("DequantizeLinear", "q", "dq")]
    nodes = [helper.make_node(kind, [x, "scale", "zero"], [y]) for kind, x, y in quantizers]
    before = [helper.make_node("Relu", ["conv1"], ["relu1"])] if source == "relu1" else []
    return network([*before, *nodes], scale=np.float32(scale), zero=zero)


def test_what_eight_unsigned_bits_without_zero_point_hold_is_never_negative() -> None:
    made = there_and_back(np.uint8(0))
    assert {"q", "dq"} <= nonnegative_tensors(made.graph)
    values = np.random.default_rng(0).normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    assert by_hand(made, "conv1", values).min() < 0 <= by_hand(made, "dq", values).min()


@pytest.mark.parametrize(("zero", "scale"), [(np.uint8(3), 0.1), (np.uint8(0), -0.1), (np.int8(0), 0.1)])
def test_a_zero_point_a_negative_scale_or_a_sign_can_make_it_negative(zero: Any, scale: float) -> None:
    made = there_and_back(zero, scale)
    assert "dq" not in nonnegative_tensors(made.graph)
    assert ("q" in nonnegative_tensors(made.graph)) == (zero.dtype == np.uint8)


def test_a_zero_point_can_make_it_negative_behind_a_relu_too() -> None:
    assert "dq" not in nonnegative_tensors(there_and_back(np.uint8(3), source="relu1").graph)


def test_an_absent_zero_point_is_zero_and_unsigned_unless_the_type_is_told() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["conv1", "scale"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["dq"]),
    ]
    made = network(nodes, scale=np.float32(0.1))
    assert {"q", "dq"} <= nonnegative_tensors(made.graph)
    for kind, proved in ((TensorProto.UINT16, True), (TensorProto.INT8, False)):
        told = helper.make_node("QuantizeLinear", ["conv1", "scale"], ["q"], output_dtype=kind)
        made = network([told, nodes[1]], scale=np.float32(0.1))
        assert ("dq" in nonnegative_tensors(made.graph)) == proved


def test_a_zero_point_that_is_computed_proves_nothing() -> None:
    nodes = [
        helper.make_node("Identity", ["held"], ["zero"]),
        helper.make_node("QuantizeLinear", ["conv1", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
    ]
    made = network(nodes, scale=np.float32(0.1), held=np.uint8(0))
    assert not {"q", "dq"} & nonnegative_tensors(made.graph)


def test_weights_are_proved_by_their_values_and_a_sum_by_all_its_parts() -> None:
    """As in a quantized network whose weights are dequantized in front of a convolution."""
    nodes = [
        helper.make_node("DequantizeLinear", ["whole", "scale"], ["weights"]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "weights"], ["conv2"]),
    ]
    for least, proved in ((0, True), (-1, False)):
        whole = np.full((4, 8, 1, 1), 5, np.int8)
        whole[0, 0] = least
        found = nonnegative_tensors(network(nodes, whole=whole, scale=np.float32(0.1)).graph)
        assert ({"weights", "conv2"} <= found) == proved
