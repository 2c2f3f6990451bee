"""What can be evaluated by name: ways from activations to one map a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dff_onnx.cam.boxes import FRACTION
from dff_onnx.errors import UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, Threshold
from dff_onnx.runs.settings import Settings


@dataclass(frozen=True, slots=True)
class ClassSettings:
    """Maps of the class that most pictures of a group show, by a classifier's own head (CAM).

    Attributes:
        resize: of the pictures.
        threshold: one for the group, from which value on a pixel is on; None for CAM's own rule, above a fifth of each
            map's maximum.
    """

    resize: Resize
    threshold: Threshold | None = None

    def to_dict(self) -> dict[str, Any]:
        """As files store them."""
        cut = {"threshold": "maximum", "fraction": FRACTION} if self.threshold is None else self.threshold.to_dict()
        return {"method": "cam", "class": "majority", **cut, "resize": self.resize.mode, "size": self.resize.pixels}


@dataclass(frozen=True, slots=True)
class System:
    """One way to find the object that a group of pictures shares.

    Attributes:
        name: on the command line and in tables.
        title: for a reader who does not know the name.
        settings: with one map a picture: the first concept is scored, or the class that most pictures of a group show.
    """

    name: str
    title: str
    settings: Settings | ClassSettings


Maker = Callable[[Resize], Settings | ClassSettings]

# The paper's protocol (DFF, section 4.4): one concept, 75th percentile over the set at the network's input size.
KNOWN: Mapping[str, tuple[str, Maker]] = {
    "plain": (
        "the paper's protocol: k = 1, 75th percentile over the set",
        lambda resize: Settings(k=1, resize=resize),
    ),
    "crf": (
        "k = 1, 75th percentile, and the CRF",
        lambda resize: Settings(k=1, resize=resize, crf=Crf()),
    ),
    "otsu": (
        "k = 1, Otsu's threshold over the set",
        lambda resize: Settings(k=1, resize=resize, threshold=Threshold("otsu")),
    ),
    "foreground": (
        "foreground mode, checked at half the size",
        lambda resize: Settings(foreground=True, resize=resize),
    ),
    "foreground+crf": (
        "foreground mode and the CRF",
        lambda resize: Settings(foreground=True, resize=resize, crf=Crf()),
    ),
    "cam": (
        "class maps of the class that most pictures of the group show, above 20 % of each map's maximum",
        ClassSettings,
    ),
    "cam+percentile": (
        "the same class maps, 75th percentile over the set",
        lambda resize: ClassSettings(resize, Threshold()),
    ),
}


def systems_named(names: Sequence[str], resize: Resize) -> tuple[System, ...]:
    """The systems of these names, for pictures of that size.

    Raises:
        UsageError: when a name is unknown or given twice, or none is given.

    >>> [system.name for system in systems_named(["plain", "crf"], Resize())]
    ['plain', 'crf']
    """
    if unknown := [name for name in names if name not in KNOWN]:
        raise UsageError(f"--systems: there is no system {unknown[0]!r}; there are {', '.join(KNOWN)}")
    if not names or len(set(names)) != len(names):
        raise UsageError(f"--systems: each name once is needed, at least one; found {','.join(names)!r}")
    return tuple(System(name, KNOWN[name][0], KNOWN[name][1](resize)) for name in names)


def class_systems(systems: Sequence[System]) -> tuple[str, ...]:
    """The names of those that need a classifier.

    >>> class_systems(systems_named(["plain", "cam"], Resize()))
    ('cam',)
    """
    return tuple(system.name for system in systems if isinstance(system.settings, ClassSettings))
