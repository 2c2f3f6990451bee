"""ONNX nodes as a PyTorch module, for what PyTorch alone can do with a network: differentiate it.

Only the operators that tails of classifiers have. Figures that decide shapes stay on the host, where PyTorch's tracer
sees which of them follow from the size of the picture (`onnx_shapes`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from dff_onnx.backbone.nodes import constants
from dff_onnx.errors import ModelError
from dff_onnx.export.onnx_call import Call
from dff_onnx.export.onnx_shapes import ON_HOST, shape_of
from dff_onnx.export.onnx_windows import average_pool, conv, max_pool
from dff_onnx.export.torch_probe import Module, Tensor


def torch_module_of(model: ModelProto, path: Path) -> Module:
    """A network of one input and one output as a module in float32, whose weights stay as they are.

    Args:
        model: the network, as `tail_model` gives it.
        path: its file, for the sentence.

    Raises:
        ModelError: when it has an operator that is not known here; raised at once, not when it is called.
    """
    import torch

    for node in model.graph.node:
        if node.op_type not in OPERATORS.keys() | ON_HOST.keys() | {"Constant", "Shape"}:
            raise ModelError(
                f"{path}: the tail has a {node.op_type} ({node.name or node.output[0]!r}), whose gradient is not known "
                "here; name a later layer, or give the tail as a PyTorch module to dff_onnx.export.tail_gradient"
            )
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    source = next(i.name for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer})
    figures = {name: numpy_helper.to_array(tensor) for name, tensor in constants(model.graph).items()}

    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            floats = {name: value for name, value in figures.items() if _is_weight(value)}
            self.names = {name: f"weight_{i}" for i, name in enumerate(floats)}
            for name, value in floats.items():
                held = torch.from_numpy(np.array(value, np.float32))
                setattr(self, self.names[name], torch.nn.Parameter(held, requires_grad=False))

        def forward(self, features: Tensor) -> Tensor:
            values = figures | {name: getattr(self, own) for name, own in self.names.items()} | {source: features}
            for node in model.graph.node:
                if node.op_type != "Constant":
                    values[node.output[0]] = _computed(Call(torch, node, values, opset, path))
            return values[model.graph.output[0].name]

    return Network().eval()


def _is_weight(value: NDArray[Any]) -> bool:
    """Whether it is a tensor of floats; single figures are limits and factors, which PyTorch takes as such."""
    return value.size > 1 and (value.dtype.kind == "f" or value.dtype.name == "bfloat16")


def _computed(call: Call) -> Any:
    kind = call.node.op_type
    if kind == "Shape":
        return shape_of(call)
    if kind in ON_HOST and all(call.is_host(i) for i in range(len(call.node.input)) if call.node.input[i]):
        return ON_HOST[kind](call)
    if kind not in OPERATORS:
        raise ModelError(f"{call.path}: a {kind} of features ({call.node.output[0]!r}) is not known here")
    return OPERATORS[kind](call)


def _unary(name: str) -> Callable[[Call], Tensor]:
    return lambda call: getattr(call.torch, name)(call.tensor(0))


def _activation(name: str) -> Callable[[Call], Tensor]:
    return lambda call: getattr(call.torch.nn.functional, name)(call.tensor(0))


def _folded(name: str) -> Callable[[Call], Tensor]:
    """Two tensors or more, one after the other."""

    def run(call: Call) -> Tensor:
        total = call.tensor(0)
        for i in range(1, len(call.node.input)):
            total = getattr(call.torch, name)(total, call.tensor(i))
        return total

    return run


def _clip(call: Call) -> Tensor:
    low, high = (
        call.said(name) if call.said(name) is not None else call.figure(i) for i, name in ((1, "min"), (2, "max"))
    )
    functional = call.torch.nn.functional
    if low is not None and high is not None and low < high:
        return functional.hardtanh(call.tensor(0), float(low), float(high))  # ReLU6: no gradient at its ends
    if low == 0 and high is None:
        return functional.relu(call.tensor(0))
    return call.torch.clamp(call.tensor(0), low, high) if (low, high) != (None, None) else call.tensor(0)


def _softmax(call: Call) -> Tensor:
    x, functional = call.tensor(0), call.torch.nn.functional
    run = functional.log_softmax if call.node.op_type == "LogSoftmax" else functional.softmax
    if call.opset >= 13:
        return run(x, dim=call.said("axis", -1))
    # It was defined over all axes from this one on.
    axis = call.said("axis", 1) % x.ndim
    return run(x.flatten(axis), dim=-1).reshape(x.shape)


def _batch_norm(call: Call) -> Tensor:
    if call.said("training_mode", 0):
        raise ModelError(f"{call.path}: a BatchNormalization is in training mode; export the network for inference")
    x, scale, bias, mean, variance = (call.tensor(i) for i in range(5))
    return call.torch.nn.functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, call.said("epsilon", 1e-5))


def _layer_norm(call: Call) -> Tensor:
    x, axis = call.tensor(0), call.said("axis", -1)
    bias = call.tensor(2) if call.given(2) else None
    shape = list(x.shape[axis % x.ndim :])
    return call.torch.nn.functional.layer_norm(x, shape, call.tensor(1), bias, call.said("epsilon", 1e-5))


def _gemm(call: Call) -> Tensor:
    left, right = call.tensor(0), call.tensor(1)
    left, right = left.t() if call.said("transA") else left, right.t() if call.said("transB") else right
    product = call.said("alpha", 1.0) * (left @ right) if call.said("alpha", 1.0) != 1 else left @ right
    return product + call.said("beta", 1.0) * call.tensor(2) if call.given(2) else product


def _reduced(name: str) -> Callable[[Call], Tensor]:
    def run(call: Call) -> Tensor:
        axes, x = call.figures("axes", 1), call.tensor(0)
        if axes is None and call.said("noop_with_empty_axes"):
            return x
        chosen = [int(axis) for axis in axes] if axes is not None else list(range(x.ndim))
        return getattr(call.torch, name)(x, dim=chosen, keepdim=bool(call.said("keepdims", 1)))

    return run


def _global_max(call: Call) -> Tensor:
    # One place gets the whole gradient, as in a window; `amax` would divide it among equals.
    return call.tensor(0).flatten(2).max(dim=2).values[:, :, None, None]


def _reshape(call: Call) -> Tensor:
    x, wanted = call.tensor(0), call.figures("shape", 1)
    keep = not call.said("allowzero", 0)
    sizes = [x.shape[i] if keep and isinstance(s, int) and s == 0 else s for i, s in enumerate(wanted.tolist())]
    return x.reshape(sizes)


def _flatten(call: Call) -> Tensor:
    x, axis = call.tensor(0), call.said("axis", 1)
    if axis % x.ndim == 1:
        return x.flatten(1)
    rows = 1
    for size in x.shape[: axis % x.ndim]:
        rows = rows * size
    return x.reshape(rows, -1)


def _squeeze(call: Call) -> Tensor:
    x, axes = call.tensor(0), call.figures("axes", 1)
    return x.squeeze(tuple(int(axis) for axis in axes)) if axes is not None else x.squeeze()


def _unsqueeze(call: Call) -> Tensor:
    x, axes = call.tensor(0), call.figures("axes", 1)
    for axis in sorted(int(axis) % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _slice(call: Call) -> Tensor:
    x, starts, ends = call.tensor(0), call.figures("starts", 1), call.figures("ends", 2)
    axes, steps = call.figures("axes", 3), call.figures("steps", 4)
    parts = [slice(None)] * x.ndim
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        step = int(steps[i]) if steps is not None else 1
        if step < 1:
            raise ModelError(f"{call.path}: a Slice runs backwards ({call.node.output[0]!r}), which is not known here")
        parts[int(axes[i]) if axes is not None else i] = slice(start, end, step)
    return x[tuple(parts)]


def _gather(call: Call) -> Tensor:
    x, axis, places = call.tensor(0), call.said("axis", 0), call.figures("", 1)
    axis = axis % x.ndim
    if places.ndim == 0:
        return x.select(axis, int(places))
    if places.ndim > 1:
        raise ModelError(f"{call.path}: a Gather of a table ({call.node.output[0]!r}) is not known here")
    return x.index_select(axis, call.torch.from_numpy(places.astype(np.int64) % int(x.shape[axis])))


def _pad(call: Call) -> Tensor:
    x, pads = call.tensor(0), call.figures("pads", 1)
    if call.said("mode", b"constant") != b"constant" or call.given(3):
        raise ModelError(f"{call.path}: a Pad ({call.node.output[0]!r}) is of a kind that is not known here")
    value = call.figure(2) if call.opset >= 11 else call.said("value", 0.0)
    half, sizes = len(pads) // 2, list[Any]()
    for axis in reversed(range(half)):
        sizes += [pads[axis], pads[axis + half]]
    return call.torch.nn.functional.pad(x, [size if not hasattr(size, "item") else int(size) for size in sizes],
                                        value=value or 0.0)  # fmt: skip


def _transpose(call: Call) -> Tensor:
    x = call.tensor(0)
    return x.permute(call.said("perm") or list(reversed(range(x.ndim))))


def _concat(call: Call) -> Tensor:
    return call.torch.cat([call.tensor(i) for i in range(len(call.node.input))], dim=call.said("axis"))


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "Abs": _unary("abs"), "Erf": _unary("erf"), "Exp": _unary("exp"), "Log": _unary("log"), "Neg": _unary("neg"),
    "Sigmoid": _unary("sigmoid"), "Sqrt": _unary("sqrt"), "Tanh": _unary("tanh"), "Reciprocal": _unary("reciprocal"),
    "Relu": _activation("relu"), "Softplus": _activation("softplus"), "Softsign": _activation("softsign"),
    "Mish": _activation("mish"), "HardSwish": _activation("hardswish"), "Selu": _activation("selu"),
    "Cast": lambda call: call.tensor(0), "Identity": lambda call: call.tensor(0),
    "Dropout": lambda call: call.tensor(0),
    "LeakyRelu": lambda call: call.torch.nn.functional.leaky_relu(call.tensor(0), call.said("alpha", 0.01)),
    "Elu": lambda call: call.torch.nn.functional.elu(call.tensor(0), call.said("alpha", 1.0)),
    "Gelu": lambda call: call.torch.nn.functional.gelu(
        call.tensor(0), approximate=call.said("approximate", b"none").decode()
    ),
    "PRelu": lambda call: call.torch.where(call.tensor(0) > 0, call.tensor(0), call.tensor(0) * call.tensor(1)),
    "HardSigmoid": lambda call: call.torch.nn.functional.hardtanh(
        call.tensor(0) * call.said("alpha", 0.2) + call.said("beta", 0.5), 0.0, 1.0
    ),
    "Add": _folded("add"), "Sub": _folded("sub"), "Mul": _folded("mul"), "Div": _folded("div"), "Pow": _folded("pow"),
    "Max": _folded("maximum"), "Min": _folded("minimum"), "Sum": _folded("add"), "MatMul": _folded("matmul"),
    "Clip": _clip, "Softmax": _softmax, "LogSoftmax": _softmax, "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm, "Gemm": _gemm, "Conv": conv, "MaxPool": max_pool, "AveragePool": average_pool,
    "GlobalAveragePool": lambda call: call.tensor(0).mean(dim=(2, 3), keepdim=True), "GlobalMaxPool": _global_max,
    "ReduceMean": _reduced("mean"), "ReduceSum": _reduced("sum"), "ReduceMax": _reduced("amax"),
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Slice": _slice,
    "Gather": _gather, "Pad": _pad, "Transpose": _transpose, "Concat": _concat,
}  # fmt: skip
