"""Arithmetic with shapes, as exporters write it into graphs, on the host: its figures may be PyTorch's symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from dff_onnx.errors import ModelError
from dff_onnx.export.onnx_call import Call

Figures = NDArray[Any]
# A graph that asks for a larger constant than this is not of a classifier's shapes.
LARGEST = 2**20


def shape_of(call: Call) -> Figures:
    """What a Shape node gives: symbols where PyTorch traces free axes."""
    value = call.values[call.node.input[0]]
    sizes = list(value.shape)[slice(call.said("start", 0), call.said("end"))]
    if all(type(size) is int for size in sizes):
        return np.asarray(sizes, np.int64)
    found = np.empty(len(sizes), object)
    found[:] = sizes
    return found


def _cast(call: Call) -> Figures:
    value = call.host(0)
    return value if value.dtype == object else value.astype(helper.tensor_dtype_to_np_dtype(call.said("to")))


def _constant_of_shape(call: Call) -> Figures:
    shape = [int(size) for size in call.host(0)]
    if np.prod(shape, dtype=float) > LARGEST:
        raise ModelError(f"{call.path}: makes a constant of shape {shape}, too large for a shape")
    held = call.said("value")
    filled: Figures = np.zeros(1, np.float32) if held is None else numpy_helper.to_array(held)
    return np.full(shape, filled.reshape(-1)[0], filled.dtype)


def _divide(call: Call) -> Figures:
    left, right = call.host(0), call.host(1)
    whole = left.dtype.kind in "iuO" and right.dtype.kind in "iuO"
    quotient: Figures = np.asarray(left // right if whole else left / right)
    return quotient


def _slice(call: Call) -> Figures:
    value, starts, ends = call.host(0), call.figures("starts", 1), call.figures("ends", 2)
    axes, steps = call.figures("axes", 3), call.figures("steps", 4)
    parts = [slice(None)] * value.ndim
    for i in range(len(starts)):
        step, axis = int(steps[i]) if steps is not None else 1, int(axes[i]) if axes is not None else i
        # The smallest integer stands for "through the first" where a slice runs backwards.
        end = None if step < 0 and int(ends[i]) < -value.shape[axis] else int(ends[i])
        parts[axis] = slice(int(starts[i]), end, step)
    cut: Figures = value[tuple(parts)]
    return cut


def _reshape(call: Call) -> Figures:
    value = call.host(0)
    wanted = [int(size) for size in call.figures("shape", 1)]
    return value.reshape([value.shape[i] if size == 0 else size for i, size in enumerate(wanted)])


def _squeeze(call: Call) -> Figures:
    axes = call.figures("axes", 1)
    return np.squeeze(call.host(0), None if axes is None else tuple(int(axis) for axis in axes))


ON_HOST: dict[str, Callable[[Call], Figures]] = {
    "Add": lambda call: np.asarray(call.host(0) + call.host(1)),
    "Sub": lambda call: np.asarray(call.host(0) - call.host(1)),
    "Mul": lambda call: np.asarray(call.host(0) * call.host(1)),
    "Div": _divide,
    "Cast": _cast,
    "Identity": lambda call: call.host(0),
    "Concat": lambda call: np.concatenate([call.host(i) for i in range(len(call.node.input))], call.said("axis")),
    "ConstantOfShape": _constant_of_shape,
    "Gather": lambda call: np.asarray(np.take(call.host(0), call.host(1).astype(np.int64), call.said("axis", 0))),
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": lambda call: np.transpose(call.host(0), call.said("perm")),
    "Unsqueeze": lambda call: np.expand_dims(call.host(0), tuple(int(a) for a in call.figures("axes", 1))),
}
