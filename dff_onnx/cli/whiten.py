"""`dff-onnx whiten`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.descriptor_options import (
    Concepts,
    Descriptor,
    LongerSide,
    MultiScale,
    Scales,
    Weights,
    said_of,
)
from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice, Layer, Network, open_network, tell_assumed
from dff_onnx.cli.options import (
    CardFile,
    ChannelOrderOption,
    Mean,
    Rectify,
    Scale,
    Split,
    Std,
    preprocessing_if_said,
    sign_of,
)


def whiten(
    folder: Annotated[Path, typer.Argument(help="A folder of other pictures than will be searched.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz file to write.")],
    dimensions: Annotated[int | None, typer.Option(help="To keep. [default: all that vary]")] = None,
    shrinkage: Annotated[
        float, typer.Option(help="A share of the largest variance that is added to all, as 0.01.", min=0, max=1)
    ] = 0.0,
    descriptor: Descriptor = None,
    size: LongerSide = None,
    k: Concepts = None,
    weights: Weights = None,
    scales: Scales = None,
    multi_scale: MultiScale = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a whitening of other settings.")] = False,
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
) -> None:
    """Learn a whitening of descriptors from pictures without labels.

    `dff-onnx index --whitening` takes it. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.eval_options import ended
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.dataset import counted
    from dff_onnx.runs.descriptors import Describer, DescriptorSettings
    from dff_onnx.runs.whiten import write_whitening

    settings = DescriptorSettings(**said_of(descriptor, size, k, weights, scales, multi_scale))
    with shown() as progress:
        backbone = open_network(
            model, layer, progress, card=card, device=device, cuda_graph=cuda_graph,
            preprocessing=preprocessing_if_said(mean, std, scale, channel_order), sign=sign_of(rectify, split),
            gridless=settings.kind == "codes",
        )  # fmt: skip
        tell_assumed(backbone)
        done = write_whitening(
            folder, output, Describer(backbone, settings), dimensions,
            shrinkage=shrinkage, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    kept, channels = done.file.whitening.projection.shape
    pictures, parts = counted(done.file.pictures, "picture"), counted(done.file.vectors, "part")
    typer.echo(f"{output}: {kept} of {channels} dimensions from {parts} of {pictures}, device {done.device}", err=True)
    ended((), done.failures)
