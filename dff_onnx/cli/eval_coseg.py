"""`dff-onnx eval coseg`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.eval_options import (
    AsJson,
    Groups,
    Halves,
    Masks,
    Output,
    Overwrite,
    SkipMissing,
    Systems,
    scored,
    with_layer_for,
    words,
)
from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import LongSide, ShortSide, Size, resize_of


@with_network()
def coseg(
    dataset: Annotated[Path, typer.Argument(help="A tree with images/ and ground_truth/, or pictures with --masks.")],
    masks: Masks = None,
    skip_missing: SkipMissing = False,
    groups: Groups = None,
    systems: Systems = "plain",
    halves: Halves = False,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    *,
    network: NetworkOptions,
) -> None:
    """Co-segmentation: the object that a group of pictures shares, against its masks.

    For each group the dataset-wide IoU (counts summed, divided once) and CorLoc (the box of the largest component has
    an IoU above 0.5 with the mask's box); means over groups with 95 % intervals, and p-values against the first
    system. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import claimed, evaluate, evaluation_identity, open_masks, systems_named

    wanted = systems_named(words(systems), resize_of(size, short_side, long_side))
    opened = open_masks(dataset, masks, None, words(groups), skip_missing)
    with ExitStack() as until_written:
        with shown() as progress:
            network = with_layer_for(wanted, network, progress)
            backbone = network.open(progress)
            identity = evaluation_identity("coseg", opened, backbone, wanted)
            resume = until_written.enter_context(claimed(output, identity, overwrite))
            figures = evaluate(opened, backbone, wanted, "coseg", progress, resume)
        scored(figures, output, halves, as_json)
