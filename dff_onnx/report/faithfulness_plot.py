"""What a classifier's score does while concepts go and come, beside random ones. SVG."""

from __future__ import annotations

from collections.abc import Sequence

from dff_onnx.metrics.statistics import Interval
from dff_onnx.report.figures import FaithfulnessFound
from dff_onnx.report.svg import STEP, Panel, document, fill, legend

NAMES = ("concepts of this run", "random concepts")
DASHES = ("", ' stroke-dasharray="6 4"')


def faithfulness_svg(found: FaithfulnessFound) -> str:
    """An SVG file of two panels, deletion and insertion: means with their intervals, the control dashed."""
    deleted, inserted = "concepts taken away", "concepts put in"
    curves = {
        deleted: (found.concepts.deletion, found.control.deletion),
        inserted: (found.concepts.insertion, found.control.insertion),
    }
    panel = Panel(tuple(range(max(len(one) for pair in curves.values() for one in pair))))
    parts: list[str] = []
    for number, (below, pair) in enumerate(curves.items()):
        parts.append(f'<g transform="translate({number * panel.width},24)">')
        parts += panel.axes(f"{found.score}, relative", below)
        for index, curve in enumerate(pair):
            parts += _curve(panel, index, curve)
        parts.append("</g>")
    parts += legend(NAMES, panel.height + 44)
    height = panel.height + STEP * len(NAMES) + 50
    return document(2 * panel.width, height, "Deletion and insertion of concepts", parts)


def _curve(panel: Panel, index: int, curve: Sequence[Interval]) -> list[str]:
    """The mean as a line, its interval as a band."""
    line = _points(panel, [one.estimate for one in curve])
    upper = _points(panel, [one.high for one in curve])
    lower = _points(panel, [one.low for one in curve])
    stroke = f'stroke="{fill(index)}" stroke-width="2.5"{DASHES[index]}'
    return [
        f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="{fill(index)}" fill-opacity="0.18"/>',
        f'<polyline points="{" ".join(line)}" fill="none" {stroke}/>',
    ]


def _points(panel: Panel, values: Sequence[float]) -> list[str]:
    return [f"{panel.x(number):.1f},{panel.y(value):.1f}" for number, value in enumerate(values)]
