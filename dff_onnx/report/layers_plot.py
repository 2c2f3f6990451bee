"""Layers side by side as a picture: what they explain and how stable that is, by number of concepts. SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dff_onnx.report.svg import STEP, Panel, document, fill, legend


@dataclass(frozen=True, slots=True)
class Curve:
    """One layer.

    Attributes:
        name: of the layer.
        ks: numbers of concepts.
        explained, stability: for each of them, 0..1.
        bold: whether it is the one recommended.
    """

    name: str
    ks: tuple[int, ...]
    explained: tuple[float, ...]
    stability: tuple[float, ...]
    bold: bool


def layers_svg(curves: Sequence[Curve], title: str) -> str:
    """An SVG file of two panels, one line a layer, the recommended one thick."""
    panel = Panel(tuple(sorted({k for curve in curves for k in curve.ks})) or (1,))
    panels = {
        "explained energy": [c.explained for c in curves],
        "stability over two halves": [c.stability for c in curves],
    }
    parts: list[str] = []
    for number, (name, values) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({number * panel.width},24)">')
        parts += panel.axes(name)
        parts += [_line(panel, index, c, ys) for index, (c, ys) in enumerate(zip(curves, values, strict=True))]
        parts.append("</g>")
    bold = next((index for index, curve in enumerate(curves) if curve.bold), None)
    parts += legend([curve.name for curve in curves], panel.height + 44, bold, "recommended")
    return document(2 * panel.width, panel.height + STEP * len(curves) + 50, title, parts)


def _line(panel: Panel, index: int, curve: Curve, ys: Sequence[float]) -> str:
    points = " ".join(f"{panel.x(k):.1f},{panel.y(y):.1f}" for k, y in zip(curve.ks, ys, strict=True))
    stroke = f'stroke="{fill(index)}" stroke-width="{3.5 if curve.bold else 1.5}"'
    return f'<polyline points="{points}" fill="none" {stroke}/>'
