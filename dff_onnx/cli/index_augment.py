"""`dff-onnx index-augment`."""

from __future__ import annotations

from typing import Annotated

import typer


def index_augment(
    where: Annotated[str, typer.Argument(metavar="INDEX", help="A file, or postgresql://...")],
    output: Annotated[str, typer.Option("--output", "-o", help="The new index: a file, or postgresql://...")],
    neighbours: Annotated[int, typer.Option("--with", help="How many neighbours a picture takes on.")] = 10,
    alpha: Annotated[float, typer.Option(help="A neighbour weighs as its similarity to this power.")] = 3.0,
) -> None:
    """Write an index whose pictures have their nearest neighbours added.

    It is searched as any other; queries and regions are as before. It is not brought up to date: augment anew once the
    index it was made of has changed.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.dataset import counted
    from dff_onnx.runs.augment_index import Augmentation, augment_index
    from dff_onnx.store import shown_address

    with shown() as progress:
        images = augment_index(where, output, Augmentation(neighbours, alpha), progress)
    typer.echo(
        f"{shown_address(output)}: {counted(images, 'picture')}, each with "
        f"{counted(min(neighbours, images - 1), 'neighbour')} added",
        err=True,
    )
