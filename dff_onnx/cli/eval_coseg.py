"""`dff-onnx eval coseg`."""

from __future__ import annotations

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
    layer_for,
    scored,
    words,
)
from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice, Layer, Network, open_network
from dff_onnx.cli.options import (
    CardFile,
    ChannelOrderOption,
    LongSide,
    Mean,
    Rectify,
    Scale,
    ShortSide,
    Size,
    Split,
    Std,
    preprocessing_if_said,
    resize_of,
    sign_of,
)


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
    model: Network = "compact",
    card: CardFile = None,
    layer: Layer = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    rectify: Rectify = False,
    split: Split = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
) -> None:
    """Co-segmentation: the object that a group of pictures shares, against its masks.

    For each group the dataset-wide IoU (counts summed, divided once) and CorLoc (the box of the largest component has
    an IoU above 0.5 with the mask's box); means over groups with 95 % intervals, and p-values against the first
    system. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import check_evaluation, evaluate, open_masks, systems_named

    wanted = systems_named(words(systems), resize_of(size, short_side, long_side))
    opened = open_masks(dataset, masks, None, words(groups), skip_missing)
    with shown() as progress:
        layer = layer_for(wanted, model, layer, card, progress)
        backbone = open_network(
            model, layer, progress, card=card, device=device, cuda_graph=cuda_graph,
            preprocessing=preprocessing_if_said(mean, std, scale, channel_order), sign=sign_of(rectify, split),
        )  # fmt: skip
        if output:
            check_evaluation(output, "coseg", opened, backbone, wanted, overwrite)
        figures = evaluate(opened, backbone, wanted, "coseg", progress)
    scored(figures, output, halves, as_json)
