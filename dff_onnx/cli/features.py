"""`dff-onnx features`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import LongSide, ShortSide, Size, resize_of

if TYPE_CHECKING:
    from dff_onnx.linear_head import Pool


class PoolChoice(StrEnum):
    """What becomes of the places of a picture."""

    avg = "avg"
    max = "max"

    @property
    def pool(self) -> Pool:
        """The same in the program's own words."""
        return "mean" if self is PoolChoice.avg else "max"


PoolOption = Annotated[PoolChoice, typer.Option("--pool", help="Of the places: their mean, or their largest value.")]


@with_network()
def features(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz file to write.")],
    pool: PoolOption = PoolChoice.avg,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace features of other settings.")] = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    *,
    network: NetworkOptions,
) -> None:
    """Write one vector a picture: the activations of a layer, pooled.

    `dff-onnx fit` trains a classifier on them. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.eval_options import ended
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.dataset import counted
    from dff_onnx.runs.features import write_folder_features

    with shown() as progress:
        backbone = network.open(progress)
        resize = resize_of(size, short_side, long_side)
        done = write_folder_features(
            folder, output, backbone, resize, pool.pool, overwrite=overwrite, progress=progress
        )
    n, c = done.features.values.shape
    typer.echo(f"{output}: {counted(n, 'picture')} in {c} channels, device {done.device}", err=True)
    ended((), done.failures)
