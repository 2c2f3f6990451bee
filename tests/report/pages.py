"""Reports for the tests of the page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import findings
import numpy as np

from dff_onnx.records import Box, Grid, Region
from dff_onnx.report.found import ConceptInImage, Found, ImageFound
from dff_onnx.report.page.layout import Level, Report

TABLES = {
    "folder": "/where/nobody/looks",
    "settings": {"k": 2, "crf": "none", "share": 0.25, "deep": {"flag": True}, "list": [1, 2]},
    "fingerprint": {"layer": "<b>relu</b>"},
    "made": {"device": "cpu", "versions": {"numpy": "2.0"}},
}


def many(pictures: int, k: int, grid: Grid | None = None) -> Found:
    """So many pictures with k concepts, scores from a seed."""
    rng = np.random.default_rng(0)
    grid = grid or Grid(14, 14)
    region = Region(Box(10, 20, 300, 310), 9)
    images = tuple(
        ImageFound(
            f"{index:05}.jpg", Grid(320, 320), Grid(224, 224), grid,
            tuple(ConceptInImage(j, float(score), 0.5, (region,) * 9) for j, score in enumerate(rng.random(k))),
        )
        for index in range(pictures)
    )  # fmt: skip
    return findings.found(images=images, concepts=tuple(findings.concept(j) for j in range(k)), failures=())


def report_with(found: Found | int, k: int = 2, shown: int | None = None, **options: Any) -> Report:
    """A report of one level: of what was found, or of so many pictures."""
    found = many(found, k) if isinstance(found, int) else found

    def maps(index: int) -> Any:
        image = found.images[index]
        shape = len(image.concepts), image.grid.height, image.grid.width
        return np.random.default_rng(index).random(shape, np.float32)

    fields = {"title": "pictures", "kind": "run", "tables": TABLES, "shown": shown or len(found.images)} | options
    return Report(levels=(Level(found, maps, "dff-onnx label RUN --from labels.json"),), **fields)


def island(page: bytes, name: str) -> Any:
    """The JSON of one of the two islands."""
    texts = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', page.decode())
    assert len(texts) == 1
    return json.loads(texts[0])


class Parsed(HTMLParser):
    """What a browser makes of a page: its elements, and the texts of its scripts, styles and titles."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, _tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside][-1] += data
