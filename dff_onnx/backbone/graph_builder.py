"""Nodes and constants of a graph in the making."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


class GraphBuilder:
    """Collects the nodes, constants and shapes of a graph.

    Attributes:
        nodes, initializers, value_infos: what was collected, in order.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.value_infos: list[ValueInfoProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds a constant."""
        self.initializers.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: ValueInfoProto, **attributes: Any) -> str:
        """Adds a node that makes one tensor; the node is named after it."""
        self.nodes.append(helper.make_node(kind, inputs, [output.name], name=output.name, **attributes))
        self.value_infos.append(output)
        return output.name
