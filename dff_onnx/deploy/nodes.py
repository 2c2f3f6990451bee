"""Graphs written as expressions: an operator and what goes in give the name of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dff_onnx.backbone.graph_builder import GraphBuilder

# A tensor's name; or what becomes a constant: whole numbers int64, others float32, arrays as they are.
Value = str | int | float | Sequence[int] | NDArray[Any] | np.generic

# From the nodes of a loop's body and its state to the condition to go on, and the new state.
Step = Callable[["Nodes", list[str]], tuple[str, list[str]]]


class Nodes(GraphBuilder):
    """Collects nodes and constants; names of its own begin with `dff/`, which no network's tensor does.

    >>> nodes = Nodes()
    >>> nodes.op("Mul", nodes.op("Relu", "x"), 2.0)
    'dff/Mul_2'
    """

    def __init__(self, outer: Nodes | None = None) -> None:
        super().__init__()
        self._root: Nodes = outer._root if outer else self
        self._count = 0
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def op(self, kind: str, *inputs: Value, out: str | None = None, **attributes: Any) -> str:
        """Adds a node of one output.

        Args:
            kind: the operator.
            inputs: names, or values of constants.
            out: the output's name, where it is to have a certain one.
            attributes: of the node.
        """
        return self.ops(kind, inputs, [out or self.named(kind)], **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[Value], outputs: int | list[str], **attributes: Any) -> list[str]:
        """Adds a node of several outputs, whose names or number are given."""
        names = [self.named(kind) for _ in range(outputs)] if isinstance(outputs, int) else outputs
        taken = [value if isinstance(value, str) else self.held(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, taken, names, **attributes))
        return names

    def held(self, value: Value, name: str | None = None) -> str:
        """Adds a constant where there is none of this value yet; inner graphs keep theirs in the outer one."""
        array = _array(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        root = self._root
        if name is None and key in root._known:
            return root._known[key]
        root._known[key] = root.constant(name or root.named("constant"), array)
        return root._known[key]

    def loop(self, state: Sequence[str], most: int, step: Step, kind: int = TensorProto.FLOAT) -> list[str]:
        """Adds a loop that goes on while its step says so.

        Args:
            state: what is carried from round to round.
            most: rounds.
            step: adds the nodes of one round.
            kind: of the state's values.

        Returns:
            the state behind the last round.
        """
        body = Nodes(self)
        carried = [body.named("state") for _ in state]
        again, new = step(body, list(carried))
        outputs = [body.op("Identity", name) for name in (again, *new)]
        inner = helper.make_graph(
            body.nodes,
            "step",
            [_told(self.named("round"), TensorProto.INT64, ()), _told(self.named("again"), TensorProto.BOOL, ())]
            + [_told(name, kind) for name in carried],
            [_told(outputs[0], TensorProto.BOOL, ())] + [_told(name, kind) for name in outputs[1:]],
        )
        return self.ops("Loop", [most, np.asarray(True), *state], len(state), body=inner)

    def named(self, kind: str) -> str:
        self._root._count += 1
        return f"dff/{kind}_{self._root._count}"


def _told(name: str, kind: int, shape: Sequence[int] | None = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _array(value: Value) -> NDArray[Any]:
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    whole = isinstance(value, int) or not isinstance(value, float)
    return np.asarray(value, np.int64 if whole else np.float32)
