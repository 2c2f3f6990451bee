"""Evaluations that were ended go on where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from counting_backbone import Counting
from fake_backbone import Colours
from square_trees import SIDE, square, write_group

from dff_onnx.errors import DatasetError, OutputError, UsageError
from dff_onnx.evaluation import (
    PartPlan,
    claimed,
    evaluate,
    evaluate_parts,
    figures_json,
    open_masks,
    open_parts,
    parts_json,
    systems_named,
    tables,
)
from dff_onnx.evaluation.opening import VocChoice
from dff_onnx.images import Resize
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.workplace import RESUME

RESIZE = Resize("square", SIDE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two groups of six pictures, one picture damaged."""
    write_group(tmp_path / "set", "cats", [square()] * 6)
    write_group(tmp_path / "set", "dogs", [square(0)] * 6, corner=0)[2].write_bytes(b"nothing")
    return tmp_path / "set"


def coseg(tree: Path, out: Path, backbone: Colours) -> str:
    opened = open_masks(tree, None, None, (), False)
    with claimed(out, {}, False) as resume:
        figures = evaluate(opened, backbone, systems_named(["plain", "otsu"], RESIZE), "coseg", None, resume)
    return figures_json(figures, tables(figures))


def parts(tree: Path, out: Path, backbone: Colours) -> str:
    opened = open_parts(tree, None, None, None, None, (), False, VocChoice())
    with claimed(out, {}, False) as resume:
        plan = PartPlan((1, 2), settings=Settings(resize=RESIZE))
        return parts_json(evaluate_parts(opened, lambda _: backbone, plan, None, resume))


@pytest.mark.parametrize("evaluated", [coseg, parts])
def test_pictures_that_went_through_the_network_do_not_go_again(evaluated: Any, tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError):
        evaluated(tree, out, Counting(9))  # the first group, and one part of the second
    assert list((out / RESUME).glob("*.rows"))
    rest = Counting()
    assert evaluated(tree, out, rest) == evaluated(tree, tmp_path / "other", Counting())
    assert rest.seen == 11 - 9
    assert not (out / RESUME).exists() and not (tmp_path / "other").exists()  # the caller writes, and here did not


def test_what_would_fail_again_keeps_nothing_and_others_at_work_are_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        coseg(tree, tmp_path / "out", Counting(9, DatasetError))
    assert not (tmp_path / "out" / RESUME).exists()
    with (
        claimed(tmp_path / "out", {}, False),
        pytest.raises(UsageError, match=r"process \d+ is at work there"),
        claimed(tmp_path / "out", {}, False),
    ):
        pass
