"""Parts of graphs, run by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, helper

from dff_onnx.backbone.runtime import create_session
from dff_onnx.deploy.nodes import Nodes

Arrays = dict[str, NDArray[Any]]


def model_of(nodes: Nodes, feed: Mapping[str, NDArray[Any]], outputs: list[str]) -> ModelProto:
    """A model of nodes whose inputs have any shape of the rank they are fed with."""
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), [f"{name}_{i}" for i in range(value.ndim)]
        )
        for name, value in feed.items()
    ]
    graph = helper.make_graph(
        nodes.nodes, "part", inputs, [ValueInfoProto(name=name) for name in outputs], nodes.initializers
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(nodes: Nodes, feed: Mapping[str, NDArray[Any]], *outputs: str) -> list[NDArray[Any]]:
    """What the named tensors become."""
    session = create_session(model_of(nodes, feed, list(outputs)).SerializeToString(), "cpu", 1)
    found: list[NDArray[Any]] = session.run(list(outputs), dict(feed))
    return found
