"""Whether a checkpoint is of an architecture, how far it reaches, and which layers that leaves to choose from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dff_onnx.backbone.metadata import Layer
from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export.architectures import ARCHITECTURES, classified, classifier_of
from dff_onnx.export.architectures import network as network_of
from dff_onnx.export.checkpoint import Checkpoint
from dff_onnx.export.network import WEIGHTED, Network, Shape
from dff_onnx.export.tensors import shown

# In files of PyTorch 0.4.1 and later; counts training steps.
COUNTER = ".num_batches_tracked"


def layers_within(network: Network, checkpoint: Checkpoint) -> tuple[Layer, ...]:
    """The layers that the checkpoint has all parameters for; a partial one ends somewhere.

    Raises:
        CheckpointError: when it is of another architecture; the sentence names the first parameter that is missing,
            of another shape, or too many.
    """
    try:
        return _layers_within(network, checkpoint.shapes)
    except CheckpointError as error:
        others = [name for name in ARCHITECTURES if name != network.name and _fits(name, checkpoint.shapes)]
        advice = f"it fits {' and '.join(others)}" if others else "give the weights of this architecture"
        raise CheckpointError(f"{checkpoint.path}: is no checkpoint of {network.name}: {error}; {advice}") from error


def choose_layers(
    network: Network, within: Sequence[Layer], asked: Sequence[str], checkpoint: Checkpoint
) -> tuple[Layer, ...]:
    """The layers asked for, in network order; without any, the deepest that is not a pool.

    Raises:
        UsageError: for a name that is no layer of the network.
        CheckpointError: for a layer behind the checkpoint's end.
    """
    if not asked:
        return (deepest(network, within),)
    names, end = {resolved(network, name) for name in asked}, deepest(network, within).name
    for name in (layer.name for layer in network.layers if layer.name in names):
        if name not in {layer.name for layer in within}:
            raise CheckpointError(
                f"{checkpoint.path}: stops at {end} ({_first_missing(network, name, checkpoint)} is not in it), so it "
                f"has no {name}; ask for {end} or an earlier layer, or give complete weights"
            )
    return tuple(layer for layer in within if layer.name in names)


def deepest(network: Network, within: Sequence[Layer]) -> Layer:
    """The deepest layer that is not a pool (before every pool there is one)."""
    return next(layer for layer in reversed(within) if layer.name not in network.pools)


def _first_missing(network: Network, layer: str, checkpoint: Checkpoint) -> str:
    shapes = checkpoint.shapes
    steps = (step for step in network.ancestors((layer,)) if isinstance(step, WEIGHTED))
    return next(name for step in steps for name, _ in step.expected() if name not in shapes)


def with_classifier(network: Network, checkpoint: Checkpoint) -> Network:
    """The network with the classifier that the checkpoint has, of as many classes.

    Raises:
        CheckpointError: when the checkpoint is of another architecture, ends before the classifier, has none, or has
            one of another shape.
    """
    within = layers_within(network, checkpoint)
    advice = "leave out --classifier, or give complete weights"
    if within[-1] != network.layers[-1]:
        missing = _first_missing(network, network.layers[-1].name, checkpoint)
        raise CheckpointError(
            f"{checkpoint.path}: stops at {deepest(network, within).name} ({missing} is not in it), so it has no "
            f"classifier; {advice}"
        )
    shapes, last = checkpoint.shapes, f"{classifier_of(network.name).last}.weight"
    whole = classified(network, (shapes.get(last) or (0,))[0])
    for name, shape in whole.expected.items():
        if name not in shapes:
            raise CheckpointError(f"{checkpoint.path}: has no {name}, so it has no classifier; {advice}")
        if shapes[name] != shape or 0 in shape:
            wanted = "(" + ", ".join(map(str, ("classes", *shape[1:]))) + ")" if name == last else str(shape)
            raise CheckpointError(
                f"{checkpoint.path}: its classifier is none of {network.name}: {name} has the shape {shapes[name]}, "
                f"not {wanted}; leave out --classifier, or give the weights of this architecture"
            )
    return whole


def resolved(network: Network, name: str) -> str:
    """The layer that a name means, an alias perhaps.

    Raises:
        UsageError: for a name that is no layer of the network.
    """
    name = network.aliases.get(name, name)
    if name in {layer.name for layer in network.layers}:
        return name
    if re.fullmatch(r"conv\d_\d", name) and (relu := name.replace("conv", "relu")) in network.tensors:
        raise UsageError(
            f"{name} is no layer to export: torchvision's hook at {name} returns the values after the in-place ReLU "
            f"behind it, and so does every DFF that names {name}; the layer is {relu}"
        )
    known = [layer.name for layer in network.layers] + [
        f"{alias} (= {name})" for alias, name in network.aliases.items()
    ]
    raise UsageError(f"{network.name} has no layer {name!r}; it has {', '.join(known)}")


def _layers_within(network: Network, shapes: dict[str, Shape]) -> tuple[Layer, ...]:
    present = _present(network, shapes)
    lacking = next((name for name in network.expected if name not in shapes), "")
    if surplus := _surplus(network, shapes):
        lack = f"no {lacking}, though it has" if lacking else "the parameter"
        raise CheckpointError(f"it has {lack} {shown(surplus)}, which {network.name} has not")
    within = tuple(layer for layer in network.layers if _convolutions(network, layer) <= present)
    if not within:
        raise CheckpointError(f"it has no {lacking}")
    return within


def _present(network: Network, shapes: dict[str, Shape]) -> set[str]:
    """Outputs of the convolutions whose parameters are all there: up to some point, and nothing may lie behind it."""
    convolutions = [step for step in network.steps if isinstance(step, WEIGHTED)]
    for position, step in enumerate(convolutions):
        for name, shape in step.expected():
            if name not in shapes:
                behind = (name for later in convolutions[position + 1 :] for name, _ in later.expected())
                if found := next((later for later in behind if later in shapes), ""):
                    raise CheckpointError(f"it has no {name}, though it has {found}")
                return {earlier.output for earlier in convolutions[:position]}
            if shapes[name] != shape:
                raise CheckpointError(f"{name} has the shape {shapes[name]}, not {shape}")
    return {step.output for step in convolutions}


def _surplus(network: Network, shapes: dict[str, Shape]) -> str:
    """A parameter that only a deeper or another network has; the classifier's are no concern."""
    homes = {name.partition(".")[0] for name in network.expected}
    known = network.expected
    return next(
        (
            name
            for name in shapes
            if name not in known and name.partition(".")[0] in homes and not name.endswith(COUNTER)
        ),
        "",
    )


def _convolutions(network: Network, layer: Layer) -> set[str]:
    return {step.output for step in network.ancestors((layer.name,)) if isinstance(step, WEIGHTED)}


def _fits(name: str, shapes: dict[str, Shape]) -> bool:
    try:
        return bool(_layers_within(network_of(name), shapes))
    except CheckpointError:
        return False
