"""ResNet (He et al. 2016), ResNeXt (Xie et al. 2017), Wide ResNet (Zagoruyko, Komodakis 2016), as in torchvision."""

from __future__ import annotations

from dataclasses import dataclass

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.network import Network, Plan


@dataclass(frozen=True, slots=True)
class Variant:
    """What tells the networks of this family apart.

    Attributes:
        blocks: in each of the four stages.
        bottleneck: blocks of 1x1, 3x3, 1x1 instead of two 3x3.
        groups: of the 3x3 convolution in a bottleneck.
        width_per_group: its channels per group in the first stage.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    width_per_group: int = 64

    @property
    def expansion(self) -> int:
        """Output channels of a block per plane."""
        return 4 if self.bottleneck else 1

    def width(self, planes: int) -> int:
        """Channels of the 3x3 convolution in a bottleneck."""
        return planes * self.width_per_group // 64 * self.groups


VARIANTS = {
    "resnet18": Variant((2, 2, 2, 2), bottleneck=False),
    "resnet34": Variant((3, 4, 6, 3), bottleneck=False),
    "resnet50": Variant((3, 4, 6, 3)),
    "resnet101": Variant((3, 4, 23, 3)),
    "resnet152": Variant((3, 8, 36, 3)),
    "resnext50_32x4d": Variant((3, 4, 6, 3), groups=32, width_per_group=4),
    "resnext101_32x8d": Variant((3, 4, 23, 3), groups=32, width_per_group=8),
    "resnext101_64x4d": Variant((3, 4, 23, 3), groups=64, width_per_group=4),
    "wide_resnet50_2": Variant((3, 4, 6, 3), width_per_group=128),
    "wide_resnet101_2": Variant((3, 4, 23, 3), width_per_group=128),
}
NAMES = tuple(VARIANTS)


def resnet(name: str) -> Network:
    """The plan of `resnet18` ... `wide_resnet101_2`.

    Layers: `relu1` and `maxpool` (the stem), `layer1.0` ... `layer4.2` (each block, after its last ReLU); `layer3` is
    another name of the last block in its stage.

    >>> resnet("resnet50").aliases["layer3"]
    'layer3.5'
    """
    variant, plan = VARIANTS[name], Plan()
    source = plan.relu(plan.conv("conv1", INPUT, "conv1", 64, 7, stride=2, pad=3, norm="bn1"), "relu1")
    source = plan.max_pool(source, "maxpool", 3, pad=1)
    layers, aliases, channels = ["relu1", "maxpool"], dict[str, str](), 64
    for stage, blocks in enumerate(variant.blocks, start=1):
        planes = 64 * 2 ** (stage - 1)
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            projected = stride != 1 or channels != planes * variant.expansion
            source = _block(plan, variant, source, f"layer{stage}.{block}", planes, stride, projected)
            channels = planes * variant.expansion
            layers.append(source)
        aliases[f"layer{stage}"] = source
    return plan.network(name, layers, aliases)


def _block(plan: Plan, variant: Variant, source: str, at: str, planes: int, stride: int, projected: bool) -> str:
    inside = _bottleneck if variant.bottleneck else _basic
    residual, shortcut = inside(plan, variant, source, at, planes, stride), source
    if projected:
        shortcut = plan.conv(
            f"{at}.downsample",
            source,
            f"{at}.downsample.0",
            planes * variant.expansion,
            1,
            stride=stride,
            norm=f"{at}.downsample.1",
        )
    return plan.relu(plan.add(residual, shortcut, f"{at}.add"), at)


def _basic(plan: Plan, _variant: Variant, source: str, at: str, planes: int, stride: int) -> str:
    x = plan.conv(f"{at}.conv1", source, f"{at}.conv1", planes, 3, stride=stride, pad=1, norm=f"{at}.bn1")
    x = plan.relu(x, f"{at}.relu1")
    return plan.conv(f"{at}.conv2", x, f"{at}.conv2", planes, 3, pad=1, norm=f"{at}.bn2")


def _bottleneck(plan: Plan, variant: Variant, source: str, at: str, planes: int, stride: int) -> str:
    width, groups = variant.width(planes), variant.groups
    x = plan.relu(plan.conv(f"{at}.conv1", source, f"{at}.conv1", width, 1, norm=f"{at}.bn1"), f"{at}.relu1")
    # The stride is on the 3x3 convolution ("v1.5"); the paper has it on the first 1x1.
    x = plan.conv(f"{at}.conv2", x, f"{at}.conv2", width, 3, stride=stride, pad=1, groups=groups, norm=f"{at}.bn2")
    x = plan.relu(x, f"{at}.relu2")
    return plan.conv(f"{at}.conv3", x, f"{at}.conv3", planes * 4, 1, norm=f"{at}.bn3")
