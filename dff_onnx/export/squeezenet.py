"""SqueezeNet (Iandola et al. 2016), as torchvision numbers its modules."""

from __future__ import annotations

from dff_onnx.export.network import INPUT, Network, Plan

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
        source = _fire(plan, source, f"fire{number}", f"features.{index}", squeeze, expand)
        layers.append(source)
        index += 1
    return plan.network(name, layers)


def _fire(plan: Plan, source: str, at: str, parameters: str, squeeze: int, expand: int) -> str:
    x = plan.conv(f"{at}.conv_squeeze", source, f"{parameters}.squeeze", squeeze, 1, bias=True)
    x = plan.relu(x, f"{at}.squeeze")
    one = plan.conv(f"{at}.conv1x1", x, f"{parameters}.expand1x1", expand, 1, bias=True)
    three = plan.conv(f"{at}.conv3x3", x, f"{parameters}.expand3x3", expand, 3, pad=1, bias=True)
    return plan.concat(plan.relu(one, f"{at}.expand1x1"), plan.relu(three, f"{at}.expand3x3"), at)
