"""Layers side by side as a picture: what they explain and how stable that is, by number of concepts. SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dff_onnx.report.palette import colour, hexadecimal

WIDTH, HEIGHT, MARGIN = 380, 260, 46


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
    ks = sorted({k for curve in curves for k in curve.ks}) or [1]
    legend = 22 * len(curves) + 20
    size = f'width="{2 * WIDTH}" height="{HEIGHT + legend + 30}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        f'<text x="{MARGIN}" y="18" font-size="14">{_text(title)}</text>',
    ]
    panels = {
        "explained energy": [c.explained for c in curves],
        "stability over two halves": [c.stability for c in curves],
    }
    for number, (name, values) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({number * WIDTH},24)">')
        parts += _axes(name, ks)
        for index, (curve, ys) in enumerate(zip(curves, values, strict=True)):
            points = " ".join(f"{_x(k, ks):.1f},{_y(y):.1f}" for k, y in zip(curve.ks, ys, strict=True))
            stroke = f'stroke="{hexadecimal(colour(index))}" stroke-width="{3.5 if curve.bold else 1.5}"'
            parts.append(f'<polyline points="{points}" fill="none" {stroke}/>')
        parts.append("</g>")
    for index, curve in enumerate(curves):
        y = HEIGHT + 44 + 22 * index
        weight = ' font-weight="bold"' if curve.bold else ""
        note = " (recommended)" if curve.bold else ""
        parts.append(f'<rect x="{MARGIN}" y="{y - 9}" width="22" height="8" fill="{hexadecimal(colour(index))}"/>')
        parts.append(f'<text x="{MARGIN + 30}" y="{y}"{weight}>{_text(curve.name)}{note}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _axes(name: str, ks: Sequence[int]) -> list[str]:
    parts = [f'<text x="{WIDTH / 2}" y="{MARGIN - 14}" text-anchor="middle">{name}</text>']
    for tick in range(0, 11, 2):
        y = _y(tick / 10)
        parts.append(f'<line x1="{MARGIN}" y1="{y}" x2="{WIDTH - 12}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y + 4}" text-anchor="end">{tick / 10:.1f}</text>')
    baseline = HEIGHT - MARGIN + 18
    parts += [f'<text x="{_x(k, ks):.1f}" y="{baseline}" text-anchor="middle">{k}</text>' for k in ks]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">concepts (k)</text>')
    return parts


def _x(k: int, ks: Sequence[int]) -> float:
    span = max(ks[-1] - ks[0], 1)
    return MARGIN + 8 + (WIDTH - MARGIN - 28) * (k - ks[0]) / span


def _y(share: float) -> float:
    return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * min(max(share, 0.0), 1.0)


def _text(text: str) -> str:
    """Names of layers are whatever a file says: characters that no XML takes are shown as they are written."""
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))
