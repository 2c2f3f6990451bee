"""`search.html`: the results of a search on one page that needs no other file, no script and no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np

from dff_onnx.files import printable
from dff_onnx.report.page.thumbs import thumbnail
from dff_onnx.report.panels import within
from dff_onnx.report.search_found import Part, SearchFound
from dff_onnx.report.search_tiles import Tile, boxed

SIDE = 320
MOST = 120_000  # characters of a picture


def search_page(found: SearchFound, tiles: Sequence[Tile]) -> bytes:
    """The page.

    Args:
        found: the search.
        tiles: its pictures: the query's, then the results'.
    """
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"{found.query.path.name} - dff-onnx search"
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_safe(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_safe(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header>
<p class="muted">dff-onnx search</p>
<h1><bdi>{_safe(printable(found.query.path))}</bdi></h1>
{_facts(found)}
</header>
<main>
<section aria-labelledby="query"><h2 id="query">Query</h2>
<ul class="grid">{_item(tiles[0])}</ul></section>
<section aria-labelledby="results"><h2 id="results">Results</h2>
<ol class="grid">{"".join(map(_item, tiles[1:]))}</ol></section>
</main>
</body>
</html>
"""
    return page.encode("utf-8", "backslashreplace")


def _facts(found: SearchFound) -> str:
    told = [("Searched", f"{found.images} images, {found.regions} regions"), ("Asked for", _asked(found.query))]
    told += [("And", _asked(part, named=True)) for part in found.also]
    told += [("Without", _asked(part, named=True)) for part in found.without]
    if found.settings.get("expand", "none") != "none":
        told.append(("Expanded", f"{found.settings['expand']}, by {found.settings['expand_with']} results"))
    if "where" in found.settings:
        told.append(("Where", f"one of {found.settings['where']['k']} concepts of query and results together"))
    rows = "".join(f"<div><dt>{_safe(name)}</dt><dd><bdi>{_safe(text)}</bdi></dd></div>" for name, text in told)
    return f"<dl>{rows}</dl>"


def _asked(part: Part, named: bool = False) -> str:
    what = "the picture" if part.box is None else f"box {part.box.x0},{part.box.y0},{part.box.x1},{part.box.y1}"
    if part.concept is not None:
        what = f"concept {part.concept} of {what}"
    return f"{printable(part.path)}: {what}" if named else what


def _item(tile: Tile) -> str:
    if tile.picture is None:
        shown = '<p class="muted">cannot be read</p>'
    else:
        shown = _image(np.asarray(boxed(tile, within(tile.picture, SIDE))), tile.name)
        shown += "" if tile.heat is None else _image(tile.heat, f"heat map over {tile.name}")
    return (
        f'<li><div class="pictures">{shown}</div><p><strong>{_safe(tile.heading)}</strong></p>'
        f'<p class="muted"><bdi>{_safe(tile.name)}</bdi></p></li>'
    )


def _image(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], name: str) -> str:
    data = thumbnail(picture, MOST)
    return "" if data is None else f'<img alt="{_safe(name)}" src="data:image/jpeg;base64,{data}">'


def _safe(text: str) -> str:
    """Hostile text inside markup or an attribute; what no browser shows becomes a question mark."""
    return escape("".join(c if c.isprintable() else "?" for c in text))


@cache
def _style() -> str:
    return files("dff_onnx.report").joinpath("search.css").read_text(encoding="utf-8")
