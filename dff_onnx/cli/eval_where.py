"""`dff-onnx eval where`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.descriptor_options import Concepts, Descriptor, LongerSide, said_of
from dff_onnx.cli.eval_options import AsJson, Groups, Masks, Output, Overwrite, SkipMissing, ended, numbers, told, words
from dff_onnx.cli.network_options import NetworkOptions, with_network

if TYPE_CHECKING:
    from dff_onnx.evaluation import WhereFigures


@with_network()
def where(
    dataset: Annotated[Path, typer.Argument(help="VOCdevkit, a tree with masks, or pictures with --boxes or --masks.")],
    boxes: Annotated[Path | None, typer.Option(help="A CSV file: image,x0,y0,x1,y1 and class.")] = None,
    masks: Masks = None,
    skip_missing: SkipMissing = False,
    groups: Groups = None,
    top: Annotated[int, typer.Option(help="Results of a query that are looked at.", min=1)] = 10,
    every: Annotated[int, typer.Option(help="So many pictures one is a query.", min=1)] = 3,
    where_k: Annotated[str, typer.Option(help="Concepts of query and results: 2, or several as 2,3.")] = "2",
    descriptor: Descriptor = None,
    size: LongerSide = None,
    k: Concepts = None,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    *,
    network: NetworkOptions,
) -> None:
    """Where the query is: what `search --where` tells, against known boxes.

    A query's true matches among its first results are judged, by mean IoU and CorLoc (IoU above 0.5), beside the whole
    picture, its middle, and the best square of R-MAC's grid. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import (
        VocChoice,
        WherePlan,
        claimed,
        evaluate_where,
        open_boxes,
        where_identity,
    )
    from dff_onnx.runs.descriptors import Describer, DescriptorSettings

    settings = DescriptorSettings(**said_of(descriptor, size, k, None, None, False))
    plan = WherePlan(top, every, numbers(where_k, "--where-k", least=2))
    opened = open_boxes(dataset, boxes, masks, words(groups), skip_missing, VocChoice())
    with ExitStack() as until_written:
        with shown() as progress:
            describer = Describer(network.open(progress), settings)
            identity = where_identity(opened, describer, plan)
            resume = until_written.enter_context(claimed(output, identity, overwrite))
            figures = evaluate_where(opened, describer, plan, progress, resume)
        _scored(figures, output, as_json)


def _scored(figures: WhereFigures, output: Path | None, as_json: bool) -> None:
    from dff_onnx.evaluation import where_json, where_markdown, where_plot, where_text

    told(output, as_json, where_json(figures), where_text(figures), where_markdown(figures), where_plot(figures))
    ended(figures.notes, figures.failures)
