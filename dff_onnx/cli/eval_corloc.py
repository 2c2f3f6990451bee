"""`dff-onnx eval corloc`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.eval_options import (
    AsJson,
    Clean,
    Groups,
    Halves,
    ImageSet,
    Masks,
    Output,
    Overwrite,
    SkipMissing,
    Systems,
    VocFilter,
    VocRule,
    scored,
    with_layer_for,
    words,
)
from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import LongSide, ShortSide, Size, resize_of


@with_network()
def corloc(
    dataset: Annotated[Path, typer.Argument(help="VOCdevkit, a tree with masks, or pictures with --boxes or --masks.")],
    boxes: Annotated[Path | None, typer.Option(help="A CSV file: image,x0,y0,x1,y1 and, if wanted, class.")] = None,
    masks: Masks = None,
    skip_missing: SkipMissing = False,
    year: Annotated[str, typer.Option(help="Of VOC.")] = "2007",
    image_set: ImageSet = None,
    voc_filter: VocFilter = VocRule.own,
    clean: Clean = False,
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
    """CorLoc: in how many pictures of a class the box is found, with an IoU above 0.5.

    On VOC 2007 trainval the rows that were published stand below ours, marked as such, and the time that all of its
    5011 pictures would take is estimated. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import (
        VocChoice,
        claimed,
        evaluate,
        evaluation_identity,
        open_boxes,
        systems_named,
        voc_2007_time,
    )

    wanted = systems_named(words(systems), resize_of(size, short_side, long_side))
    voc = VocChoice(image_set, year, voc_filter.value, clean)
    opened = open_boxes(dataset, boxes, masks, words(groups), skip_missing, voc)
    with ExitStack() as until_written:
        with shown() as progress:
            network = with_layer_for(wanted, network, progress)
            backbone = network.open(progress)
            identity = evaluation_identity("corloc", opened, backbone, wanted)
            start = time.perf_counter()
            resume = until_written.enter_context(claimed(output, identity, overwrite))
            begun = resume is not None and any(resume.glob("*.journal"))
            figures = evaluate(opened, backbone, wanted, "corloc", progress, resume)
            taken = time.perf_counter() - start
        # What was taken up tells nothing of how long all of it takes.
        scored(figures, output, halves, as_json, () if begun else voc_2007_time(figures, taken))
