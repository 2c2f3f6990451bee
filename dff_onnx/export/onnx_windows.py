"""Convolutions and poolings of ONNX by PyTorch: the same windows, whatever their borders."""

from __future__ import annotations

from typing import Any

from dff_onnx.errors import ModelError
from dff_onnx.export.onnx_call import Call
from dff_onnx.export.torch_probe import Tensor


def conv(call: Call) -> Tensor:
    """Conv."""
    x, weight = call.tensor(0), call.tensor(1)
    bias = call.tensor(2) if call.given(2) else None
    strides, dilations = call.said("strides", [1, 1]), call.said("dilations", [1, 1])
    pads = _pads(call, x, list(weight.shape[2:]), strides, dilations)
    padding, x = _symmetric(call, x, pads, 0.0)
    return call.torch.nn.functional.conv2d(x, weight, bias, strides, padding, dilations, call.said("group", 1))


def max_pool(call: Call) -> Tensor:
    """MaxPool."""
    if len(call.node.output) > 1:
        raise ModelError(f"{call.path}: a MaxPool gives places ({call.node.output[0]!r}), which is not known here")
    x, kernel = call.tensor(0), call.said("kernel_shape")
    strides, dilations = call.said("strides", [1, 1]), call.said("dilations", [1, 1])
    padding, x = _symmetric(call, x, _pads(call, x, kernel, strides, dilations), float("-inf"), kernel)
    ceil = bool(call.said("ceil_mode", 0))
    return call.torch.nn.functional.max_pool2d(x, kernel, strides, padding, dilations, ceil)


def average_pool(call: Call) -> Tensor:
    """AveragePool."""
    x, kernel, strides = call.tensor(0), call.said("kernel_shape"), call.said("strides", [1, 1])
    if set(call.said("dilations", [1])) != {1}:
        raise ModelError(f"{call.path}: a dilated AveragePool ({call.node.output[0]!r}) is not known here")
    pads, counted = _pads(call, x, kernel, strides, [1, 1]), bool(call.said("count_include_pad", 0))
    ceil, functional = bool(call.said("ceil_mode", 0)), call.torch.nn.functional
    if pads[:2] == pads[2:] and all(2 * pad <= size for pad, size in zip(pads[:2], kernel, strict=True)):
        return functional.avg_pool2d(x, kernel, strides, pads[:2], ceil, counted)
    if ceil:
        raise ModelError(f"{call.path}: an AveragePool ({call.node.output[0]!r}) has borders that are not known here")
    border = [pads[1], pads[3], pads[0], pads[2]]
    sums = functional.avg_pool2d(functional.pad(x, border), kernel, strides)
    if counted:
        return sums
    inside = call.torch.ones_like(x[:1, :1])
    return sums / functional.avg_pool2d(functional.pad(inside, border), kernel, strides)


def _symmetric(
    call: Call, x: Tensor, pads: list[Any], value: float, kernel: list[int] | None = None
) -> tuple[list[int], Tensor]:
    """Borders that PyTorch's windows take by themselves, else the features with their borders."""
    alike = pads[:2] == pads[2:] and all(type(pad) is int for pad in pads)
    if alike and (kernel is None or all(2 * pad <= size for pad, size in zip(pads[:2], kernel, strict=True))):
        return pads[:2], x
    border = [pads[1], pads[3], pads[0], pads[2]]
    return [0, 0], call.torch.nn.functional.pad(x, border, value=value)


def _pads(call: Call, x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> list[Any]:
    """`top, left, bottom, right`."""
    if len(kernel) != 2:
        raise ModelError(f"{call.path}: {call.node.op_type} {call.node.output[0]!r} is not of two axes")
    auto = call.said("auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b"VALID"):
        return list(call.said("pads", [0] * 4)) if auto == b"NOTSET" else [0] * 4
    begins, ends = [], []
    for size, window, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        reach = (window - 1) * dilation + 1
        total = reach - 1 if stride == 1 else max(((size + stride - 1) // stride - 1) * stride + reach - size, 0)
        less = total // 2
        begins.append(less if auto == b"SAME_UPPER" else total - less)
        ends.append(total - begins[-1])
    return [*begins, *ends]
