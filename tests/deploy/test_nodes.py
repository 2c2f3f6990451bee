"""Graphs written as expressions."""

from __future__ import annotations

import numpy as np
from graphs import run
from onnx import TensorProto

from dff_onnx.deploy.nodes import Nodes

X = np.float32([3, -1, 2])


def test_an_expression_is_what_it_says() -> None:
    nodes = Nodes()
    y = nodes.op("Add", nodes.op("Mul", nodes.op("Relu", "x"), 2.0), np.float32([1, 1, 1]))
    assert run(nodes, {"x": X}, y)[0].tolist() == [7, 1, 5]


def test_equal_constants_are_held_once_and_kinds_are_told_apart() -> None:
    nodes = Nodes()
    names = [nodes.held(value) for value in (2.0, np.float32(2), 2, [2], np.int64(2), np.float64(2))]
    assert names[0] == names[1] and names[2] == names[4] and len(set(names)) == 4
    assert [tensor.data_type for tensor in nodes.initializers] == [
        TensorProto.FLOAT,
        TensorProto.INT64,
        TensorProto.INT64,
        TensorProto.DOUBLE,
    ]
    assert [list(tensor.dims) for tensor in nodes.initializers] == [[], [], [1], []]


def test_a_constant_with_a_name_has_it() -> None:
    nodes = Nodes()
    nodes.held(X)
    assert nodes.held(X, "x0") == "x0" and nodes.held(X) == "x0"


def test_a_loop_ends_when_its_step_says_so_or_after_as_many_rounds() -> None:
    def halved(inner: Nodes, carried: list[str]) -> tuple[str, list[str]]:
        new = inner.op("Mul", carried[0], 0.5)
        return inner.op("Greater", inner.op("ReduceMax", new, keepdims=0), 0.5), [new]

    for most, expected in ((100, 0.375), (2, 0.75)):
        nodes = Nodes()
        [y] = nodes.loop(["x"], most, halved)
        assert run(nodes, {"x": X}, y)[0].max() == np.float32(expected)


def test_a_state_that_a_step_hands_on_as_it_is_stays() -> None:
    nodes = Nodes()
    first, second = nodes.loop(
        ["x", nodes.op("Neg", "x")], 3, lambda inner, held: (inner.op("Identity", np.asarray(True)), [held[1], held[0]])
    )
    found = run(nodes, {"x": X}, first, second)
    assert found[0].tolist() == (-X).tolist() and found[1].tolist() == X.tolist()
