"""AlexNet (Krizhevsky 2014, "One weird trick"), as torchvision numbers its modules."""

from __future__ import annotations

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.network import Network, Plan

# Channels, kernel, stride and padding of each convolution, and whether a max pool follows it.
CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
NAMES = ("alexnet",)


def alexnet(name: str) -> Network:
    """The plan of `alexnet`. Layers: `relu1` ... `relu5`, `pool1`, `pool2`, `pool5`.

    >>> alexnet("alexnet").layers[-2]
    Layer(name='relu5', stride=16, channels=256, nonnegative=True)
    """
    plan, source, index, layers = Plan(), INPUT, 0, list[str]()
    for number, (channels, kernel, stride, pad, pooled) in enumerate(CONVOLUTIONS, start=1):
        source = plan.conv(
            f"conv{number}", source, f"features.{index}", channels, kernel, stride=stride, pad=pad, bias=True
        )
        source = plan.relu(source, f"relu{number}")
        layers.append(source)
        index += 2
        if pooled:
            source = plan.max_pool(source, f"pool{number}", 3)
            layers.append(source)
            index += 1
    return plan.network(name, layers)
