"""What a person at a terminal sees of a search."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.files import printable
from dff_onnx.records import Box
from dff_onnx.report.names import shown
from dff_onnx.report.search_found import SearchFound

BOX = 19  # columns: four figures of four digits, and commas


def search_text(found: SearchFound) -> str:
    """A line for each result, of at most 80 columns but for names: rank, score, box where one was asked for, path."""
    places = any(result.box for result in found.results)
    lines = []
    for one in found.results:
        box = _box(one.box) if places else ""
        lines.append(f"{one.rank:4}  {one.score:6.3f}  {box}{shown(printable(Path(one.path)))}")
    for path, reason in found.failures:
        lines.append(f"could not be read: {shown(printable(Path(path)))}\n  {shown(reason)}")
    return "\n".join(lines or ["nothing else is in the index"])


def _box(box: Box | None) -> str:
    text = "-" if box is None else f"{box.x0},{box.y0},{box.x1},{box.y1}"
    return f"{text:<{BOX}}  "
