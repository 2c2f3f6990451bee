"""From a command's options to a network that is open."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dff_onnx.backbone.cut import Sign
    from dff_onnx.backbone.runtime import Accelerator
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.progress import Progress
    from dff_onnx.records import Fingerprint, Preprocessing


class DeviceChoice(StrEnum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    tensorrt = "tensorrt"


Network = Annotated[
    str, typer.Option("--model", help="An ONNX file, a card (.toml), or a name: `dff-onnx models list`.")
]
Layer = Annotated[str | None, typer.Option(help="The layer to take. [default: what the model says]")]
Device = Annotated[DeviceChoice, typer.Option(help="cuda and tensorrt are errors where they do not run.")]
CudaGraph = Annotated[bool, typer.Option("--cuda-graph", help="With CUDA: replay batches of one size.")]


def open_network(
    model: str,
    layer: str | None,
    progress: Progress,
    *,
    card: Path | None,
    device: DeviceChoice,
    cuda_graph: bool,
    preprocessing: Preprocessing | None,
    sign: Sign,
    gridless: bool = False,
) -> Backbone:
    """The network that MODEL or a card means, fetched where it is not here, for calls that run side by side.

    Args:
        model, layer, card, device, cuda_graph: as given.
        progress: follows a download.
        preprocessing, sign, gridless: see `Backbone.open`.
    """
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.zoo.find import find_model

    found = find_model(model, layer, card=card, progress=progress)
    return Backbone.open(
        found.path,
        found.layer,
        device=device.value,
        preprocessing=preprocessing,
        sign=sign,
        threads=1,
        accelerator=accelerator_of(cuda_graph),
        gridless=gridless,
    )


def open_network_for(
    wanted: Fingerprint | None,
    where: str,
    model: str | None,
    layer: str | None,
    progress: Progress,
    *,
    card: Path | None,
    device: DeviceChoice,
    cuda_graph: bool,
    preprocessing: Preprocessing | None,
    sign: Sign,
    gridless: bool = False,
) -> Backbone:
    """The network of an index; of a new one as `open_network`, by default the embedded one.

    Args:
        wanted: the index's fingerprint, None for a new one.
        where: the index, for sentences and to look beside it.
        model, layer, card, device, cuda_graph, preprocessing, sign: as given; what is given of another network than
            the index's is opened, for the index to refuse.
        gridless: see `Backbone.open`.
        progress: follows a download.
    """
    from dff_onnx.runs.opened_index import open_network_of
    from dff_onnx.runs.opening import Opening
    from dff_onnx.zoo.by_digest import find_by_digest
    from dff_onnx.zoo.find import find_model

    if wanted is not None and not (layer or card or preprocessing or sign != "keep"):
        network = find_model(model, progress=progress).path if model else None
        opening = Opening(device.value, None, accelerator_of(cuda_graph))
        return open_network_of(wanted, where, network, opening, progress, gridless)
    if wanted is not None and not (model or card):
        model = str(find_by_digest(wanted.model_sha256, where, progress))
    backbone = open_network(
        model or "compact",
        layer,
        progress,
        card=card,
        device=device,
        cuda_graph=cuda_graph,
        preprocessing=preprocessing,
        sign=sign,
        gridless=gridless,
    )
    tell_assumed(backbone)
    return backbone


def tell_assumed(backbone: Backbone) -> None:
    """Says on stderr that a file does not say its preprocessing: a wrong one is not seen in what is found."""
    if backbone.assumed:
        typer.echo(
            f"{backbone.path.name}: does not say its preprocessing; ImageNet's mean and std are taken\n"
            "  (--mean, --std, --scale and --channel-order say another)",
            err=True,
        )


def accelerator_of(cuda_graph: bool) -> Accelerator:
    """How a GPU is used; TensorRT's engines are kept in the cache."""
    from dff_onnx.backbone.runtime import Accelerator
    from dff_onnx.zoo.cache import cache_folder

    return Accelerator(cache_folder() / "tensorrt", cuda_graph)
