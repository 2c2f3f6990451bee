"""How torchvision's networks end: what lies between the last features and one score a class.

Dropout does nothing once a network is trained, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dff_onnx.export.network import Plan

# The tensor of the scores, before any softmax.
LOGITS = "logits"
# Of the two hidden layers of AlexNet and VGG.
HIDDEN = 4096
# torchvision pools adaptively to the grid that pictures of this size have; at this size it changes nothing.
SIDE = 224


@dataclass(frozen=True, slots=True)
class Classifier:
    """What a family's networks end with.

    Attributes:
        last: the last layer's name in the checkpoint; its weight has a row for each class.
        append: writes it into a plan: the plan, the tensor it takes, the number of classes.
        side: height and width of the only pictures it takes, None for any.
    """

    last: str
    append: Callable[[Plan, str, int], str]
    side: int | None = None


def _pooled_linear(plan: Plan, source: str, classes: int) -> str:
    return plan.linear(plan.global_pool(source, "pooled"), LOGITS, "fc", classes)


def _convolutional(plan: Plan, source: str, classes: int) -> str:
    maps = plan.relu(plan.conv("conv10", source, "classifier.1", classes, 1, bias=True), "relu10")
    return plan.global_pool(maps, LOGITS)


def _fully_connected(plan: Plan, source: str, classes: int, *, cells: int, modules: tuple[str, str, str]) -> str:
    rows = plan.flatten(source, "flat", cells * cells)
    for number, module in zip((6, 7), modules, strict=False):
        rows = plan.relu(plan.linear(rows, f"fc{number}", module, HIDDEN), f"relu{number}")
    return plan.linear(rows, LOGITS, modules[-1], classes)


def fully_connected(cells: int, modules: tuple[int, int, int]) -> Classifier:
    """Three linear layers over a grid of fixed size.

    Args:
        cells: along each side of the grid, for pictures of 224 x 224.
        modules: their numbers in torchvision's `classifier`.

    >>> fully_connected(7, (0, 3, 6)).last
    'classifier.6'
    """
    first, second, last = (f"classifier.{module}" for module in modules)
    return Classifier(last, partial(_fully_connected, cells=cells, modules=(first, second, last)), SIDE)


# ResNet and GoogLeNet: mean over all places, linear. GoogLeNet's auxiliary heads serve training alone.
POOLED_LINEAR = Classifier("fc", _pooled_linear)
# SqueezeNet: a 1x1 convolution to one map a class, ReLU, mean over all places.
CONVOLUTIONAL = Classifier("classifier.1", _convolutional)
