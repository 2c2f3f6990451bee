"""Steps and weights become nodes and initializers. Batch norm is folded into the convolution before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from dff_onnx.backbone.graph_builder import GraphBuilder
from dff_onnx.backbone.metadata import Layer
from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.errors import CheckpointError
from dff_onnx.export.checkpoint import Checkpoint
from dff_onnx.export.network import Conv, GlobalPool, Linear, MaxPool, Network, Rows, Step

Float64 = NDArray[np.float64]
GLOBAL_POOLS = {"avg": "GlobalAveragePool", "max": "GlobalMaxPool"}


class NetworkBuilder(GraphBuilder):
    """Makes nodes of the steps of a network."""

    def steps(self, network: Network, steps: Sequence[Step], source: str, checkpoint: Checkpoint) -> None:
        """Adds steps of a network with their weights; `source` is the tensor that stands for the network's input.

        Raises:
            CheckpointError: when weights are not all there, not floating-point or not finite.
        """
        for step in steps:
            inputs = [source if step.inputs == (INPUT,) else name for name in step.inputs]
            output = value_info(network.tensors[step.output])
            if isinstance(step, Conv):
                self._conv(step, inputs, output, checkpoint)
            elif isinstance(step, MaxPool):
                self.node(
                    "MaxPool", inputs, output, **_window(step.kernel, step.stride, step.pad), ceil_mode=int(step.ceil)
                )
            elif isinstance(step, GlobalPool):
                self._global_pool(step, inputs, output)
            elif isinstance(step, Linear):
                self._linear(step, inputs, output, checkpoint)
            else:
                self.node(step.kind, inputs, output, **({"axis": 1} if step.kind in ("Concat", "Flatten") else {}))

    def _conv(self, step: Conv, inputs: list[str], output: ValueInfoProto, checkpoint: Checkpoint) -> None:
        weight, bias = folded(step, checkpoint)
        inputs = [*inputs, self.constant(f"{step.parameters}.weight", weight)]
        inputs.append(self.constant(f"{step.parameters}.bias", bias))
        window = _window(step.shape[-1], step.stride, step.pad)
        self.node("Conv", inputs, output, **window, group=step.groups)

    def _global_pool(self, step: GlobalPool, inputs: list[str], output: ValueInfoProto) -> None:
        channels = output.type.tensor_type.shape.dim[1].dim_value
        place = helper.make_tensor_value_info(f"{step.output}.place", TensorProto.FLOAT, ["n", channels, 1, 1])
        self.node("Flatten", [self.node(GLOBAL_POOLS[step.kind], inputs, place)], output, axis=1)

    def _linear(self, step: Linear, inputs: list[str], output: ValueInfoProto, checkpoint: Checkpoint) -> None:
        constants = [self.constant(name, float32_of(name, checkpoint)) for name, _ in step.expected()]
        self.node("Gemm", [*inputs, *constants], output, transB=1)


def value_info(tensor: Layer | Rows) -> ValueInfoProto:
    """A tensor's name and its shape: `(n, channels, h16, w16)` at stride 16, say, or `(n, features)`."""
    if isinstance(tensor, Rows):
        return helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, ["n", tensor.features])
    stride = tensor.stride if tensor.stride > 1 else ""
    return helper.make_tensor_value_info(
        tensor.name, TensorProto.FLOAT, ["n", tensor.channels, f"h{stride}", f"w{stride}"]
    )


def folded(step: Conv, checkpoint: Checkpoint) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution with its batch norm folded in, computed in float64.

    `y = gamma * (conv(x) - mean) / sqrt(var + eps) + beta` is itself a convolution with a bias.
    """
    weight = _float64(f"{step.parameters}.weight", checkpoint)
    bias = _float64(f"{step.parameters}.bias", checkpoint) if step.bias else np.zeros(len(weight))
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves float32 is refused below
        if step.norm:
            scale, shift = _affine(step.norm, step.epsilon, checkpoint)
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
        narrow = weight.astype(np.float32), bias.astype(np.float32)
    if not all(np.isfinite(values).all() for values in narrow):
        raise _beyond_float32(step.parameters, checkpoint)
    return narrow


def _affine(norm: str, epsilon: float, checkpoint: Checkpoint) -> tuple[Float64, Float64]:
    """A batch norm as `y = scale * x + shift`."""
    gamma, beta, mean, variance = (
        _float64(f"{norm}.{part}", checkpoint) for part in ("weight", "bias", "running_mean", "running_var")
    )
    if variance.min() < 0:
        raise CheckpointError(f"{checkpoint.path}: {norm}.running_var is negative; the file is damaged")
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def _float64(name: str, checkpoint: Checkpoint) -> Float64:
    values = checkpoint.array(name).astype(np.float64)
    if not np.isfinite(values).all():
        raise _not_finite(name, checkpoint)
    return values


def float32_of(name: str, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """A parameter as it is. A fully connected layer may have 1e8 figures; by way of float64 they would take a gigabyte.

    Raises:
        CheckpointError: when it is not floating-point, not finite, or beyond float32.
    """
    values = checkpoint.array(name)
    if not np.isfinite(values).all():
        raise _not_finite(name, checkpoint)
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    if not np.isfinite(narrow).all():
        raise _beyond_float32(name, checkpoint)
    return narrow


def _not_finite(name: str, checkpoint: Checkpoint) -> CheckpointError:
    return CheckpointError(f"{checkpoint.path}: {name} has values that are not finite; training may have diverged")


def _beyond_float32(name: str, checkpoint: Checkpoint) -> CheckpointError:
    return CheckpointError(f"{checkpoint.path}: {name} has weights beyond float32; the file is damaged")


def _window(kernel: int, stride: int, pad: int) -> dict[str, list[int]]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
