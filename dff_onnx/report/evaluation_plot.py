"""Figures of an evaluation as pictures: quality by number of concepts, and systems side by side. SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dff_onnx.errors import UsageError
from dff_onnx.report.svg import STEP, Panel, document, fill, legend, plain

LABELS = 190  # room for names left of the bars
BARS = 440  # a figure of 1
THICK = 11
LONGEST = 24  # characters of a name beside its bars
EDGE = 'stroke="#444"'  # the palette has a white and a yellow, which are lost on white without it


@dataclass(frozen=True, slots=True)
class QualityCurve:
    """One layer of figure 4 of the DFF paper.

    Attributes:
        name: of the layer.
        ks: numbers of concepts.
        mean, deviation: of the quality over seeds, for each of them; 0..1. A nan is left out.
    """

    name: str
    ks: tuple[int, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One system's figure, 0..1, and its confidence interval where one is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BarRow:
    """One group, a class say: a bar for each system, None where a system has no figure."""

    name: str
    bars: tuple[Bar | None, ...]


def quality_svg(curves: Sequence[QualityCurve], title: str) -> str:
    """An SVG file in the manner of figure 4: one line a layer, with bars of one standard deviation."""
    panel = Panel(tuple(sorted({k for curve in curves for k in curve.ks})) or (1,), 560, 340)
    parts = ['<g transform="translate(0,24)">', *panel.axes("quality: mean IoU with the best part")]
    for index, curve in enumerate(curves):
        parts += _quality_line(panel, index, curve)
    parts += ["</g>", *legend([curve.name for curve in curves], panel.height + 44)]
    return document(panel.width, panel.height + STEP * len(curves) + 50, title, parts)


def bars_svg(rows: Sequence[BarRow], systems: Sequence[str], title: str, axis: str = "") -> str:
    """An SVG file of horizontal bars, grouped by row, with whiskers over the intervals.

    Args:
        rows: each with as many bars as there are systems.
        systems: their names, for the legend.
        title: above.
        axis: what the figures are, below.

    Raises:
        UsageError: when a row has more or fewer bars than there are systems.
    """
    for row in rows:
        if len(row.bars) != len(systems):
            raise UsageError(f"{row.name!r} has {len(row.bars)} bars for {len(systems)} systems")
    top, tall = 40, THICK * len(systems) + 8
    bottom = top + tall * len(rows)
    parts = _scale(top, bottom, axis)
    for number, row in enumerate(rows):
        y = top + tall * number + 4
        middle = y + THICK * len(systems) / 2 + 4
        parts.append(f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{plain(row.name, LONGEST)}</text>')
        for index, bar in enumerate(row.bars):
            parts += _bar(bar, index, y + THICK * index)
    parts += legend(systems, bottom + 56)
    return document(LABELS + BARS + 60, bottom + STEP * len(systems) + 60, title, parts)


def _quality_line(panel: Panel, index: int, curve: QualityCurve) -> list[str]:
    points = [
        (panel.x(k), mean, deviation if math.isfinite(deviation) else 0.0)
        for k, mean, deviation in zip(curve.ks, curve.mean, curve.deviation, strict=True)
        if math.isfinite(mean)
    ]
    path = " ".join(f"{x:.1f},{panel.y(mean):.1f}" for x, mean, _ in points)
    parts = [
        f'<polyline points="{path}" fill="none" stroke="#444" stroke-width="3.5"/>',
        f'<polyline points="{path}" fill="none" stroke="{fill(index)}" stroke-width="2.2"/>',
    ]
    for x, mean, deviation in points:
        low, high = panel.y(mean - deviation), panel.y(mean + deviation)
        parts.append(
            f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8" {EDGE}/>'
        )
        parts.append(f'<circle cx="{x:.1f}" cy="{panel.y(mean):.1f}" r="3.5" fill="{fill(index)}" {EDGE}/>')
    return parts


def _scale(top: int, bottom: int, axis: str) -> list[str]:
    parts = []
    for tick in range(0, 11, 2):
        x = _x(tick / 10)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick / 10:.1f}</text>')
    parts.append(f'<text x="{_x(0.5):.1f}" y="{bottom + 34}" text-anchor="middle">{plain(axis)}</text>')
    return parts


def _bar(bar: Bar | None, index: int, y: float) -> list[str]:
    """The bar, its whisker, and its figure at the end."""
    if bar is None or not math.isfinite(bar.value):
        return []
    size, middle, end = _x(bar.value) - LABELS, y + THICK / 2, _x(bar.value)
    shape = f'x="{LABELS}" y="{y}" width="{size:.1f}" height="{THICK - 1}"'
    parts = [f'<rect {shape} fill="{fill(index)}" {EDGE} stroke-width="0.6"/>']
    if bar.low is not None and bar.high is not None and math.isfinite(bar.low) and math.isfinite(bar.high):
        low, end = _x(bar.low), max(end, _x(bar.high))
        stroke = f"M{low:.1f} {middle}H{_x(bar.high):.1f}M{low:.1f} {middle - 3}v6M{_x(bar.high):.1f} {middle - 3}v6"
        parts.append(f'<path d="{stroke}" fill="none" {EDGE}/>')
    parts.append(f'<text x="{end + 5:.1f}" y="{middle + 4}" font-size="10">{bar.value:.3f}</text>')
    return parts


def _x(share: float) -> float:
    """Where a share lies; what is outside 0..1 lies on the border."""
    return LABELS + BARS * min(max(share, 0.0), 1.0)
