"""`dff-onnx eval where`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.descriptor_options import Concepts, Descriptor, LongerSide, said_of
from dff_onnx.cli.eval_options import Groups, Masks, SkipMissing, numbers, words
from dff_onnx.cli.network_options import NetworkOptions, with_network


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
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON on stdout, no table.")] = False,
    *,
    network: NetworkOptions,
) -> None:
    """Where the query is: what `search --where` tells, against known boxes.

    A query's true matches among its first results are judged, by mean IoU and CorLoc (IoU above 0.5), beside the whole
    picture, its middle, and the best square of R-MAC's grid. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.eval_options import ended
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import VocChoice, WherePlan, evaluate_where, open_boxes, where_json, where_text
    from dff_onnx.runs.descriptors import Describer, DescriptorSettings

    settings = DescriptorSettings(**said_of(descriptor, size, k, None, None, False))
    plan = WherePlan(top, every, numbers(where_k, "--where-k", least=2))
    opened = open_boxes(dataset, boxes, masks, words(groups), skip_missing, VocChoice())
    with shown() as progress:
        backbone = network.open(progress)
        figures = evaluate_where(opened, Describer(backbone, settings), plan, progress)
    typer.echo(where_json(figures) if as_json else where_text(figures), nl=not as_json)
    ended(figures.notes, figures.failures)
