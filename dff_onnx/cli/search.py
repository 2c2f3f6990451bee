"""`dff-onnx search`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice


class RerankChoice(StrEnum):
    """How a first answer is improved upon."""

    none = "none"
    aqe = "aqe"
    alpha_qe = "alpha-qe"
    diffusion = "diffusion"
    regional = "regional"
    offline = "offline"
    fsr = "fsr"
    rmatch = "rmatch"


def search(
    index: Annotated[str, typer.Argument(help="An index: a file, or postgresql://USER@HOST/DATABASE.")],
    query: Annotated[Path, typer.Argument(help="A picture.")],
    box: Annotated[str | None, typer.Option(help="A part of it, x0,y0,x1,y1 in its pixels.")] = None,
    concept: Annotated[int | None, typer.Option(help="A part of it, by its concept's number.")] = None,
    top: Annotated[int, typer.Option(help="How many results.")] = 10,
    regions: Annotated[bool, typer.Option("--regions", help="By each picture's best region, and say where.")] = False,
    also: Annotated[list[str] | None, typer.Option(help="A further part: FILE or FILE:x0,y0,x1,y1.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="A part that must not be there.")] = None,
    rerank: Annotated[RerankChoice, typer.Option(help="Ask again with results, or by a graph.")] = RerankChoice.none,
    rerank_with: Annotated[int | None, typer.Option(help="Nearest that count. [default: as published]")] = None,
    graph: Annotated[Path | None, typer.Option(help="What index-graph wrote. [default: beside the index]")] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Ask the graph of `index-prepare --faiss`: quicker, misses some.")
    ] = False,
    exclude_self: Annotated[bool, typer.Option("--exclude-self", help="Leave the query's picture out.")] = False,
    where: Annotated[bool, typer.Option("--where", help="Where the query is, by factorizing it with them.")] = False,
    where_k: Annotated[int, typer.Option(help="Concepts of query and results together, at least 2.")] = 2,
    folder: Annotated[
        Path | None, typer.Option(help="The index's pictures, for --where and -o. [default: as the index says]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a page, a sheet and results.json.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a search of other settings.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", help="The index's network. [default: looked for by its sha256]")
    ] = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json on stdout.")] = False,
) -> None:
    """Find pictures of an index that show what a picture, or a part of it, shows.

    The answer is exact, but with --approximate, and with --rerank by a graph: diffusion and regional take 20 steps of a
    solver, offline and fsr less, and above 20 000 nodes without a prepared graph only the most similar pictures are
    ranked by one. With --concept, --also and --without parts are searched among the regions of the index. Exit code 3
    says that some results' pictures could not be read.
    """
    from dff_onnx.cli.network import accelerator_of
    from dff_onnx.cli.progress import shown
    from dff_onnx.cli.search_text import search_text
    from dff_onnx.report.search_found import search_json
    from dff_onnx.runs.find import FindSettings, find
    from dff_onnx.runs.opened_index import open_index
    from dff_onnx.runs.opening import Opening
    from dff_onnx.runs.rerank import check_graph_used
    from dff_onnx.runs.search import SearchSettings
    from dff_onnx.runs.search_query import box_of, part_of
    from dff_onnx.runs.where import WhereSettings
    from dff_onnx.zoo.find import find_model

    asked = part_of(query, None if box is None else box_of(box, "--box"), concept)
    settings = FindSettings(
        SearchSettings(top, regions, rerank.value, rerank_with, exclude_self, approximate),
        WhereSettings(where_k) if where else None,
        tuple(part_of(one, option="--also") for one in also or ()),
        tuple(part_of(one, option="--without") for one in without or ()),
    )
    check_graph_used(settings.search.rerank, graph)
    with shown() as progress:
        network = find_model(model, progress=progress).path if model else None
        opening = Opening(device.value, None, accelerator_of(cuda_graph))
        with open_index(index, network, opening, progress) as opened:
            found = find(
                opened.store, opened.describer, asked, settings,
                folder=folder, graph=graph, out=output, overwrite=overwrite, progress=progress,
            )  # fmt: skip
    typer.echo(search_json(found) if as_json else search_text(found), nl=not as_json)
    if found.failures:
        raise typer.Exit(3)
