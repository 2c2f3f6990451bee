"""`dff-onnx eval retrieval`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.descriptor_options import LongerSide, figures
from dff_onnx.cli.eval_options import AsJson, Output, Overwrite, ended, numbers, told, words
from dff_onnx.cli.network_options import NetworkOptions, with_network

if TYPE_CHECKING:
    from dff_onnx.evaluation import RetrievalFigures

DatasetFolder = Annotated[Path, typer.Argument(help="A retrieval set, or any tree with a folder for each class.")]
KindName = Annotated[
    str | None, typer.Option("--kind", help="folders, oxford, revisited, instre or holidays. [default: by its files]")
]
Truth = Annotated[Path | None, typer.Option(help="The ground truth's file or folder, where it lies elsewhere.")]
Descriptors = Annotated[
    str,
    typer.Option(
        "--systems", help="What to compare, with commas: mac, spoc, gem, crow, ucrow, rmac, fs-egm, dff; or codes."
    ),
]
Concepts = Annotated[str, typer.Option("-k", help="Concepts of a picture for dff: 12, or several as 8,12.")]
Whiten = Annotated[
    Path | None, typer.Option(help="A folder of other pictures: learn a whitening of each system there.")
]
Dimensions = Annotated[
    str | None, typer.Option(help="Of whitened vectors: 128, or several as 64,128,all. [default: all]")
]
Shrinkage = Annotated[
    str | None,
    typer.Option(
        help="Of whitenings: a share of the largest variance added to all, or several as 0,0.01. [default: 0]"
    ),
]
Rerank = Annotated[
    str,
    typer.Option(
        help="How to rank, with commas: none, aqe, alpha-qe, diffusion, fsr:RANK, offline, rmatch, regional, "
        "regional-fsr:RANK. The last three need systems with regions: rmac, fs-egm, dff."
    ),
]
GraphNeighbours = Annotated[
    int,
    typer.Option(
        help="Of a node of the graph. [default: 50, of regions 200; fewer in small sets]", show_default=False, min=0
    ),
]
QueryNeighbours = Annotated[
    int,
    typer.Option(
        help="Where a query enters the graph, or that it is expanded with. [default: 10; alpha-qe 50, regions 200]",
        show_default=False,
        min=0,
    ),
]
MultiScale = Annotated[bool, typer.Option("--multi-scale", help="Also at 0.71 and 0.5 of the size, added up.")]


@with_network()
def retrieval(
    dataset: DatasetFolder,
    kind: KindName = None,
    truth: Truth = None,
    systems: Descriptors = "mac,spoc,gem,crow,rmac,dff",
    k: Concepts = "12",
    whiten: Whiten = None,
    dimensions: Dimensions = None,
    shrinkage: Shrinkage = None,
    size: LongerSide = None,
    multi_scale: MultiScale = False,
    rerank: Rerank = "none",
    neighbours: GraphNeighbours = 0,
    query_neighbours: QueryNeighbours = 0,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    *,
    network: NetworkOptions,
) -> None:
    """Retrieval: how well descriptors find what belongs to a query, by mean average precision.

    All descriptors are made of one pass of the network. With --whiten each has a second row, +w, whose whitening was
    learnt on those pictures. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import (
        Reranking,
        RetrievalPlan,
        claimed,
        evaluate_retrieval,
        open_retrieval,
        retrieval_identity,
        retrieval_systems,
    )
    from dff_onnx.report.names import shown as printed
    from dff_onnx.retrieval import SCALES

    chosen = retrieval_systems(words(systems), numbers(k, "-k"), size or 0, SCALES if multi_scale else (1.0,))
    ways = tuple(Reranking.parsed(word, neighbours, query_neighbours) for word in words(rerank))
    plan = RetrievalPlan(chosen, whiten, _kept(dimensions), figures(shrinkage or "0", "--shrinkage"), ways)
    opened = open_retrieval(dataset, kind, truth)
    with ExitStack() as until_written:
        with shown() as progress:
            backbone = network.open(progress, gridless="codes" in words(systems))
            identity = retrieval_identity(printed(opened.name), backbone.fingerprint.to_dict(), plan.used())
            resume = until_written.enter_context(claimed(output, identity, overwrite))
            found = evaluate_retrieval(opened, backbone, plan, progress, resume)
        _scored(found, output, as_json)


def _kept(text: str | None) -> tuple[int | None, ...]:
    """`64,128,all` as numbers; None for all."""
    if text is None:
        return (None,)
    return tuple(
        kept
        for word in words(text)
        for kept in ((None,) if word == "all" else numbers(word, "--dimensions", most=65536))
    )


def _scored(figures: RetrievalFigures, output: Path | None, as_json: bool) -> None:
    from dff_onnx.evaluation import (
        retrieval_json,
        retrieval_markdown,
        retrieval_plot,
        retrieval_tables,
        retrieval_terminal,
    )

    made = retrieval_tables(figures)
    drawn = retrieval_markdown(figures, made), retrieval_plot(figures, made)
    told(output, as_json, retrieval_json(figures, made), retrieval_terminal(figures, made), *drawn)
    ended(figures.notes, figures.failures)
