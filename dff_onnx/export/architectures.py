"""Every network that can be exported from a checkpoint, under torchvision's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dff_onnx.errors import UsageError
from dff_onnx.export import alexnet, googlenet, resnet, squeezenet, vgg
from dff_onnx.export.classifiers import CONVOLUTIONAL, LOGITS, POOLED_LINEAR, Classifier, fully_connected
from dff_onnx.export.network import Network, Plan
from dff_onnx.records import Preprocessing


@dataclass(frozen=True, slots=True)
class Family:
    """Networks that one function plans.

    Attributes:
        names: of its networks.
        plan: from a name to the network.
        classifier: how its networks end.
    """

    names: tuple[str, ...]
    plan: Callable[[str], Network]
    classifier: Classifier


FAMILIES = {
    "vgg": Family(vgg.NAMES, vgg.vgg, fully_connected(cells=7, modules=(0, 3, 6))),
    "resnet": Family(resnet.NAMES, resnet.resnet, POOLED_LINEAR),
    "squeezenet": Family(squeezenet.NAMES, squeezenet.squeezenet, CONVOLUTIONAL),
    "alexnet": Family(alexnet.NAMES, alexnet.alexnet, fully_connected(cells=6, modules=(1, 4, 6))),
    "googlenet": Family(googlenet.NAMES, googlenet.googlenet, POOLED_LINEAR),
}
ARCHITECTURES = tuple(name for family in FAMILIES.values() for name in family.names)


def usual_preprocessing(name: str) -> Preprocessing:
    """What torchvision's weights of an architecture were trained on, from uint8 pixels `(n, h, w, 3)`.

    >>> usual_preprocessing("googlenet").mean
    (0.5, 0.5, 0.5)
    """
    half = (0.5, 0.5, 0.5)
    return Preprocessing(mean=half, std=half) if name in googlenet.NAMES else Preprocessing()


def network(name: str) -> Network:
    """The plan of an architecture.

    Raises:
        UsageError: for a name that is none; the sentence lists all.

    >>> network("vgg19").layers[-2]
    Layer(name='relu5_4', stride=16, channels=512, nonnegative=True)
    """
    for family in FAMILIES.values():
        if name in family.names:
            return family.plan(name)
    raise UsageError(f"{name!r} is no architecture that can be exported; there are {', '.join(ARCHITECTURES)}")


def classifier_of(name: str) -> Classifier:
    """How an architecture ends."""
    return next(family.classifier for family in FAMILIES.values() if name in family.names)


def classified(network: Network, classes: int) -> Network:
    """A network of these architectures with its classifier behind it.

    >>> whole = classified(network("resnet18"), 21)
    >>> whole.scores, whole.expected["fc.weight"]
    ('logits', (21, 512))
    """
    classifier, end = classifier_of(network.name), network.steps[-1].output
    plan = Plan.upto(network, end)
    classifier.append(plan, end, classes)
    names = [layer.name for layer in network.layers]
    return plan.network(network.name, names, network.aliases, scores=LOGITS, side=classifier.side)
