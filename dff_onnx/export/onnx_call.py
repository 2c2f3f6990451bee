"""One node of a graph that is computed by PyTorch, and the values it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from dff_onnx.backbone.nodes import attribute
from dff_onnx.errors import ModelError
from dff_onnx.export.torch_probe import Tensor


@dataclass(frozen=True, slots=True)
class Call:
    """See the module.

    Attributes:
        torch: PyTorch itself.
        node: what is computed.
        values: of all tensors so far: PyTorch's, or NumPy's where they depend on no feature.
        opset: of the network.
        path: its file, for the sentence.
    """

    torch: Any
    node: NodeProto
    values: dict[str, Any]
    opset: int
    path: Path

    def said(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        value = attribute(self.node, name)
        return default if value is None else value

    def given(self, i: int) -> bool:
        """Whether the node has this input."""
        return len(self.node.input) > i and bool(self.node.input[i])

    def is_host(self, i: int) -> bool:
        """Whether an input depends on no feature, only on their number."""
        return isinstance(self.values[self.node.input[i]], np.ndarray | np.generic)

    def tensor(self, i: int) -> Tensor:
        """An input as PyTorch has it."""
        value = self.values[self.node.input[i]]
        if not self.is_host(i):
            return value
        if value.dtype == object:
            raise ModelError(
                f"{self.path}: {self.node.output[0]!r} computes with the size of the picture, which is not known here"
            )
        kind = np.float32 if value.dtype.kind == "f" or value.dtype.name == "bfloat16" else value.dtype
        return self.torch.from_numpy(np.array(value, kind))

    def host(self, i: int) -> NDArray[Any]:
        """An input as NumPy has it; figures that PyTorch traces are objects in it."""
        value = self.values[self.node.input[i]]
        if isinstance(value, np.ndarray | np.generic):
            return np.asarray(value)
        if isinstance(value, self.torch.nn.Parameter):  # a constant all the same
            return np.asarray(value.detach().numpy())
        raise ModelError(
            f"{self.path}: {self.node.op_type} {self.node.output[0]!r} takes figures that depend on the features, "
            "which is not known here"
        )

    def figure(self, i: int) -> float | None:
        """An input of one figure, None where it is not given."""
        return float(self.host(i).reshape(-1)[0]) if self.given(i) else None

    def figures(self, name: str, i: int) -> Any:
        """What newer opsets take as an input and older ones as an attribute; None where neither is given."""
        if name and (said := attribute(self.node, name)) is not None:
            return np.asarray(said)
        return self.host(i) if self.given(i) else None
