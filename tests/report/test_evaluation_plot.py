"""Plots of an evaluation: valid XML for any name, and points where the figures are."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from dff_onnx.errors import UsageError
from dff_onnx.report.evaluation_plot import BARS, LABELS, Bar, BarRow, QualityCurve, bars_svg, quality_svg
from dff_onnx.report.palette import colour, hexadecimal

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    "a & \"b\" 'c'",
    "]]>\x00\x1b",
    "\ud800\ufffe",
    "\u202egnp",
    "n\newline",
    "é" * 300,
    "",
)


def read(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.encode())


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def tags(root: ElementTree.Element) -> set[str]:
    return {element.tag.removeprefix(SVG) for element in root.iter()}


def curve(name: str = "relu5_4") -> QualityCurve:
    return QualityCurve(name, (1, 2, 4), (0.2, 0.6, 0.4), (0.0, 0.1, 0.05))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_gives_valid_xml_and_only_our_elements(name: str) -> None:
    drawn = read(quality_svg([curve(name)], name))
    assert tags(drawn) == {"svg", "rect", "text", "g", "line", "polyline", "path", "circle"}
    bars = read(bars_svg([BarRow(name, (Bar(0.5, 0.4, 0.6),))], [name], name, name))
    assert tags(bars) == {"svg", "rect", "text", "line", "path"}


def test_a_name_is_shown_as_it_is_and_a_long_one_shortened_beside_its_bars() -> None:
    assert "<b> & co" in texts(read(quality_svg([curve("<b> & co")], "T")))
    shown = texts(read(bars_svg([BarRow("x" * 60, (Bar(0.5),))], ["ours"], "T")))
    assert "x" * 23 + "…" in shown and "ours" in shown


def test_a_line_goes_through_the_means_with_bars_of_one_deviation() -> None:
    root = read(quality_svg([curve()], "figure 4"))
    circles = [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in root.iter(f"{SVG}circle")]
    assert [x for x, _ in circles] == sorted(x for x, _ in circles)
    heights = [y for _, y in circles]
    assert heights[1] < heights[2] < heights[0]  # up is better
    unit = (heights[0] - heights[1]) / 0.4
    bars = [re.match(r"M\S+ (\S+)V([\d.]+)", p.get("d", "")) for p in root.iter(f"{SVG}path")]
    lengths = [float(found[1]) - float(found[2]) for found in bars if found]
    assert lengths == pytest.approx([0, 0.2 * unit, 0.1 * unit], abs=0.3)
    lines = [[*map(float, re.split("[ ,]", p.get("points", "")))] for p in root.iter(f"{SVG}polyline")]
    assert lines[0] == lines[1] == pytest.approx([value for point in circles for value in point])


def test_each_layer_has_its_colour_and_its_place_in_the_legend() -> None:
    root = read(quality_svg([curve("one"), curve("two")], "T"))
    fills = [r.get("fill") for r in root.iter(f"{SVG}rect")]
    assert fills[1:] == [hexadecimal(colour(0)), hexadecimal(colour(1))]
    assert texts(root)[-2:] == ["one", "two"]
    bottom = max(float(t.get("y", "")) for t in root.iter(f"{SVG}text"))
    assert bottom < float(root.get("height", ""))


def test_figures_that_are_missing_leave_gaps_and_no_nan() -> None:
    holes = QualityCurve("a", (1, 2, 3), (0.5, math.nan, 0.7), (math.nan, 0.1, 0.1))
    svg = quality_svg([holes, QualityCurve("b", (), (), ())], "T")
    assert "nan" not in svg and svg.count("<circle") == 2
    rows = [BarRow("a", (Bar(math.nan), None)), BarRow("b", (Bar(0.5, math.nan, 0.6), Bar(math.inf)))]
    svg = bars_svg(rows, ["x", "y"], "T")
    assert "nan" not in svg and "inf" not in svg and svg.count('stroke-width="0.6"') == 1 and "<path" not in svg
    read(quality_svg([], "T"))
    read(bars_svg([], [], "T"))


def test_bars_are_as_long_as_their_figures_and_whiskers_cover_the_intervals() -> None:
    root = read(bars_svg([BarRow("cat", (Bar(0.25, 0.1, 0.5), Bar(1.0)))], ["ours", "published"], "T", "CorLoc"))
    bars = [float(r.get("width", "")) for r in root.iter(f"{SVG}rect") if r.get("stroke-width")]
    assert bars == [0.25 * BARS, BARS]
    (whisker,) = root.iter(f"{SVG}path")
    found = re.match(r"M(\S+) \S+H([\d.]+)", whisker.get("d", ""))
    assert found and (float(found[1]), float(found[2])) == (LABELS + 0.1 * BARS, LABELS + 0.5 * BARS)
    assert {"cat", "CorLoc", "0.250", "1.000", "ours", "published"} <= set(texts(root))


def test_figures_outside_the_axis_stay_in_the_picture() -> None:
    root = read(bars_svg([BarRow("a", (Bar(7.0, -1.0, 9.0), Bar(-2.0)))], ["x", "y"], "T"))
    bars = [float(r.get("width", "")) for r in root.iter(f"{SVG}rect") if r.get("stroke-width")]
    assert bars == [BARS, 0.0]


def test_a_row_with_too_few_bars_is_refused() -> None:
    with pytest.raises(UsageError, match="'a' has 1 bars for 2 systems"):
        bars_svg([BarRow("a", (Bar(0.5),))], ["x", "y"], "T")
