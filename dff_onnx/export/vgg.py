"""VGG (Simonyan and Zisserman 2015), as torchvision numbers its modules."""

from __future__ import annotations

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.network import Network, Plan

# Convolutions in each of the five blocks; a max pool ends each.
BLOCKS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)
NAMES = tuple(name + suffix for name in BLOCKS for suffix in ("", "_bn"))


def vgg(name: str) -> Network:
    """The plan of `vgg11` ... `vgg19_bn`. Layers: `relu1_1` ... `relu5_4`, `pool1` ... `pool5`.

    >>> [layer.name for layer in vgg("vgg11").layers[-3:]]
    ['relu5_1', 'relu5_2', 'pool5']
    """
    normed = name.endswith("_bn")
    plan, source, index, layers = Plan(), INPUT, 0, list[str]()
    for block, (convolutions, width) in enumerate(zip(BLOCKS[name.removesuffix("_bn")], WIDTHS, strict=True), start=1):
        for number in range(1, convolutions + 1):
            norm = f"features.{index + 1}" if normed else None
            source = plan.conv(
                f"conv{block}_{number}", source, f"features.{index}", width, 3, pad=1, bias=True, norm=norm
            )
            source = plan.relu(source, f"relu{block}_{number}")
            layers.append(source)
            index += 3 if normed else 2  # convolution, batch norm, ReLU: each has a number in `features`
        source = plan.max_pool(source, f"pool{block}", 2)
        layers.append(source)
        index += 1
    return plan.network(name, layers)
