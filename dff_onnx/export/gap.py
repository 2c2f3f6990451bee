"""A network turned into one that ends in pooling and a linear layer, so that it has class maps.

Zhou et al. 2016, section 3: what lies behind the last convolution that is kept goes; a 3x3 convolution of 1024 channels
follows, pooling over all places, one linear layer. The ReLU behind the new convolution (`CAM_relu`) is in the released
prototxt (github.com/zhoubolei/CAM, models/deploy_vgg16CAM.prototxt). Its convolution of VGG-16 has two groups, which
the paper does not say; here there is one. Its dropout of a half before the linear layer is left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export.architectures import network as network_of
from dff_onnx.export.architectures import usual_preprocessing
from dff_onnx.export.checkpoint import Checkpoint, checkpoint_of, open_checkpoint
from dff_onnx.export.classifiers import LOGITS
from dff_onnx.export.exporter import write_network
from dff_onnx.export.fit import choose_layers, layers_within, resolved
from dff_onnx.export.network import WEIGHTED, Network, Plan, Pool, Step
from dff_onnx.export.network_builder import float32_of
from dff_onnx.export.safetensors import safetensors_bytes
from dff_onnx.files import write_atomically
from dff_onnx.records import Preprocessing

Weights = dict[str, NDArray[np.float32]]

CHANNELS = 1024
# The new layers, by their names in a checkpoint.
CONV, LINEAR = "cam_conv", "cam_fc"
# The features that the class maps are made of.
FEATURES = "cam_relu"
# As the paper calls the two (VGGnet-GAP, GoogLeNet-GMP).
SUFFIXES: dict[Pool, str] = {"avg": "gap", "max": "gmp"}


def gap_network(architecture: str, layer: str, classes: int, channels: int = CHANNELS, pool: Pool = "avg") -> Network:
    """The plan of a network up to a layer, with a new end.

    Args:
        architecture: torchvision's name.
        layer: the last that is kept (`relu5_3`; the paper names the convolution, `conv5_3`).
        classes, channels: of the linear layer, and of the convolution before it.
        pool: over all places.

    Raises:
        UsageError: for an unknown architecture, layer or pool, or figures below 1.

    >>> made = gap_network("vgg16", "relu5_3", 21)
    >>> made.name, made.layers[-1].channels, made.expected["cam_fc.weight"]
    ('vgg16-gap', 1024, (21, 1024))
    """
    trunk = network_of(architecture)
    if pool not in SUFFIXES:
        raise UsageError(f"pool: {pool!r} is not one of {', '.join(SUFFIXES)}")
    if classes < 1 or channels < 8:
        raise UsageError(f"at least 1 class and 8 channels are needed, found {classes} and {channels}")
    layer = resolved(trunk, layer)
    plan = Plan.upto(trunk, layer)
    features = plan.relu(plan.conv("cam_conv", layer, CONV, channels, 3, pad=1, bias=True), FEATURES)
    plan.linear(plan.global_pool(features, "cam_pool", pool), LOGITS, LINEAR, classes)
    kept = {step.output for step in trunk.ancestors((layer,))}
    layers = [known.name for known in trunk.layers if known.name in kept]
    return plan.network(f"{architecture}-{SUFFIXES[pool]}", [*layers, features], scores=LOGITS)


def new_steps(network: Network) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps of a network made by `gap_network`: those that were kept, and those that are new."""
    first = next(i for i, step in enumerate(network.steps) if isinstance(step, WEIGHTED) and step.parameters == CONV)
    return network.steps[:first], network.steps[first:]


def gap_weights(network: Network, architecture: str, checkpoint: Checkpoint, seed: int = 0) -> Weights:
    """The parameters to begin with.

    Those that were kept come from the checkpoint, and so do the new ones where it has them (it was converted before).
    Else the convolution gets He's normal ones, and the linear layer zeros: it says nothing yet.

    Args:
        network: made by `gap_network`.
        architecture: of which.
        checkpoint: its weights, at least up to the layer.
        seed: of what is drawn.

    Raises:
        CheckpointError: when it is of another architecture, ends before the layer, or was converted otherwise.
    """
    trunk = network_of(architecture)
    old, new = ({name for step in part if isinstance(step, WEIGHTED) for name, _ in step.expected()}
                for part in new_steps(network))  # fmt: skip
    choose_layers(trunk, layers_within(trunk, checkpoint), [new_steps(network)[1][0].inputs[0]], checkpoint)
    shapes, rng = checkpoint.shapes, np.random.default_rng(seed)
    found: Weights = {}
    for name, shape in network.expected.items():
        if name in old or name in shapes:
            if shapes[name] != shape:
                raise CheckpointError(
                    f"{checkpoint.path}: {name} has the shape {shapes[name]}, not {shape}: it was converted for other "
                    "classes, channels or another layer; ask for those, or give weights that were not converted"
                )
            found[name] = float32_of(name, checkpoint)
        elif len(shape) == 4:
            found[name] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        else:
            found[name] = np.zeros(shape, np.float32)
    if 0 < len(new & shapes.keys()) < len(new):
        raise CheckpointError(f"{checkpoint.path}: has some of {', '.join(sorted(new))} only; the file is damaged")
    return found


def convert(
    architecture: str,
    weights: str | Path,
    layer: str,
    classes: int,
    output: Path,
    *,
    channels: int = CHANNELS,
    pool: Pool = "avg",
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
) -> Network:
    """Writes a network with a new end, ready to be trained: as ONNX, or as a checkpoint. Needs no PyTorch.

    Args:
        architecture, layer, classes, channels, pool: see `gap_network`.
        weights: a checkpoint, at least up to the layer.
        output: a `.onnx`, which gives the features `cam_relu` and `logits`, or a `.safetensors`.
        preprocessing: for an ONNX file, as in `export`.
        seed: of the new convolution.

    Raises:
        UsageError: for another suffix, and see `gap_network`.
        CheckpointError: see `gap_weights`.
        OutputError: when the file cannot be written.
    """
    if output.suffix not in (".onnx", ".safetensors"):
        raise UsageError(f"{output}: the output is a .onnx or a .safetensors")
    network = gap_network(architecture, layer, classes, channels, pool)
    with open_checkpoint(weights) as checkpoint:
        begin = gap_weights(network, architecture, checkpoint, seed)
    if output.suffix == ".onnx":
        usual = usual_preprocessing(architecture)
        write_network(network, checkpoint_of(begin, output), output, [FEATURES], preprocessing or usual)
    else:
        write_atomically(output, safetensors_bytes(begin))
    return network
