"""Where a query is told to be, against what is known."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "runs"))

from fake_backbone import Colours
from PIL import Image

from dff_onnx.cli import main
from dff_onnx.errors import DatasetError, RefusedError, UsageError
from dff_onnx.evaluation import (
    WherePlan,
    WhereScore,
    evaluate_where,
    open_boxes,
    open_masks,
    read_figures,
    where_identity,
    where_json,
    where_markdown,
    where_plot,
    where_rows,
    where_text,
)
from dff_onnx.evaluation.opening import VocChoice
from dff_onnx.evaluation.where import CENTRE, WHOLE, WhereFigures
from dff_onnx.metrics import bootstrap_interval, mean_of_ratios
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.where import centre

DESCRIBER = Describer(Colours(), DescriptorSettings("mac", size=64))
COLOURS = {"green": (20, 200, 20), "red": (230, 20, 20)}
SIDE = 64


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two groups of six pictures: a square of the group's colour, somewhere on blue."""
    for name, colour in COLOURS.items():
        for number in range(6):
            on = np.zeros((SIDE, SIDE), bool)
            on[8 * (number % 4) : 8 * (number % 4) + 32, 8 * (number // 2) : 8 * (number // 2) + 32] = True
            pixels = np.full((SIDE, SIDE, 3), (0, 0, 160), np.uint8)
            pixels[on] = colour
            for kind, image in (("images", pixels), ("ground_truth", on.astype(np.uint8) * 255)):
                path = tmp_path / "tree" / kind / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
    return tmp_path / "tree"


def figures_of(tree: Path, **plan: object) -> WhereFigures:
    return evaluate_where(open_masks(tree, None, None, (), False), DESCRIBER, WherePlan(**plan))  # type: ignore[arg-type]


def test_joint_factorization_tells_squares_and_the_whole_picture_is_a_quarter_right(tree: Path) -> None:
    figures = figures_of(tree, top=5, every=2)
    rows = {row.way: row for row in where_rows(figures, "box")}
    assert rows["DFF k=2 share"].iou.estimate > 0.9 and rows["DFF k=2 share"].corloc.estimate == 1
    assert rows[WHOLE].iou.estimate == pytest.approx(0.25) and rows[WHOLE].corloc.estimate == 0
    assert rows[WHOLE].queries == 6 and rows[WHOLE].matches == 30
    assert rows[CENTRE].p_iou is None and rows[WHOLE].p_iou is not None


def test_the_centre_is_judged_box_by_box(tree: Path) -> None:
    from dff_onnx.metrics import box_iou
    from dff_onnx.records import Box, Grid

    figures = figures_of(tree, top=5, every=12)
    (score,) = [one for one in figures.scores if one.way == CENTRE and one.asked == "box"]
    assert score.query == "images/green/0.png" and score.group == "green"
    middle = centre(Grid(SIDE, SIDE))
    squares = [Box(8 * (n // 2), 8 * (n % 4), 8 * (n // 2) + 32, 8 * (n % 4) + 32) for n in range(1, 6)]
    assert sorted(score.ious) == pytest.approx(sorted(box_iou(middle, square) for square in squares))


def test_boxes_of_a_table_are_the_same_as_masks(tree: Path, tmp_path: Path) -> None:
    lines = ["image,class,x0,y0,x1,y1"]
    for name in COLOURS:
        for n in range(6):
            x, y = 8 * (n // 2), 8 * (n % 4)
            lines.append(f"{name}/{n}.png,{name},{x},{y},{x + 32},{y + 32}")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    opened = open_boxes(tree / "images", tmp_path / "boxes.csv", None, (), False, VocChoice())
    by_table = evaluate_where(opened, DESCRIBER, WherePlan(5, 4))
    by_mask = figures_of(tree, top=5, every=4)
    assert [(one.way, one.ious) for one in by_table.scores] == [(one.way, one.ious) for one in by_mask.scores]


def scored(ious: dict[str, list[tuple[float, ...]]]) -> WhereFigures:
    scores = [
        WhereScore(way, "box", "ab"[i % 2], f"{i}.png", values)
        for way, several in ious.items()
        for i, values in enumerate(several)
    ]
    return WhereFigures("set", 9, {}, "cpu", {"top": 3}, tuple(scores), (), ())


def test_means_are_over_groups_and_queries_are_drawn() -> None:
    mine = [(0.2, 0.8), (0.6,), (0.5, 0.9, 0.1), (0.4, 0.7)]
    figures = scored({CENTRE: [(0.1,) * len(one) for one in mine], "DFF": mine})
    (row,) = where_rows(figures, "box")[1:]
    above, below, groups = [1.0, 0.6, 1.5, 1.1], [2, 1, 3, 2], ["a", "b", "a", "b"]
    assert row.iou == bootstrap_interval(above, below, groups)
    assert row.iou.estimate == pytest.approx((2.5 / 5 + 1.7 / 3) / 2)
    hits = mean_of_ratios([1, 1, 1, 1], below, groups)  # 0.5 itself is none
    assert row.corloc.estimate == pytest.approx(hits) and row.matches == 8
    assert where_rows(figures, "box", {"a"})[1].iou.estimate == pytest.approx(0.5)
    assert where_rows(figures, "whole") == ()


def test_workers_and_the_order_of_asking_change_nothing(tree: Path) -> None:
    one = Colours()
    one.workers = 1
    opened = open_masks(tree, None, None, (), False)
    first = evaluate_where(opened, Describer(one, DESCRIBER.settings), WherePlan(5, 2))
    assert where_json(first) == where_json(figures_of(tree, top=5, every=2))


def test_rules_and_cells_are_rows_of_their_own(tree: Path) -> None:
    figures = figures_of(tree, top=3, every=6, ks=(2, 3), rules=("share", "mean"), all_cells=True)
    ways = [row.way for row in where_rows(figures, "whole")]
    assert ways[4:] == [f"DFF k={k} {by}{cells}" for cells in ("", ", all") for k in (2, 3) for by in ("share", "mean")]
    text = where_text(figures)
    assert max(map(len, text.splitlines())) <= 80 and "p against the centre box" in text


def test_pictures_that_cannot_be_read_are_left_out_and_listed(tree: Path) -> None:
    (tree / "images" / "red" / "3.png").write_bytes(b"none")
    figures = figures_of(tree, top=5, every=2)
    assert [one.path for one in figures.failures] == ["images/red/3.png"] and figures.pictures == 11


def test_sets_and_plans_that_cannot_be_are_refused(tree: Path) -> None:
    for group in ("green", "red"):
        for number in range(1, 6):
            (tree / "images" / group / f"{number}.png").unlink()
            (tree / "ground_truth" / group / f"{number}.png").unlink()
    with pytest.raises(DatasetError, match="not one query finds a picture of its own group"):
        figures_of(tree, every=1)
    with pytest.raises(UsageError, match="at least 1"):
        WherePlan(top=0)
    with pytest.raises(UsageError, match="at least 2 concepts"):
        WherePlan(ks=(1,))


def test_the_command_prints_a_table_or_json(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from figures import colour_network

    colour_network(tmp_path / "colours.onnx")

    def ended(*words: object) -> tuple[object, str]:
        of = ("eval", "where", tree, "--model", tmp_path / "colours.onnx", "--size", "64", "-k", "3", "--top", "4")
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, (*of, *words))])
        with pytest.raises(SystemExit) as found:
            main()
        return found.value.code, capsys.readouterr().out

    code, out = ended("--where-k", "2,3")
    assert code == 0 and "asked for by the object's box: 4 queries" in out and "DFF k=3 share" in out
    code, out = ended("--json")
    fields = json.loads(out)
    assert code == 0 and fields["kind"] == "where" and fields["tables"][0]["rows"][0]["way"] == WHOLE
    assert fields["systems"][0]["settings"]["top"] == 4 and fields["queries"][0]["ious"]


def test_three_files_are_written_and_other_settings_refused(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from figures import colour_network

    colour_network(tmp_path / "colours.onnx")
    out = tmp_path / "out"

    def ended(*words: object) -> tuple[object, str, str]:
        of = ("eval", "where", tree, "--model", tmp_path / "colours.onnx", "--size", "64", "-k", "3", "-o", out)
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, (*of, *words))])
        with pytest.raises(SystemExit) as found:
            main()
        said = capsys.readouterr()
        return found.value.code, said.out, " ".join(said.err.split())

    assert ended()[0] == 0
    written = {path.name: path.read_text() for path in out.iterdir()}
    assert sorted(written) == ["figures.json", "plot.svg", "table.md"]
    assert ended("--json") == (0, written["figures.json"], "")
    assert written == {path.name: path.read_text() for path in out.iterdir()}
    assert "| R-MAC square | 4 |" in written["table.md"] and written["plot.svg"].startswith("<svg")
    for words, told in ((("--top", "3"), "top: 10 there, 3 now"), (("--where-k", "2,3"), "concepts: ")):
        code, said, mistake = ended(*words)
        assert code == 2 and not said and "holds an evaluation of other settings" in mistake and told in mistake
    assert ended("--top", "3", "--overwrite")[0] == 0
    assert json.loads((out / "figures.json").read_text())["systems"][0]["settings"]["top"] == 3
    with pytest.raises(RefusedError, match="holds figures of 'where'"):
        read_figures(out)


def test_identity_and_page_hold_what_names_may_do(tree: Path) -> None:
    opened = open_masks(tree, None, None, (), False)
    figures = evaluate_where(opened, DESCRIBER, WherePlan(5, 4))
    fields = json.loads(where_json(figures))
    identity = json.loads(json.dumps(where_identity(opened, DESCRIBER, WherePlan(5, 4))))
    assert {key: fields[key] for key in identity} == identity and fields["schema"] == "dff-onnx/evaluation/1"
    hostile = replace(figures, dataset="a|<b>", notes=("<i>",))
    assert "<b>" not in where_markdown(hostile) and "<i>" not in where_markdown(hostile)
    assert "<b>" not in where_plot(hostile)
