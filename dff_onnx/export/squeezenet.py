"""SqueezeNet (Iandola et al. 2016), as torchvision numbers its modules."""

from __future__ import annotations

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.network import Network, Plan

# (channels, kernel) of the first convolution, and the fire modules before which a max pool stands.
STEMS = {"squeezenet1_0": (96, 7), "squeezenet1_1": (64, 3)}
POOLS_BEFORE = {"squeezenet1_0": (2, 5, 9), "squeezenet1_1": (2, 4, 6)}
NAMES = tuple(STEMS)

# Channels of squeeze and of each expand in fire2 ... fire9.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet(name: str) -> Network:
    """The plan of `squeezenet1_0` or `squeezenet1_1`.

    Layers: `relu1`, `fire2` ... `fire9` (after the concatenation), `pool1` and two more pools, named after the fire
    module before them (`pool3` and `pool5` in 1.1, `pool4` and `pool8` in 1.0).

    >>> [layer.name for layer in squeezenet("squeezenet1_1").layers]
    ['relu1', 'pool1', 'fire2', 'fire3', 'pool3', 'fire4', 'fire5', 'pool5', 'fire6', 'fire7', 'fire8', 'fire9']
    """
    plan, (channels, kernel) = Plan(), STEMS[name]
    source = plan.relu(plan.conv("conv1", INPUT, "features.0", channels, kernel, stride=2, bias=True), "relu1")
    layers, index = ["relu1"], 2
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        if number in POOLS_BEFORE[name]:
            # Both versions pool with ceil_mode=True: a last, partial window counts.
            source = plan.max_pool(source, f"pool{number - 1}", 3, ceil=True)
            layers.append(source)
            index += 1
        source = fire(plan, source, f"fire{number}", f"features.{index}", squeeze, expand)
        layers.append(source)
        index += 1
    return plan.network(name, layers)


def fire(
    plan: Plan, source: str, at: str, parameters: str, squeeze: int, expand: int, *, normalised: bool = False
) -> str:
    """A fire module, written into the plan.

    Args:
        plan: to write into.
        source: the tensor it takes.
        at: its name, and that of its output.
        parameters: the module's name in the checkpoint.
        squeeze: channels of its first convolution.
        expand: channels of each of the two that follow.
        normalised: with a batch norm behind every convolution.
    """

    def conv(name: str, taken: str, module: str, channels: int, kernel: int) -> str:
        parameter = f"{parameters}.{module}"
        norm = f"{parameter}.norm" if normalised else None
        made = plan.conv(f"{at}.conv_{name}", taken, parameter, channels, kernel, pad=kernel // 2, bias=True, norm=norm)
        return plan.relu(made, f"{at}.{module}")

    x = conv("squeeze", source, "squeeze", squeeze, 1)
    branches = (conv("1x1", x, "expand1x1", expand, 1), conv("3x3", x, "expand3x3", expand, 3))
    return plan.concat(branches, at)
