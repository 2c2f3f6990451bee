"""GoogLeNet (Szegedy et al. 2015), with batch norm, as torchvision has it."""

from __future__ import annotations

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.network import Network, Plan

# Channels of the four branches: 1x1; reduced and 3x3; reduced and "5x5"; behind the pool.
MODULES = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
# The max pool before a module: its name and kernel.
POOLS = {"inception3a": ("maxpool2", 3), "inception4a": ("maxpool3", 3), "inception5a": ("maxpool4", 2)}
NAMES = ("googlenet",)
# torchvision's BasicConv2d.
EPSILON = 1e-3


def googlenet(name: str) -> Network:
    """The plan of `googlenet`.

    Layers: `relu1` ... `relu3` (the stem), `maxpool1` ... `maxpool4`, `inception3a` ... `inception5b`. torchvision's
    weights were trained on pixels in -1..1, which its `transform_input` makes of ImageNet's normalisation.

    >>> [layer.name for layer in googlenet("googlenet").layers[-3:]]
    ['maxpool4', 'inception5a', 'inception5b']
    """
    plan = Plan()
    source = _conv(plan, INPUT, "conv1", 64, 7, stride=2, output="relu1")
    pool = plan.max_pool(source, "maxpool1", 3, ceil=True)
    second = _conv(plan, pool, "conv2", 64, 1, output="relu2")
    source = _conv(plan, second, "conv3", 192, 3, output="relu3")
    layers = ["relu1", pool, second, source]
    for module, channels in MODULES.items():
        if module in POOLS:
            pool, kernel = POOLS[module]
            source = plan.max_pool(source, pool, kernel, ceil=True)
            layers.append(source)
        source = _inception(plan, source, module, channels)
        layers.append(source)
    return plan.network(name, layers, aliases={"conv1": "relu1", "conv2": "relu2", "conv3": "relu3"})


def _inception(plan: Plan, source: str, at: str, channels: tuple[int, ...]) -> str:
    one, reduced3, three, reduced5, five, pooled = channels
    pool = plan.max_pool(source, f"{at}.pool", 3, stride=1, pad=1, ceil=True)
    branches = (
        _conv(plan, source, f"{at}.branch1", one, 1),
        _conv(plan, _conv(plan, source, f"{at}.branch2.0", reduced3, 1), f"{at}.branch2.1", three, 3),
        # A kernel of 3 where the article has 5: torchvision's weights were trained so (pytorch/vision#906).
        _conv(plan, _conv(plan, source, f"{at}.branch3.0", reduced5, 1), f"{at}.branch3.1", five, 3),
        _conv(plan, pool, f"{at}.branch4.1", pooled, 1),
    )
    return plan.concat(branches, at)


def _conv(
    plan: Plan, source: str, module: str, channels: int, kernel: int, *, stride: int = 1, output: str | None = None
) -> str:
    """Convolution, batch norm, ReLU."""
    made = plan.conv(
        f"{module}.conv", source, f"{module}.conv", channels, kernel,
        stride=stride, pad=kernel // 2, norm=f"{module}.bn", epsilon=EPSILON,
    )  # fmt: skip
    return plan.relu(made, output or f"{module}.relu")
