"""The compact student: SqueezeNet 1.1's layers, padded so that every cell looks at its own place of the picture.

SqueezeNet itself pads nothing: its 13 cells on 224 pixels look at 15 ... 207, while a heat map stretched over the
picture supposes 8 ... 215. Here the cells lie at 8, 24 ... 216. The names of the parameters are torchvision's, so that
training may begin with SqueezeNet's weights.
"""

from __future__ import annotations

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.network import Network, Plan
from dff_onnx.export.squeezenet import FIRES, fire

# Fire modules before which a max pool stands, and its padding; the last one is open at the end (ceil mode).
POOLS = {2: 1, 4: 1, 6: 0}
LAYER = "features"
NAMES = ("compact", "compact_bn")
HEAD = "head"


def compact(channels: int, *, normalised: bool = False) -> Network:
    """The plan: stride 16, `channels` non-negative features from a 1x1 convolution on top.

    Args:
        channels: of the layer `features`.
        normalised: with a batch norm behind every convolution, for training from scratch.

    >>> compact(384).layers
    (Layer(name='features', stride=16, channels=384, nonnegative=True),)
    """
    plan = Plan()
    stem = plan.conv("conv1", INPUT, "features.0", 64, 3, stride=2, pad=1, bias=True, norm=_norm("conv1", normalised))
    source, index = plan.relu(stem, "relu1"), 2
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        if number in POOLS:
            source = plan.max_pool(source, f"pool{number - 1}", 3, pad=POOLS[number], ceil=not POOLS[number])
            index += 1
        source = fire(plan, source, f"fire{number}", f"features.{index}", squeeze, expand, normalised=normalised)
        index += 1
    head = plan.conv("conv_head", source, HEAD, channels, 1, bias=True, norm=_norm(HEAD, normalised))
    return plan.network("compact_bn" if normalised else "compact", [plan.relu(head, LAYER)])


def _norm(name: str, normalised: bool) -> str | None:
    return f"{name}.norm" if normalised else None
