"""Queries as people write them: FILE, or FILE:x0,y0,x1,y1."""

from __future__ import annotations

import re
from pathlib import Path

from dff_onnx.errors import UsageError
from dff_onnx.records import Box
from dff_onnx.report.search_found import Part

BOX = re.compile(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})", re.ASCII)


def box_of(text: str, option: str) -> Box:
    """`x0,y0,x1,y1`.

    Raises:
        UsageError: for anything else.

    >>> box_of("0,10,64,100", "--box")
    Box(x0=0, y0=10, x1=64, y1=100)
    """
    found = BOX.fullmatch(text.replace(" ", ""))
    if found is None:
        raise UsageError(f"{option}: a box x0,y0,x1,y1 in pixels is needed, found {text!r}")
    return Box(*map(int, found.groups()))


def part_of(query: str | Path, box: Box | None = None, concept: int | None = None, option: str = "") -> Part:
    """A query's picture and what of it is meant.

    Args:
        query: a path; as text it may end in a box. A file of the whole name goes first.
        box, concept: where they are known already.
        option: that has the text, for messages.

    >>> part_of("a.jpg:1,2,3,4").box
    Box(x0=1, y0=2, x1=3, y1=4)
    """
    if isinstance(query, str) and not Path(query).is_file():
        file, colon, text = query.rpartition(":")
        if colon and file and "," in text:
            return Part(Path(file), box_of(text, option))
    return Part(Path(query), box, concept)
