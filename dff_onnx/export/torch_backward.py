"""PyTorch's backward operators in terms of forward ones: ONNX has no others."""

from __future__ import annotations

from typing import Any

import numpy as np

from dff_onnx.export.torch_probe import Tensor


def forward_operators() -> dict[Any, Any]:
    """What `make_fx` puts in place of each operator that ONNX lacks: PyTorch's own decompositions, and those below."""
    import torch
    from torch._decomp import core_aten_decompositions

    aten = torch.ops.aten
    return dict(core_aten_decompositions()) | {
        aten.convolution_backward.default: _convolution,
        aten.max_pool2d_with_indices_backward.default: _max_pool,
        aten.avg_pool2d_backward.default: _average_pool,
        aten._adaptive_avg_pool2d_backward.default: _adaptive_average_pool,
        aten.empty_permuted.default: _unset,
    }


def _unset(size: list[int], _order: Any, **options: Any) -> Tensor:
    """Memory that is about to be filled."""
    import torch

    return torch.zeros(size, dtype=options.get("dtype"))


def _convolution(
    gradient: Tensor, x: Tensor, weight: Tensor, _bias: Any, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, _output_padding: list[int], groups: int, _mask: Any,
) -> tuple[Tensor, None, None]:  # fmt: skip
    """With respect to the features alone; the weights stay as they are."""
    import torch

    functional = torch.nn.functional
    if transposed:
        return functional.conv2d(gradient, weight, None, stride, padding, dilation, groups), None, None
    stride = list(stride) * (2 // len(stride))
    spread = functional.conv_transpose2d(gradient, weight, None, stride, 0, 0, groups, dilation)
    return _inside(spread, x, stride, list(padding) * (2 // len(padding))), None, None


def _max_pool(
    gradient: Tensor, x: Tensor, _kernel: Any, _stride: Any, _padding: Any, _dilation: Any, _ceil: bool, places: Tensor
) -> Tensor:
    import torch

    n, c, h, w = x.shape
    empty = torch.zeros_like(x).reshape(n, c, h * w)
    return empty.scatter_add(2, places.reshape(n, c, -1), gradient.reshape(n, c, -1)).reshape(n, c, h, w)


def _average_pool(
    gradient: Tensor, x: Tensor, kernel: list[int], stride: list[int], padding: list[int], ceil: bool, counted: bool,
    divisor: int | None = None,
) -> Tensor:  # fmt: skip
    """Every output spreads evenly over its window; how many cells a window has is asked of a picture of ones."""
    import torch

    functional, channels = torch.nn.functional, x.shape[1]
    kernel, padding = (list(size) * (2 // len(size)) for size in (kernel, padding or [0]))
    stride = list(stride) * (2 // len(stride)) if stride else kernel
    cells = kernel[0] * kernel[1]
    if divisor is None and (ceil or (not counted and any(padding))):
        # A pooling of ones, divided by all cells of a window, is the share of the cells that count.
        ones = torch.ones_like(x[:1, :1])
        if counted:
            ones = functional.pad(ones, [padding[1], padding[1], padding[0], padding[0]], value=1.0)
        around = [0, 0] if counted else padding
        share = functional.avg_pool2d(ones, kernel, stride, around, ceil, True, divisor_override=cells)
        gradient = gradient / share
    window = torch.full((channels, 1, *kernel), 1.0 / (divisor or cells))
    spread = functional.conv_transpose2d(gradient, window, None, stride, 0, 0, channels)
    return _inside(spread, x, stride, padding)


def _adaptive_average_pool(gradient: Tensor, x: Tensor) -> Tensor:
    """Windows of sizes that follow from the grid, which is then fixed: both axes are products with a matrix."""
    rows, columns = (_windows(int(x.shape[axis]), int(gradient.shape[axis])) for axis in (2, 3))
    return rows.T @ gradient @ columns


def _windows(size: int, cells: int) -> Tensor:
    """`(cells, size)`: how much each cell takes of each place."""
    import torch

    shares = np.zeros((cells, size), np.float32)  # PyTorch's tracer would write every step of this down
    for i in range(cells):
        start, end = i * size // cells, -(-(i + 1) * size // cells)
        shares[i, start:end] = 1 / (end - start)
    return torch.from_numpy(shares)


def _inside(spread: Tensor, x: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """Without the border; rows that no window reached are zero."""
    import torch

    height, width = x.shape[2:]
    # With strides up to `stride - 1` rows were left over at the end.
    whole = torch.nn.functional.pad(spread, [0, stride[1] - 1, 0, stride[0] - 1])
    return whole[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width]
