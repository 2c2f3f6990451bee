"""`dff-onnx index-graph`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class NodesChoice(StrEnum):
    """What a graph is of."""

    images = "images"
    regions = "regions"


def index_graph(
    index: Annotated[str, typer.Argument(help="An index: a file, or postgresql://USER@HOST/DATABASE.")],
    of: Annotated[NodesChoice, typer.Option(help="What its nodes are.")] = NodesChoice.images,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Neighbours of each. [default: 50 of images, 200 of regions; fewer of few]"),
    ] = None,
    rank: Annotated[int, typer.Option(help="Eigenvalues of each component, for --rerank fsr; 500, say.")] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Diffuse each node, for --rerank offline.")] = False,
    graph: Annotated[Path | None, typer.Option(help="The file to write. [default: beside the index]")] = None,
) -> None:
    """Make the graph of an index beforehand, for `search --rerank`.

    It is refused once the index has changed; the same command makes it anew.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.dataset import counted
    from dff_onnx.runs.graph_file import check_graph_output, write_graph
    from dff_onnx.runs.graph_parts import graph_beside, made_graph_parts
    from dff_onnx.store import open_store

    with open_store(index) as store, shown() as progress:
        path = graph_beside(store, of.value, graph)
        check_graph_output(store, path)
        parts = made_graph_parts(store, of.value, k, rank, offline, progress)
        write_graph(store, path, parts)
    nodes, near = parts.graph.nodes, min(parts.k, parts.graph.nodes)
    told = [counted(nodes, "node"), f"{near} neighbours of each", counted(parts.graph.edges, "edge")]
    if parts.spectrum is not None:
        told.append(f"{counted(parts.spectrum.rank, 'eigenvalue')} a component at most")
    if parts.solutions is not None:
        told.append("solutions beforehand")
    typer.echo(f"{path}: {', '.join(told)}", err=True)
