"""What can be evaluated by name: ways from activations to one map a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dff_onnx.errors import UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, Threshold
from dff_onnx.runs.settings import Settings


@dataclass(frozen=True, slots=True)
class System:
    """One way to find the object that a group of pictures shares.

    Attributes:
        name: on the command line and in tables.
        title: for a reader who does not know the name.
        settings: with one map a picture: its first concept is scored.
    """

    name: str
    title: str
    settings: Settings


Maker = Callable[[Resize], Settings]

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
