"""The options that every command with a network has, said once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice, Layer, Network, open_network, open_network_for
from dff_onnx.cli.options import (
    CardFile,
    ChannelOrderOption,
    Mean,
    Order,
    Rectify,
    Scale,
    Split,
    Std,
    preprocessing_if_said,
    sign_of,
)

if TYPE_CHECKING:
    from dff_onnx.backbone.cut import Sign
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.progress import Progress
    from dff_onnx.records import Fingerprint, Preprocessing

Command = Callable[..., None]
IndexNetwork = Annotated[
    str | None,
    typer.Option("--model", help="An ONNX file, a card, or a name. [default: the index's; compact for a new one]"),
]


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Which network, up to which layer, and how it is run; as given."""

    model: str | None
    card: Path | None
    layer: str | None
    device: DeviceChoice
    cuda_graph: bool
    rectify: bool
    split: bool
    mean: str | None
    std: str | None
    scale: float | None
    channel_order: Order | None

    @property
    def sign(self) -> Sign:
        """What is done about negative activations."""
        return sign_of(self.rectify, self.split)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What was said of it; None where nothing was."""
        return preprocessing_if_said(self.mean, self.std, self.scale, self.channel_order)

    def open(self, progress: Progress, gridless: bool = False) -> Backbone:
        """The network; see `open_network`."""
        return open_network(
            self.model or "compact", self.layer, progress, card=self.card, device=self.device,
            cuda_graph=self.cuda_graph, sign=self.sign, gridless=gridless, preprocessing=self.preprocessing,
        )  # fmt: skip

    def open_for(self, wanted: Fingerprint | None, where: str, progress: Progress, gridless: bool) -> Backbone:
        """The network of an index; see `open_network_for`."""
        return open_network_for(
            wanted, where, self.model, self.layer, progress, card=self.card, device=self.device,
            cuda_graph=self.cuda_graph, sign=self.sign, gridless=gridless, preprocessing=self.preprocessing,
        )  # fmt: skip


def of_network(
    model: Network = "compact",
    card: CardFile = None,
    layer: Layer = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    rectify: Rectify = False,
    split: Split = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
) -> NetworkOptions:
    """The options, in the order of the help."""
    return NetworkOptions(model, card, layer, device, cuda_graph, rectify, split, mean, std, scale, channel_order)


def with_network(of_index: bool = False, without: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Gives a command the options of `of_network` beside its own; its parameter `network` gets what was given.

    Typer reads a command's signature, and has no way to share a part of it: the signature is put together here.

    Args:
        of_index: whether an index may know the network, so that none is usual.
        without: options that the command has in a way of its own.
    """
    shared = dict(inspect.signature(of_network, eval_str=True).parameters)
    if of_index:
        shared["model"] = shared["model"].replace(annotation=IndexNetwork, default=None)

    for name in without:
        shared.pop(name)

    def wrapped(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        kept = [one for one in own.parameters.values() if one.name != "network"]
        every = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*kept, *shared.values())]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            network = of_network(**{name: given.pop(name) for name in shared})
            command(**given, network=network)

        run.__signature__ = own.replace(parameters=every)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in every}
        return run

    return wrapped
