"""The gradient of a classifier's scores with respect to a layer, as an ONNX file. Needs PyTorch and onnxscript.

ONNX Runtime has no backward pass. The tail's nodes become a PyTorch function, `torch.func.vjp` differentiates it, and
what that computes is written down as a network: `A (n, c, h, w)` and `class (n,)` in, `gradient (n, c, h, w)` and
`score (n,)` out.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from dff_onnx.backbone.graph import resolve_layer
from dff_onnx.backbone.metadata import FORMAT_KEY
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import Accelerator, Session, runtime_errors, stdout_is_for_results
from dff_onnx.backbone.shapes import PROBE, shapes_of
from dff_onnx.backbone.tail import FEATURES, SCORES, run_session, start, tail_model
from dff_onnx.backbone.tail_gradient import CLASSES_KEY, GRADIENT_FORMAT, INPUTS, LAYER_KEY, MODEL_KEY, OUTPUTS
from dff_onnx.errors import ModelError, UsageError, first_line
from dff_onnx.export.exporter import OPSET
from dff_onnx.export.onnx_to_torch import torch_module_of
from dff_onnx.export.torch_backward import forward_operators
from dff_onnx.export.torch_probe import Module, Tensor
from dff_onnx.files import write_atomically

# Largest difference from PyTorch's gradient, over the largest value; float32 leaves about 1e-6 of it.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class TailGradientFile:
    """What was written.

    Attributes:
        path: the file.
        layer: the tensor with respect to which it is.
        classes: of the classifier.
        difference: the largest from PyTorch's own gradient, over the largest value.
        fixed: `(n, height, width)` of the features, None where an axis is free.
    """

    path: Path
    layer: str
    classes: int
    difference: float
    fixed: tuple[int | None, int | None, int | None]


def export_tail_gradient(
    classifier: str | Path, layer: str, output: str | Path, *, answer: str | None = None, opset: int = OPSET
) -> TailGradientFile:
    """Writes the gradient of a classifier's tail, and compares it with PyTorch's.

    Args:
        classifier: the ONNX file.
        layer: the tensor with respect to which it is, or its node.
        output: the file to write.
        answer: the tensor of the scores; by default the only output of one figure a class.
        opset: of the file written.

    Raises:
        ModelError: when the tail cannot be had (see `tail_model`), has operators that are not known here, or its
            gradient cannot be exported.
        UsageError: when there is no such file, or no PyTorch.
        OutputError: when the file cannot be written.
    """
    need_torch()
    file = load_model(classifier)
    tail = tail_model(file.model, layer, answer, file.path)
    name = resolve_layer(file.model, layer, file.path)
    axes = tail.graph.input[-1].type.tensor_type.shape.dim
    shape = (axes[0].dim_value or 2, axes[1].dim_value, *_grid(file.model, name, axes[1].dim_value))
    free = [i for i in (0, 2, 3) if not axes[i].dim_value]
    module = torch_module_of(tail, file.path)
    _compare_scores(module, tail, shape, file.path)
    made = tail_gradient_of(module, shape, free=free, layer=name, model_sha256=file.sha256, opset=opset)
    return _written(made, Path(output))


def tail_gradient_of(
    module: Module,
    shape: Sequence[int],
    *,
    free: Sequence[int] = (0, 2, 3),
    layer: str = "features",
    model_sha256: str = "",
    opset: int = OPSET,
) -> ModelProto:
    """The gradient of a tail that is a PyTorch module, as such a file; written with `SerializeToString`.

    Args:
        module: features `(n, c, h, w)` -> scores `(n, classes)`; each picture's scores by its own features alone.
        shape: of the features it is tried with.
        free: axes that need not have this size; places stay as they are where the module takes no others.
        layer: what the features are called.
        model_sha256: of the classifier's file, where there is one.
        opset: of the file.

    Raises:
        ModelError: when PyTorch cannot export it, or the file differs from PyTorch.
        UsageError: when there is no PyTorch.
    """
    need_torch()
    module, why = module.eval().requires_grad_(False), ""
    for axes in dict.fromkeys((tuple(free), tuple(axis for axis in free if axis == 0), ())):
        sample = _features(_distinct(shape, axes))
        try:
            classes = _classes(module, sample, layer)
            made = _exported(module, sample, axes, opset, layer)
            session = start(made, "cpu", None, Accelerator(), Path(layer))
            difference = max(_difference(module, session, size, layer) for size in _sizes(sample.shape, axes))
        except ModelError as error:  # PyTorch found that an axis is not free after all, or the graph does not run
            why = why or str(error)
            continue
        if difference <= TOLERANCE:
            said = {FORMAT_KEY: GRADIENT_FORMAT, LAYER_KEY: layer, MODEL_KEY: model_sha256, CLASSES_KEY: str(classes)}
            helper.set_model_props(made, said | {"dff.parity": json.dumps({"difference": difference})})
            return made
        why = f"{layer}: the gradient's file differs from PyTorch by {difference:.2g} of the largest value"
    raise ModelError(why)


def need_torch() -> None:
    """Refuses to go on without PyTorch.

    Raises:
        UsageError: when it, or onnxscript, is not installed.
    """
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
        raise UsageError("exporting a gradient needs PyTorch and onnxscript: pip install 'dff-onnx[torch]'")


def _grid(model: ModelProto, layer: str, channels: int) -> tuple[int, ...]:
    """Height and width of a layer at the probe size."""
    shape = shapes_of(model, Path(layer), PROBE)[layer].shape
    return shape[2:] if shape[1] == channels else shape[1:3]


def _exported(module: Module, sample: Tensor, axes: Sequence[int], opset: int, layer: str) -> ModelProto:
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    inputs = (sample, torch.zeros(sample.shape[0], dtype=torch.int64))
    try:
        with warnings.catch_warnings(), stdout_is_for_results():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            # Traced before it is exported: `torch.export` does not follow `torch.func`.
            traced = make_fx(_gradient(module), forward_operators(), "symbolic", _allow_non_fake_inputs=True)(*inputs)
            shapes = (dynamic, {0: torch.export.Dim.DYNAMIC} if 0 in axes else {})
            program = torch.export.export(traced, inputs, dynamic_shapes=shapes, strict=False)
            made: ModelProto = torch.onnx.export(
                program, (), dynamo=True, opset_version=opset, input_names=INPUTS, output_names=OUTPUTS, verbose=False
            ).model_proto
    except ModelError:
        raise
    except Exception as error:  # PyTorch's exporter raises what it will
        raise ModelError(f"{layer}: PyTorch cannot export the gradient: {first_line(_root(error))}") from error
    _tidy(made, axes)
    return made


def _root(error: BaseException) -> BaseException:
    """What was raised first: PyTorch wraps it in advice on how to report it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _gradient(module: Module) -> Module:
    """`(A, class)` -> `d y / d A` and y, where y is each picture's score of its class."""
    import torch

    class Gradient(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tail = module

        def forward(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
            scores, pull = torch.func.vjp(self.tail, features)
            wanted = (torch.arange(scores.shape[1])[None, :] == classes[:, None]).to(scores.dtype)
            return pull(wanted)[0], (scores * wanted).sum(dim=1)

    return Gradient().eval()


def _tidy(model: ModelProto, axes: Sequence[int]) -> None:
    """Removes what only an exporter wants to know (paths of this machine among it), and names free axes."""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for axis, name in zip((0, 2, 3), ("n", "h", "w"), strict=True):
            if axis in axes and axis < len(dims):
                dims[axis].dim_param = name


def _compare_scores(module: Module, tail: ModelProto, shape: Sequence[int], path: Path) -> None:
    """Refuses a tail that PyTorch computes otherwise than ONNX Runtime."""
    import torch

    features = _features(shape)
    with torch.no_grad():
        found = _called(module, features, str(path)).numpy()
    expected = run_session(start(tail, "cpu", None, Accelerator(), path), SCORES, {FEATURES: features.numpy()}, path)
    if found.shape != expected.shape:
        raise ModelError(f"{path}: its tail gives {found.shape} in PyTorch, {expected.shape} in ONNX Runtime")
    difference = np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30)
    if not difference <= TOLERANCE:
        raise ModelError(f"{path}: its tail gives other scores in PyTorch, by {difference:.2g} of the largest")


def _difference(module: Module, session: Session, shape: Sequence[int], layer: str) -> float:
    """The file beside PyTorch's own gradient and scores, over the largest value of each."""
    import torch

    features = _features(shape).requires_grad_(True)
    scores = _called(module, features, layer)
    wanted = torch.arange(shape[0]) % scores.shape[1]
    picked = scores.gather(1, wanted[:, None])[:, 0]
    expected: list[NDArray[Any]] = [torch.autograd.grad(picked.sum(), features)[0].numpy(), picked.detach().numpy()]
    try:
        found = session.run(list(OUTPUTS), {"A": features.detach().numpy(), "class": wanted.numpy()})
    except runtime_errors() as error:
        raise ModelError(f"{layer}: the gradient's file does not run: {first_line(error)}") from error
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
            raise ModelError(f"{layer}: the gradient is not finite, or has another shape than in PyTorch")
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-30)) for one, other in pairs)


def _classes(module: Module, features: Tensor, layer: str) -> int:
    scores = _called(module, features, layer)
    if scores.ndim != 2 or scores.shape[0] != features.shape[0]:
        raise ModelError(f"{layer}: the tail gives {tuple(scores.shape)} for {features.shape[0]} pictures, not scores")
    return int(scores.shape[1])


def _called(module: Module, features: Tensor, name: str) -> Tensor:
    try:
        return module(features)
    except ModelError:
        raise
    except Exception as error:  # whatever a network says to a size that it does not take
        raise ModelError(f"{name}: PyTorch cannot run the tail: {first_line(error)}") from error


def _features(shape: Sequence[int]) -> Tensor:
    import torch

    values = np.random.default_rng(sum(shape)).exponential(1.0, shape) - 0.1
    return torch.from_numpy(values.astype(np.float32))


def _distinct(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """The shape, its free axes a little larger where two sizes are equal: PyTorch takes equal sizes for one."""
    found = list(shape)
    for axis in axes:
        while found[axis] in found[:axis] + found[axis + 1 :] or found[axis] < 2:
            found[axis] += 1
    return tuple(found)


def _sizes(shape: Sequence[int], axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Of the batches to compare."""
    n, c, h, w = shape
    others = [(1, c, h, w), (n + 2, c, h, w)] if 0 in axes else []
    if 2 in axes:
        others.append((n, c, h + 3, w + 6))
    return [(n, c, h, w), *others]


def _written(made: ModelProto, output: Path) -> TailGradientFile:
    said = {p.key: p.value for p in made.metadata_props}
    write_atomically(output, made.SerializeToString(deterministic=True))
    n, _, height, width = (axis.dim_value or None for axis in made.graph.input[0].type.tensor_type.shape.dim)
    difference = float(json.loads(said["dff.parity"])["difference"])
    return TailGradientFile(output, said[LAYER_KEY], int(said[CLASSES_KEY]), difference, (n, height, width))
