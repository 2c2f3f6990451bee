"""How the number of concepts was chosen, as a picture: what each number explains, and what repeats it. SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dff_onnx.report.figures import TriedK
from dff_onnx.report.svg import MARGIN, STEP, Panel, document, fill


@dataclass(frozen=True, slots=True)
class _Line:
    """One of the figures: told from the others by its colour, its dashes and its marks."""

    name: str
    colour: str
    dashes: str
    mark: str


# Blue, vermilion and bluish green: dark enough for thin lines on white.
LINES = (
    _Line("agreement of halves of the pictures", fill(1), "", "circle"),
    _Line("agreement of other starts", fill(3), "6 4", "square"),
    _Line("explained share", fill(5), "2 4", "triangle"),
)
BAND = 22  # pixels, behind the chosen number


def choice_svg(tried: Sequence[TriedK], chosen: int) -> str:
    """An SVG file, 380 pixels wide: a line for each figure over the numbers of concepts, the chosen one marked.

    Args:
        tried: by k; where there are no halves, their line is left out.
        chosen: the number that was taken.
    """
    panel = Panel(tuple(one.k for one in tried))
    figures: tuple[list[float | None], ...] = (
        [one.halves for one in tried],
        [one.seeds for one in tried],
        [one.explained for one in tried],
    )
    drawn = [(line, _points(panel, tried, ys)) for line, ys in zip(LINES, figures, strict=True)]
    drawn = [(line, points) for line, points in drawn if points]
    parts = [_band(panel, chosen), *panel.axes("")]
    for line, points in reversed(drawn):
        parts += _curve(line, points)
    for row, (line, _) in enumerate(drawn):
        parts += _entry(line, panel.height + 8 + STEP * row)
    height = panel.height + STEP * len(drawn) + 8
    return document(panel.width, height, f"{chosen} {'concept' if chosen == 1 else 'concepts'} chosen", parts)


def _points(panel: Panel, tried: Sequence[TriedK], ys: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(panel.x(one.k), panel.y(y)) for one, y in zip(tried, ys, strict=True) if y is not None]


def _band(panel: Panel, chosen: int) -> str:
    top, bottom = panel.y(1) - 8, panel.y(0) + 24
    left = panel.x(chosen) - BAND / 2
    box = f'x="{left:.1f}" y="{top:.1f}" width="{BAND}" height="{bottom - top:.1f}"'
    return f'<rect {box} rx="4" fill="#e4e4e4" stroke="#888"/>'


def _curve(line: _Line, points: Sequence[tuple[float, float]]) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [f'<polyline points="{path}" fill="none" {_stroke(line)}/>', *(_mark(line, x, y) for x, y in points)]


def _entry(line: _Line, y: float) -> list[str]:
    return [
        f'<line x1="{MARGIN}" y1="{y - 4}" x2="{MARGIN + 34}" y2="{y - 4}" {_stroke(line)}/>',
        _mark(line, MARGIN + 17, y - 4),
        f'<text x="{MARGIN + 42}" y="{y}">{line.name}</text>',
    ]


def _stroke(line: _Line) -> str:
    dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
    return f'stroke="{line.colour}" stroke-width="2"{dashes}'


def _mark(line: _Line, x: float, y: float) -> str:
    if line.mark == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{line.colour}"/>'
    if line.mark == "square":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{line.colour}"/>'
    corners = f"{x:.1f},{y - 4.5:.1f} {x - 4.5:.1f},{y + 3.5:.1f} {x + 4.5:.1f},{y + 3.5:.1f}"
    return f'<polygon points="{corners}" fill="{line.colour}"/>'
