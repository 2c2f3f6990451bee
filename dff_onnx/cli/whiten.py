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
from dff_onnx.cli.network import tell_assumed
from dff_onnx.cli.network_options import NetworkOptions, with_network


@with_network()
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
    *,
    network: NetworkOptions,
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
        backbone = network.open(progress, gridless=settings.kind == "codes")
        tell_assumed(backbone)
        done = write_whitening(
            folder, output, Describer(backbone, settings), dimensions,
            shrinkage=shrinkage, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    kept, channels = done.file.whitening.projection.shape
    pictures, parts = counted(done.file.pictures, "picture"), counted(done.file.vectors, "part")
    typer.echo(f"{output}: {kept} of {channels} dimensions from {parts} of {pictures}, device {done.device}", err=True)
    ended((), done.failures)
