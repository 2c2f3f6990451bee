"""`search.html`: the results of a search on one page that needs no other file, no script and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dff_onnx.datasets.dataset import counted
from dff_onnx.files import printable
from dff_onnx.report.plain_page import SIDE, plain_page, tile_item
from dff_onnx.report.search_found import Part, SearchFound
from dff_onnx.report.search_tiles import Tile

__all__ = ["SIDE", "search_page"]


def search_page(found: SearchFound, tiles: Sequence[Tile]) -> bytes:
    """The page.

    Args:
        found: the search.
        tiles: its pictures: the query's, then the results'.
    """
    main = f"""<section aria-labelledby="query"><h2 id="query">Query</h2>
<ul class="grid">{tile_item(tiles[0])}</ul></section>
<section aria-labelledby="results"><h2 id="results">Results</h2>
<ol class="grid">{"".join(map(tile_item, tiles[1:]))}</ol></section>"""
    title = f"{found.query.path.name} - dff-onnx search"
    return plain_page(title, "dff-onnx search", printable(found.query.path), _facts(found), main)


def _reranked(settings: Mapping[str, Any]) -> str:
    ranked = settings.get("ranked", {})
    near = settings.get("rerank_with", 0)
    nearest = f", by the {min(near, ranked.get('nodes', near))} nearest" if near else ""
    graph = f", on a graph of {ranked['nodes']} {ranked['of']}, {ranked['graph']}" if "graph" in ranked else ""
    return f"{settings['rerank']}{nearest}{graph}"


def _facts(found: SearchFound) -> list[tuple[str, str]]:
    told = [
        ("Searched", f"{counted(found.images, 'image')}, {counted(found.regions, 'region')}"),
        ("Asked for", _asked(found.query)),
    ]
    told += [("And", _asked(part, named=True)) for part in found.also]
    told += [("Without", _asked(part, named=True)) for part in found.without]
    if found.settings.get("rerank", "none") != "none":
        told.append(("Reranked", _reranked(found.settings)))
    if "where" in found.settings:
        told.append(("Where", f"one of {found.settings['where']['k']} concepts of query and results together"))
    return told


def _asked(part: Part, named: bool = False) -> str:
    what = "the picture" if part.box is None else f"box {part.box.x0},{part.box.y0},{part.box.x1},{part.box.y1}"
    if part.concept is not None:
        what = f"concept {part.concept} of {what}"
    return f"{printable(part.path)}: {what}" if named else what
