"""What a person at a terminal sees of a collection's objects."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.files import printable
from dff_onnx.report.names import shown
from dff_onnx.report.objects_found import ObjectsFound

BOX = 19  # columns: four figures of four digits, and commas


def objects_text(found: ObjectsFound) -> str:
    """A line for each object, of at most 80 columns but for names: its images, its most central region."""
    lines = []
    if found.objects:
        lines.append(f"{'object':>6}  {'images':>6}  {'centrality':>10}  {'most central in':<{BOX}}  picture")
    for one in found.objects:
        region = one.regions[0]
        box = f"{region.box.x0},{region.box.y0},{region.box.x1},{region.box.y1}"
        name = shown(printable(Path(region.path)))
        lines.append(f"{one.number:6}  {len(one.regions):6}  {region.centrality:#10.3g}  {box:<{BOX}}  {name}")
    for path, reason in found.failures:
        lines.append(f"could not be read: {shown(printable(Path(path)))}\n  {shown(reason)}")
    return "\n".join(lines or ["no region comes back in another image"])
