"""The plot of the choice of k: points where the figures are, the chosen number marked, nothing told by colour alone."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from dff_onnx.report.choice_plot import LINES, choice_svg
from dff_onnx.report.figures import TriedK
from dff_onnx.report.svg import Panel

SVG = "{http://www.w3.org/2000/svg}"
TRIED = (TriedK(1, 0.4, 1.0, 0.99), TriedK(2, 0.5, 0.98, 0.9), TriedK(3, 0.55, 0.7, 0.4))


def read(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.encode())


def points(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    lines = [one.get("points", "").split() for one in root.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line)] for line in lines]


def test_each_line_goes_through_its_figures() -> None:
    panel = Panel((1, 2, 3))
    explained, seeds, halves = points(read(choice_svg(TRIED, 2)))
    for line, figures in ((explained, (0.4, 0.5, 0.55)), (seeds, (1.0, 0.98, 0.7)), (halves, (0.99, 0.9, 0.4))):
        wanted = [(panel.x(k), panel.y(figure)) for k, figure in enumerate(figures, start=1)]
        assert line == [pytest.approx(pair, abs=0.06) for pair in wanted]


def test_the_chosen_number_is_marked_and_said() -> None:
    root = read(choice_svg(TRIED, 2))
    band = next(one for one in root.iter(f"{SVG}rect") if one.get("rx"))
    middle = float(band.get("x", "")) + float(band.get("width", "")) / 2
    assert middle == pytest.approx(Panel((1, 2, 3)).x(2), abs=0.06)
    assert "2 concepts chosen" in [one.text for one in root.iter(f"{SVG}text")]


def test_without_halves_their_line_and_its_name_are_left_out() -> None:
    root = read(choice_svg([TriedK(1, 0.4, 1.0, None), TriedK(2, 0.6, 1.0, None)], 1))
    assert len(points(root)) == 2
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert LINES[0].name not in texts and LINES[1].name in texts and "1 concept chosen" in texts


def test_one_number_is_a_plot_too_and_nothing_lies_outside() -> None:
    root = read(choice_svg([TriedK(1, 1.0, 1.0, 1.0)], 1))
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert width == 380
    for line in points(root):
        assert all(0 < x < width and 0 < y < height for x, y in line)


def test_lines_differ_in_colour_dashes_and_marks() -> None:
    for what in ("colour", "dashes", "mark"):
        assert len({getattr(line, what) for line in LINES}) == len(LINES)
