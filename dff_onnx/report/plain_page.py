"""A page that needs no other file, no script and no network: its frame, its facts, its pictures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np

from dff_onnx.report.overlays import Pixels
from dff_onnx.report.page.thumbs import thumbnail
from dff_onnx.report.panels import within
from dff_onnx.report.search_tiles import Tile, boxed

SIDE = 320
MOST = 120_000  # characters of a picture


def plain_page(title: str, kind: str, heading: str, facts: Sequence[tuple[str, str]], main: str) -> bytes:
    """The page.

    Args:
        title: of the window.
        kind: of page, above the heading.
        heading: plain text.
        facts: names and what they are, below it.
        main: markup in which nothing is hostile any more.
    """
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{safe(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{safe(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header>
<p class="muted">{safe(kind)}</p>
<h1><bdi>{safe(heading)}</bdi></h1>
{_facts(facts)}
</header>
<main>
{main}
</main>
</body>
</html>
"""
    return page.encode("utf-8", "backslashreplace")


def tile_item(tile: Tile) -> str:
    """A picture as an item of a list."""
    if tile.picture is None:
        shown = '<p class="muted">cannot be read</p>'
    else:
        shown = _image(np.asarray(boxed(tile, within(tile.picture, SIDE))), tile.name)
        shown += "" if tile.heat is None else _image(tile.heat, f"heat map over {tile.name}")
    return (
        f'<li><div class="pictures">{shown}</div><p><strong>{safe(tile.heading)}</strong></p>'
        f'<p class="muted"><bdi>{safe(tile.name)}</bdi></p></li>'
    )


def safe(text: str) -> str:
    """Hostile text inside markup or an attribute; what no browser shows becomes a question mark.

    >>> safe('<b>"')
    '&lt;b&gt;&quot;'
    """
    return escape("".join(c if c.isprintable() else "?" for c in text))


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<div><dt>{safe(name)}</dt><dd><bdi>{safe(text)}</bdi></dd></div>" for name, text in facts)
    return f"<dl>{rows}</dl>"


def _image(picture: Pixels, name: str) -> str:
    data = thumbnail(picture, MOST)
    return "" if data is None else f'<img alt="{safe(name)}" src="data:image/jpeg;base64,{data}">'


@cache
def _style() -> str:
    return files("dff_onnx.report").joinpath("search.css").read_text(encoding="utf-8")
