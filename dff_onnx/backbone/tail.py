"""The tail of a classifier: from the features of a layer to the scores, an ONNX network of its own.

With it one may ask what the scores would be if the features were others, without running the whole network again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.backbone.graph import layout_of, resolve_layer
from dff_onnx.backbone.head import PASSING, PROBABILITIES, no_scores
from dff_onnx.backbone.image_input import image_input, input_layout, open_inputs
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.nodes import constants, references
from dff_onnx.backbone.runtime import Accelerator, Device, Session, create_session, device_of_session, runtime_errors
from dff_onnx.backbone.shapes import FLOATS, PROBE, Shape, TensorShape, shapes_of
from dff_onnx.errors import ArrayError, ModelError, UsageError, first_line

FEATURES, SCORES = "features.of.layer", "scores.of.tail"
# Pictures of one call of ONNX Runtime.
CHUNK = 64

Axes = tuple[int | None, int | None, int | None]


@dataclass(frozen=True)
class Tail:
    """The network behind a layer, in a session. Made by `Tail.open`; call it on features.

    Attributes:
        path: the classifier's file.
        model_sha256: of it.
        layer: the tensor whose features it takes.
        channels: of the features.
        classes: how many scores it gives.
        device: `cpu`, `cuda` or `tensorrt`, as the session really came back.
        fixed: `(n, height, width)` of the features, None where an axis is free.
        session: ONNX Runtime's.
    """

    path: Path
    model_sha256: str
    layer: str
    channels: int
    classes: int
    device: str
    fixed: Axes
    session: Session

    @classmethod
    def open(
        cls,
        path: str | Path | ModelFile,
        layer: str,
        answer: str | None = None,
        device: Device = "auto",
        threads: int | None = None,
        accelerator: Accelerator | None = None,
    ) -> Self:
        """Reads and checks a classifier and starts a session on what lies behind a layer.

        Args:
            path: the ONNX file, or what `load_model` made of it.
            layer: the tensor whose features are given, or the node that makes it.
            answer: the tensor of the scores; by default the only output of one figure a class.
            device: `auto`, `cpu`, or `cuda` or `tensorrt`, which are errors where they do not really run.
            threads: of one call; all available cores by default.
            accelerator: TensorRT's folder of engines. CUDA graphs do not serve here.

        Raises:
            ModelError: when the file cannot be used, see `tail_model`.
            DeviceError: when a device was asked for and is not there.
            UsageError: when there is no such file.
        """
        file = path if isinstance(path, ModelFile) else load_model(path)
        made = tail_model(file.model, layer, answer, file.path)
        session = start(made, device, threads, Accelerator((accelerator or Accelerator()).engines), file.path)
        _, channels, *_ = session.get_inputs()[0].shape
        return cls(
            path=file.path,
            model_sha256=file.sha256,
            layer=resolve_layer(file.model, layer, file.path),
            channels=channels,
            classes=made.graph.output[0].type.tensor_type.shape.dim[1].dim_value,
            device=device_of_session(session),
            fixed=fixed_axes(session),
            session=session,
        )

    def __call__(self, features: Array) -> NDArray[np.float32]:
        """The scores of features, before any softmax.

        Args:
            features: `(n, c, h, w)` float32.

        Returns:
            `(n, classes)` on the host.

        Raises:
            ArrayError: when they have other axes, or another number of channels.
            UsageError: when the tail takes a fixed size, and they have another.
            ModelError: when the network fails on this size.
        """
        held = to_numpy(features)
        check_features(held, self.channels, self.fixed, self.path)
        if not len(held):
            return np.empty((0, self.classes), np.float32)

        def run(part: NDArray[Any]) -> NDArray[Any]:
            source = np.ascontiguousarray(part, np.float32)
            return run_session(self.session, SCORES, {FEATURES: source}, self.path)

        return in_chunks(run, (held,), self.fixed[0])


def tail_model(model: ModelProto, layer: str, answer: str | None, path: Path) -> ModelProto:
    """What lies between a layer and the scores, as a network: `(n, c, h, w)` float32 -> `(n, classes)` float32.

    A layer whose channels lie last is turned at the border. Axes that the image input has fixed are fixed here, too.

    Args:
        model: the classifier.
        layer: a tensor's name, or its node's.
        answer: the tensor of the scores, see `Tail.open`; a final softmax or sigmoid is left out.
        path: the classifier's file, for the sentence.

    Raises:
        ModelError: when there is no such layer or answer, several answers, no way from one to the other, or one that
            passes around the layer.
    """
    name, shapes = resolve_layer(model, layer, path), shapes_of(model, path, PROBE)
    if name not in shapes or len(shapes[name].shape) != 4:
        raise ModelError(f"{path}: {name!r} has no grid of features; `dff-onnx layers` lists those that do")
    scores = _answer(model, answer, shapes, path)
    needed = _behind(model, name, scores, shapes, path)
    made = ModelProto(ir_version=model.ir_version, producer_name=model.producer_name, opset_import=model.opset_import)
    graph, whole = made.graph, model.graph
    graph.name = whole.name
    graph.initializer.extend(tensor for tensor in whole.initializer if tensor.name in needed)
    graph.sparse_initializer.extend(t for t in whole.sparse_initializer if t.values.name in needed)
    # Old files list their initializers among the inputs.
    graph.input.extend(source for source in whole.input if source.name in needed)
    _enter(graph, model, name, shapes[name], path)
    graph.node.extend(node for node in whole.node if needed.intersection(node.output) and name not in node.output)
    graph.node.append(helper.make_node("Cast", [scores], [f"{SCORES}.float32"], to=TensorProto.FLOAT))
    graph.node.append(helper.make_node("Flatten", [f"{SCORES}.float32"], [SCORES], axis=1))
    classes = max(shapes[scores].shape[1:])
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, [None, classes]))
    return made


def _answer(model: ModelProto, answer: str | None, shapes: dict[str, TensorShape], path: Path) -> str:
    """The tensor of the scores, before what turns them into probabilities."""
    if answer is not None:
        name = _before_softmax(model, resolve_layer(model, answer, path))
        if not _has_scores(shapes, name):
            raise ModelError(f"{path}: {answer!r} has not one figure a class; name the tensor of the scores")
        return name
    outputs = [output.name for output in model.graph.output]
    found = dict.fromkeys(_before_softmax(model, name) for name in outputs if _has_scores(shapes, name))
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise ModelError(f"{path}: has several answers ({', '.join(found)}); say which are the scores, with --head")
    raise no_scores(model, path)


def _has_scores(shapes: dict[str, TensorShape], name: str) -> bool:
    """Whether a tensor has one figure a class: `(n, classes)`, or more axes of a single entry."""
    shape: Shape = shapes[name].shape if name in shapes else ()
    return len(shape) == 2 or (len(shape) == 4 and sum(size > 1 for size in shape[1:]) == 1)


def _before_softmax(model: ModelProto, name: str) -> str:
    makers = {output: node for node in model.graph.node for output in node.output}
    here = name
    while here in makers and makers[here].op_type in PASSING | PROBABILITIES:
        if makers[here].op_type in PROBABILITIES:
            name = makers[here].input[0]
        here = makers[here].input[0]
    return name


def _behind(model: ModelProto, layer: str, scores: str, shapes: dict[str, TensorShape], path: Path) -> set[str]:
    """The tensors that the scores are made of once the layer is given; the layer is one of them."""
    needed = _made_of(model.graph, scores, layer)
    given = [source.name for source in open_inputs(model) if source.name in needed]
    if layer not in needed or layer == scores:
        raise ModelError(f"{path}: the scores {scores!r} do not come from layer {layer!r}; name a layer before them")
    if given:
        alone = _alone(model, layer, scores, shapes)
        cure = f"name one that everything passes, as {', '.join(alone)}" if alone else "no layer near it does better"
        raise ModelError(
            f"{path}: layer {layer!r} does not carry everything: the scores {scores!r} need {given[0]!r} beside it, by "
            f"a shortcut around it; {cure}"
        )
    return needed


def _made_of(graph: GraphProto, scores: str, layer: str) -> set[str]:
    makers = {output: node for node in graph.node for output in node.output if output}
    needed: set[str] = set()
    waiting = [scores]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            if name in makers and name != layer:
                waiting += references(makers[name])
    return needed


def _alone(model: ModelProto, layer: str, scores: str, shapes: dict[str, TensorShape]) -> list[str]:
    """Of the layers that every way to the scores passes, the last before a layer and the first two behind it."""
    needed, held = _made_of(model.graph, scores, ""), constants(model.graph)
    image = {source.name for source in open_inputs(model)}
    nodes = [node for node in model.graph.node if needed.intersection(node.output)]
    last = {name: i for i, node in enumerate(nodes) for name in references(node)}
    open_until: dict[str, int] = {name: last[name] for name in image if name in last}
    passed, before = list[str](), True
    moving = image
    for i, node in enumerate(nodes):
        # What the picture does not decide lies on no way.
        if not moving.intersection(n for n in references(node) if n not in held):
            continue
        moving = moving.union(node.output)
        open_until |= {name: last[name] for name in node.output if name in last}
        open_until = {name: until for name, until in open_until.items() if until > i}
        if layer in node.output:
            before = False
        if len(open_until) == 1 and (one := next(iter(open_until))) in node.output and _is_grid(shapes, one):
            passed = [one] if before else [*passed, one]
    return passed[:3]


def _is_grid(shapes: dict[str, TensorShape], name: str) -> bool:
    return name in shapes and len(shapes[name].shape) == 4 and sum(size > 1 for size in shapes[name].shape[1:]) == 3


def _enter(graph: GraphProto, model: ModelProto, layer: str, tensor: TensorShape, path: Path) -> None:
    """The features' way in: channels first and float32, whatever the layer has."""
    image = image_input(model, path)
    n, *rest = (bool(axis.dim_value) for axis in image.type.tensor_type.shape.dim)
    turn = layout_of(model, layer, path) == "NHWC"
    size = (tensor.shape[0], *(tensor.shape[axis] for axis in ((3, 1, 2) if turn else (1, 2, 3))))
    height, width = rest[1:] if input_layout(image) == "NCHW" else rest[:2]
    fixed = (n, True, height, width)
    axes = [s if f else name for s, f, name in zip(size, fixed, ("n", "c", "h", "w"), strict=True)]
    graph.input.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, axes))
    perm = [0, 2, 3, 1] if turn else [0, 1, 2, 3]
    kind = {name: kind for kind, name in FLOATS.items()}[tensor.dtype]
    graph.node.append(helper.make_node("Transpose", [FEATURES], [f"{FEATURES}.turned"], perm=perm))
    graph.node.append(helper.make_node("Cast", [f"{FEATURES}.turned"], [layer], to=kind))


def start(model: ModelProto, device: Device, threads: int | None, accelerator: Accelerator, path: Path) -> Session:
    """A session, or a sentence.

    Args:
        model: the network; its first output is the one that will be asked for.
        device, threads, accelerator: see `create_session`.
        path: the file it is of, for the sentence.
    """
    try:
        return create_session(model.SerializeToString(), device, threads, accelerator)
    except runtime_errors() as error:
        raise ModelError(f"{path}: ONNX Runtime refuses it: {first_line(error)}") from error


def run_session(session: Session, output: str, inputs: dict[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """One output, or a sentence; see `start`."""
    try:
        values: NDArray[Any] = session.run([output], inputs)[0]
    except runtime_errors() as error:
        n, _, height, width = next(iter(inputs.values())).shape
        raise ModelError(
            f"{path}: the network fails behind the layer on {n} grids of {height}x{width}: {first_line(error)}; take "
            "the size of picture that the classifier was made for"
        ) from error
    return values


def fixed_axes(session: Session) -> Axes:
    """`(n, height, width)` of the features a session takes, None where an axis is free."""
    n, _, height, width = (size if isinstance(size, int) else None for size in session.get_inputs()[0].shape)
    return n, height, width


def check_features(features: NDArray[Any], channels: int, fixed: Axes, path: Path) -> None:
    """Refuses features that a tail does not take.

    Raises:
        ArrayError: when they have other axes, or another number of channels.
        UsageError: when they have another size than the one it takes.
    """
    if features.ndim != 4 or features.shape[1] != channels:
        raise ArrayError(f"{path}: features (n, {channels}, h, w) are needed, found {features.shape}")
    for wanted, found, axis in zip(fixed[1:], features.shape[2:], ("height", "width"), strict=True):
        if wanted is not None and wanted != found:
            raise UsageError(
                f"{path}: takes grids of a fixed {axis} of {wanted}, the features have {found}; take pictures of the "
                "--size that the classifier was made for, or a model with a free size"
            )


def in_chunks(
    run: Callable[..., NDArray[Any]], arrays: tuple[NDArray[Any], ...], batch: int | None, chunk: int = CHUNK
) -> NDArray[Any]:
    """Runs a network on a few pictures at a time; where it takes a fixed batch, the last one is filled up.

    Args:
        run: the network.
        arrays: its inputs, pictures first; one at least.
        batch: the one it takes, None where any will do.
        chunk: pictures at a time where any number will do.

    >>> in_chunks(lambda a: 2 * a, (np.arange(5),), 2).tolist()
    [0, 2, 4, 6, 8]
    """
    size, done = batch or chunk, []
    for i in range(0, len(arrays[0]), size):
        parts = [array[i : i + size] for array in arrays]
        count = len(parts[0])
        if batch and count < batch:
            parts = [np.resize(part, (batch, *part.shape[1:])) for part in parts]
        done.append(run(*parts)[:count])
    return np.concatenate(done) if len(done) > 1 else done[0]
