"""What a submodule of a PyTorch network gives, found out by running it: its form, its grid, who overwrites it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from dff_onnx.errors import UsageError

# Channels first; channels last, as Swin has them; a row of tokens, as vision transformers have them.
Form = Literal["planes", "last", "tokens"]
# Tokens before those of the patches: class, distillation, registers.
SPECIAL = range(9)
# Pixels that the second picture is higher; half of them it is wider: cells more at a stride of 64, too.
LARGER = 128

# PyTorch is not installed where types are checked: a module and a tensor are what they are.
Module = Any
Tensor = Any


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a submodule's output.

    Attributes:
        form: of the tensor.
        channels, stride: of its grid.
        special: tokens before those of the patches.
        free: whether the network takes pictures of another size.
        calls: how often one picture passes through the submodule; the last one counts.
        overwritten: what changes the output in place afterwards, empty where nothing does.
    """

    form: Form
    channels: int
    stride: int
    special: int
    free: bool
    calls: int
    overwritten: str


def submodule(network: Module, layer: str) -> Module:
    """The submodule of that name.

    Raises:
        UsageError: when there is none, with the nearest names.
    """
    names = [name for name, _ in network.named_modules() if name]
    if layer in names:
        return network.get_submodule(layer)
    near = difflib.get_close_matches(layer, names, 3, 0.4) or names[-3:]
    raise UsageError(f"{type(network).__name__} has no submodule {layer!r}; the nearest: {', '.join(near)}")


def probe(network: Module, layer: str, size: int) -> Probe:
    """Runs the network on two sizes of picture and looks at one submodule.

    Args:
        network: in evaluation mode.
        layer: the submodule's name.
        size: height and width of the first picture.

    Raises:
        UsageError: when there is no such submodule, it is not reached, or gives no tensor with a grid.
    """
    import torch

    seen = _watched(network, layer, size, size)
    if not isinstance(seen.output, torch.Tensor):
        raise UsageError(
            f"{layer}: gives a {type(seen.output).__name__}, not one tensor; name a submodule that does (--list)"
        )
    try:
        other = tuple(_watched(network, layer, size + LARGER, size + LARGER // 2).output.shape)
    except Exception:  # noqa: BLE001  # whatever a network says to a size that it does not take
        other = None
    shape = tuple(seen.output.shape)
    form, special = _form(shape, other, size, layer)
    channels = shape[1] if form == "planes" else shape[-1]
    rows = _rows(shape, form, special)
    # Borders cost cells; what a larger picture adds does not suffer from them.
    more = _rows(other, form, special) - rows if other and form != "tokens" else 0
    return Probe(
        form=form,
        channels=channels,
        stride=round(LARGER / more) if more > 0 else round(size / rows),
        special=special,
        free=other is not None,
        calls=seen.calls,
        overwritten=seen.overwritten,
    )


def _rows(shape: tuple[int, ...], form: Form, special: int) -> int:
    """Height of the grid."""
    return {"planes": shape[-2], "last": shape[1], "tokens": math.isqrt(shape[1] - special)}[form]


def list_submodules(network: Module, size: int) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of what every submodule gives for one picture, those without a grid left out."""
    import torch

    found: list[tuple[str, str, tuple[int, ...]]] = []

    def noted(name: str) -> Callable[..., None]:
        def hook(module: Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim in (3, 4) and min(output.shape[1:]) > 1:
                found.append((name, type(module).__name__, tuple(output.shape)))

        return hook

    handles = [module.register_forward_hook(noted(name)) for name, module in network.named_modules() if name]
    try:
        _run(network, size, size)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(found))


@contextmanager
def caught(network: Module, layer: str) -> Iterator[list[Tensor]]:
    """The outputs of a submodule while the network runs, as hooks see them: what happens in place shows in them."""
    outputs: list[Tensor] = []
    handle = submodule(network, layer).register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


@dataclass
class _Seen:
    """Of one run: the last output, how many there were, who changed it."""

    output: Any = None
    calls: int = 0
    overwritten: str = ""
    version: int = 0


def _watched(network: Module, layer: str, height: int, width: int) -> _Seen:
    import torch

    seen, target = _Seen(), submodule(network, layer)

    def caught_here(_module: Module, _inputs: Any, output: Any) -> None:
        seen.output, seen.calls, seen.overwritten = output, seen.calls + 1, ""
        seen.version = output._version if isinstance(output, torch.Tensor) else 0

    def changed(name: str) -> Callable[..., None]:
        def hook(module: Module, _inputs: Any, _output: Any) -> None:
            here = seen.output
            if isinstance(here, torch.Tensor) and here._version > seen.version and not seen.overwritten:
                seen.overwritten = f"{name} ({type(module).__name__})" if name else "the network itself"

        return hook

    handles = [module.register_forward_hook(changed(name)) for name, module in network.named_modules()]
    handles.append(target.register_forward_hook(caught_here))
    try:
        _run(network, height, width)
    finally:
        for handle in handles:
            handle.remove()
    if not seen.calls:
        raise UsageError(
            f"{layer}: no picture passes through it (it may serve training alone); --list shows the others"
        )
    return seen


def _run(network: Module, height: int, width: int) -> None:
    import torch

    pixels = torch.linspace(-1, 1, 2 * 3 * height * width).reshape(2, 3, height, width)
    with torch.no_grad():
        network(pixels)


def _form(shape: tuple[int, ...], other: tuple[int, ...] | None, size: int, layer: str) -> tuple[Form, int]:
    """The form of an output, and its special tokens, from its shapes for two sizes of picture."""
    if len(shape) == 4:
        changed = {axis for axis in range(4) if other and other[axis] != shape[axis]}
        if changed == {2, 3} or (not changed and shape[2] == shape[3] > 1):
            return "planes", 0
        if changed == {1, 2} or (not changed and shape[1] == shape[2] > 1):
            return "last", 0
    if len(shape) == 3:
        # The patches of a square picture are a square that divides its sides.
        for special in SPECIAL:
            side = math.isqrt(max(shape[1] - special, 0))
            if side > 1 and side * side == shape[1] - special and size % side == 0:
                return "tokens", special
    raise UsageError(
        f"{layer}: gives a tensor of shape {shape} for 2 pictures of {size}x{size}, which is no grid of features; "
        "name another submodule (--list shows them)"
    )
