"""Any PyTorch network, truncated at a submodule, becomes an ONNX backbone. Needs PyTorch and onnxscript."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from dff_onnx.backbone.cut import Sign, cut
from dff_onnx.backbone.metadata import Layer, Metadata
from dff_onnx.backbone.model_file import ModelFile
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.backbone.runtime import create_session, stdout_is_for_results
from dff_onnx.errors import CheckpointError, ModelError, UsageError
from dff_onnx.export.checkpoint import open_checkpoint
from dff_onnx.export.exporter import OPSET
from dff_onnx.export.torch_probe import Module, Probe, Tensor, caught, probe
from dff_onnx.files import write_atomically
from dff_onnx.records import Preprocessing

# Largest difference from PyTorch, over the largest value, that a file may have; float32 leaves about 1e-5 of it.
TOLERANCE = 1e-3
COUNTER = "num_batches_tracked"
# The layer's name while it is exported.
OUTPUT = "dff.layer"


@dataclass(frozen=True, slots=True)
class Parity:
    """How a file compares with PyTorch.

    Attributes:
        difference: the largest, over the largest value.
        sizes: `(n, height, width)` of the batches compared.
        torch: its version.
    """

    difference: float
    sizes: tuple[tuple[int, int, int], ...]
    torch: str


@dataclass(frozen=True, slots=True)
class ExportedModule:
    """What was written.

    Attributes:
        path: the ONNX file.
        layer: the output.
        probe: what the submodule gave.
        parity: with PyTorch.
        fixed: height and width of the input, None where they are free.
    """

    path: Path
    layer: Layer
    probe: Probe
    parity: Parity
    fixed: tuple[int, int] | None


def load_network(name: str, weights: str | Path | None = None) -> Module:
    """A network in evaluation mode.

    Args:
        name: `package.module:callable` (or `file.py:callable`), called without arguments; `torchvision:NAME` and
            `timm:NAME` are those libraries' networks with random weights.
        weights: a `.pth` of `torch.save` or a `.safetensors` with the network's state dict; no code in it can run.

    Raises:
        UsageError: when there is no such network, or no PyTorch.
        CheckpointError: when the weights cannot be read safely, or are another network's.
    """
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
        raise UsageError("exporting a PyTorch module needs PyTorch and onnxscript: pip install 'dff-onnx[torch]'")
    import torch

    made = _made(name)
    if not isinstance(made, torch.nn.Module):
        raise UsageError(f"{name}: gives a {type(made).__name__}, not a torch.nn.Module")
    if weights is not None:
        _load_weights(made, Path(weights))
    return made.eval().to("cpu", torch.float32)


def export_module(
    network: Module,
    layer: str,
    output: str | Path,
    *,
    name: str = "",
    preprocessing: Preprocessing | None = None,
    size: int = 224,
    opset: int = OPSET,
    sign: Sign = "keep",
) -> ExportedModule:
    """Writes a PyTorch network, truncated at a submodule, as an ONNX backbone, and compares it with PyTorch.

    The output is what a hook at the submodule sees once the network has run: a later operation in place (torchvision's
    ReLUs) shows in it, and the result says who did it. Tokens of a vision transformer become a grid, channels that lie
    last come first. Batch, height and width are free where the network allows it.

    Args:
        network: in evaluation mode; `load_network` gives one.
        layer: the submodule's name, which becomes the output's.
        output: the file to write.
        name: of the network, for the metadata.
        preprocessing: what it was trained on and what the input is to be; by default uint8 pixels `(n, h, w, 3)`,
            normalised in the graph by ImageNet's mean and standard deviation.
        size: height and width of the pictures it is tried with, and of those it takes where it takes no others.
        opset: of the file.
        sign: what becomes of negative values.

    Raises:
        UsageError: when there is no such submodule, or it gives no grid.
        ModelError: when PyTorch cannot export it, or the file differs from PyTorch.
        OutputError: when the file cannot be written.
    """
    preprocessing, output = preprocessing or Preprocessing(), Path(output)
    found = probe(network, layer, size)
    plan = _Plan(network, layer, found, preprocessing, size, opset, sign)
    model, parity = _best(plan)
    made = Layer(
        name=model.graph.output[0].name,
        stride=found.stride,
        channels=found.channels * (2 if sign == "split" else 1),
        nonnegative=model.graph.output[0].name in nonnegative_tensors(model.graph),
    )
    metadata = Metadata(name or type(network).__name__, (made,), preprocessing, _digest(network))
    compared = {"difference": parity.difference, "sizes": parity.sizes, "torch": parity.torch}
    helper.set_model_props(model, metadata.to_properties() | {"dff.parity": json.dumps(compared)})
    write_atomically(output, model.SerializeToString(deterministic=True))
    return ExportedModule(output, made, found, parity, None if _is_free(model) else (size, size))


def _made(name: str) -> Any:
    library, _, attribute = name.rpartition(":")
    if not library or not attribute:
        raise UsageError(f"{name!r}: package.module:callable, torchvision:NAME or timm:NAME is needed")
    try:
        if library == "torchvision":
            return importlib.import_module("torchvision.models").get_model(attribute, weights=None)
        if library == "timm":
            return importlib.import_module("timm").create_model(attribute, pretrained=False)
        found = getattr(_module(library), attribute)
    except (ImportError, AttributeError, OSError, RuntimeError, ValueError, SyntaxError) as error:
        raise UsageError(f"{name}: cannot be loaded ({type(error).__name__}: {_line(error)})") from error
    if isinstance(found, type) or not hasattr(found, "named_modules"):
        if not callable(found):
            raise UsageError(f"{name}: is a {type(found).__name__}, not a network or a callable that makes one")
        return found()  # what it raises is its own affair and shows as it is
    return found


def _module(library: str) -> Any:
    if not library.endswith(".py"):
        sys.path.insert(0, "")  # as `python -m` has it
        try:
            return importlib.import_module(library)
        finally:
            sys.path.remove("")
    path = Path(library).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no Python file {library}")
    module = importlib.util.module_from_spec(spec)
    # As `python file.py` has it: the file's neighbours can be imported, and its classes know their module.
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def _load_weights(network: Module, path: Path) -> None:
    import torch

    with open_checkpoint(path) as checkpoint:
        names = [name for name in checkpoint.shapes if not name.endswith(COUNTER)]
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if COUNTER not in name}
        for name in (*wanted, *names):
            if name not in wanted or checkpoint.shapes.get(name) != wanted[name]:
                has, needs = checkpoint.shapes.get(name, "not there"), wanted.get(name, "not there")
                raise CheckpointError(f"{path}: is not of this network: {name!r} is {has} in the file, {needs} in it")
        arrays = {name: torch.from_numpy(checkpoint.array(name).astype(np.float32)) for name in names}
    network.load_state_dict(arrays, strict=False)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an attempt needs to know."""

    network: Module
    layer: str
    found: Probe
    preprocessing: Preprocessing
    size: int
    opset: int
    sign: Sign


def _best(plan: _Plan) -> tuple[ModelProto, Parity]:
    """The file with the most axes free that computes what PyTorch computes.

    A graph of fixed axes, which the cut then frees by proof, comes quickest and cleanest; PyTorch's own free axes cost
    up to six times the time, and serve where a shape is written into the graph. Whatever is free is tried: a pooling to
    a fixed grid, say, is a pooling of fixed windows in a graph of fixed axes.
    """
    height, width = (1, 2) if plan.preprocessing.layout == "NHWC" else (2, 3)
    exported: dict[tuple[int, ...], ModelProto] = {}
    attempts = [((), True), ((0, height, width), True), ((0,), False), ((), False)]
    why = ""
    for axes, free in attempts:
        if axes == (0, height, width) and not plan.found.free:
            continue
        try:
            if axes not in exported:
                exported[axes] = _exported(plan, axes)
            model = _backbone(plan, exported[axes], axes, free)
            if axes == () and free and not _is_free(model):
                continue
            parity = _compared(plan, model)
        except ModelError as error:  # PyTorch found that an axis is not free after all, or the graph does not run
            why = str(error)
            continue
        if parity.difference <= TOLERANCE:
            return model, parity
        why = f"{plan.layer}: its file differs from PyTorch by {parity.difference:.2g} of the largest value"
    raise ModelError(f"{why}; try another submodule or --opset")


def _exported(plan: _Plan, axes: Sequence[int]) -> ModelProto:
    """What PyTorch's exporter makes of the network; these axes of the input are free in its eyes."""
    import torch

    pixels = torch.from_numpy(_pixels(2, plan.size, plan.size, plan.preprocessing))
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    try:
        with warnings.catch_warnings(), torch.no_grad(), stdout_is_for_results():
            warnings.simplefilter("ignore")
            # It tells of libraries that are not installed, and that nobody asked for.
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.export.export(_wrapped(plan), (pixels,), dynamic_shapes=(dynamic,), strict=False)
            made: ModelProto = torch.onnx.export(
                program, (), dynamo=True, opset_version=plan.opset, input_names=[INPUT], output_names=[OUTPUT],
                verbose=False,
            ).model_proto  # fmt: skip
    except Exception as error:  # PyTorch's exporter raises what it will
        raise ModelError(f"{plan.layer}: PyTorch cannot export it: {_line(error)}") from error
    _tidy(made, plan.layer, axes)
    return made


def _backbone(plan: _Plan, exported: ModelProto, axes: Sequence[int], free: bool) -> ModelProto:
    """The export, cut as any ONNX file is; unless they may be free, axes that it had fixed are fixed again."""
    made = cut(ModelFile(Path(plan.layer), exported, ""), [plan.layer], sign=plan.sign)
    if not free:
        fixed = _pixels(2, plan.size, plan.size, plan.preprocessing).shape
        for axis, size in enumerate(fixed):
            if axis not in axes:
                made.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    return made


def _wrapped(plan: _Plan) -> Module:
    """The network from the image as the file takes it to the layer as the file gives it."""
    import torch

    preprocessing, found = plan.preprocessing, plan.found
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))

    class Wrapped(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = plan.network

        def forward(self, image: Tensor) -> Tensor:
            x = image.permute(0, 3, 1, 2) if preprocessing.layout == "NHWC" else image
            height, width = x.shape[2], x.shape[3]
            if preprocessing.dtype == "uint8":
                x = x.flip(1) if preprocessing.channels == "BGR" else x
                x = (x.to(torch.float32) * preprocessing.scale - mean) / std
            with caught(self.network, plan.layer) as outputs:
                self.network(x)
            made = outputs[-1]
            if found.form == "last":
                return made.permute(0, 3, 1, 2)
            if found.form == "tokens":
                patches = made[:, found.special :].transpose(1, 2)
                return patches.reshape(-1, found.channels, height // found.stride, width // found.stride)
            return made

    return Wrapped().eval()


def _tidy(model: ModelProto, layer: str, axes: Sequence[int]) -> None:
    """Removes what only an exporter wants to know (paths of this machine among it); names the layer and free axes."""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.value_info[:]
    # PyTorch's exporter may have called another tensor so.
    names = {layer: f"{layer}.before", OUTPUT: layer}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    model.graph.output[0].name = layer
    for axis, name in zip(axes, ("n", "h", "w"), strict=False):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name


def _compared(plan: _Plan, model: ModelProto) -> Parity:
    """The file beside the network itself, for three batches of the sizes that both take."""
    import torch

    session = create_session(model.SerializeToString(), "cpu")
    dims = session.get_inputs()[0].shape
    batch = dims[0] if isinstance(dims[0], int) else None
    side = plan.size
    others = ((1, side + 64, side + 32), (3, side - side // 8, side)) if _is_free(model) and plan.found.free else ()
    sizes = ((batch or 2, side, side), *((batch or n, h, w) for n, h, w in others or ((1, side, side),)))
    worst = 0.0
    for n, height, width in sizes:
        pixels = _pixels(n, height, width, plan.preprocessing)
        try:
            found = session.run(None, {INPUT: pixels})[0]
        except Exception as error:  # ONNX Runtime's exceptions have no common ancestor
            raise ModelError(f"{plan.layer}: its file does not run: {_line(error)}") from error
        with torch.no_grad():
            expected = _with_sign(_wrapped(plan)(torch.from_numpy(pixels)).numpy(), plan.sign)
        if found.shape != expected.shape:
            raise ModelError(f"{plan.layer}: its file gives {found.shape}, PyTorch {expected.shape}")
        if not (np.isfinite(found).all() and np.isfinite(expected).all()):
            raise ModelError(f"{plan.layer}: has values that are not finite, in its file or in PyTorch")
        worst = max(worst, float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30)))
    return Parity(worst, tuple(dict.fromkeys(sizes)), torch.__version__)


def _with_sign(values: NDArray[Any], sign: Sign) -> NDArray[Any]:
    if sign == "keep":
        return values
    rectified = np.maximum(values, 0)
    return rectified if sign == "rectify" else np.concatenate([rectified, np.maximum(-values, 0)], axis=1)


def _is_free(model: ModelProto) -> bool:
    """Whether batch, height and width are: of the four axes only the channels are fixed."""
    return sum(bool(axis.dim_value) for axis in model.graph.input[0].type.tensor_type.shape.dim) == 1


def _pixels(n: int, height: int, width: int, preprocessing: Preprocessing) -> NDArray[Any]:
    rng = np.random.default_rng(height)
    shape = (n, height, width, 3) if preprocessing.layout == "NHWC" else (n, 3, height, width)
    if preprocessing.dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.normal(0, 1, shape).astype(np.float32)


def _digest(network: Module) -> str:
    """Of all weights, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
