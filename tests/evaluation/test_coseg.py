"""Co-segmentation: figures of sets whose answers are known, and of real photographs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from layouts import write_mask
from PIL import Image
from square_trees import EMPTY, SIDE, square, write_group

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import DatasetError, NoImagesError, UsageError
from dff_onnx.evaluation import (
    Figures,
    Table,
    bars,
    evaluate,
    figures_json,
    markdown,
    open_masks,
    systems_named,
    tables,
    terminal,
)
from dff_onnx.evaluation.scores import ImageScore, SystemUsed
from dff_onnx.images import Resize
from dff_onnx.metrics import mean_of_ratios
from dff_onnx.runs.discover import discover
from dff_onnx.runs.settings import Settings


class Counting(Colours):
    """Counts the pictures that it sees."""

    workers = 1
    seen = 0

    def __call__(self, pixels: Any) -> Any:
        self.seen += len(pixels)
        return super().__call__(pixels)


def measured(root: Path, names: str = "plain", backbone: Colours | None = None, **options: Any) -> Figures:
    opened = open_masks(root, options.get("masks"), None, options.get("groups", ()), options.get("skip", False))
    return evaluate(opened, backbone or Colours(), systems_named(names.split(","), Resize("square", SIDE)), "coseg")


def test_what_is_there_is_found_and_what_is_elsewhere_is_not(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "there", [square()] * 3)
    write_group(tmp_path / "set", "elsewhere", [square(0)] * 2, corner=32)
    figures = measured(tmp_path / "set")
    iou, corloc = tables(figures)
    assert figures.groups == ("elsewhere", "there")
    assert iou.rows[0].figures[0] == 0 and (iou.rows[0].figures[1] or 0) > 0.85
    assert corloc.rows[0].figures == (0.0, 1.0) and corloc.rows[0].mean == 0.5
    assert iou.images == corloc.images == (2, 3)


def test_counts_are_those_of_the_masks_summed_and_divided_once(tmp_path: Path) -> None:
    truths = [square(8), square(20), square(16)]
    write_group(tmp_path / "set", "cats", truths)
    figures = measured(tmp_path / "set")
    found = discover(tmp_path / "set" / "images" / "cats", Colours(), Settings(k=1, resize=Resize("square", SIDE)))
    ours = np.stack([found.masks(index)[0] for index in range(3)])
    inter, union = (ours & truths).sum(axis=(1, 2)), (ours | truths).sum(axis=(1, 2))
    assert [(one.inter, one.union) for one in figures.scores] == list(zip(inter, union, strict=True))
    assert tables(figures)[0].rows[0].figures[0] == pytest.approx(inter.sum() / union.sum())


def test_the_network_runs_once_whatever_the_number_of_systems(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square()] * 5)
    backbone = Counting()
    figures = measured(tmp_path / "set", "plain,crf,otsu", backbone)
    assert backbone.seen == 5 and len(figures.scores) == 15
    iou = tables(figures)[0]
    assert [row.name for row in iou.rows] == ["plain", "crf", "otsu"]
    assert [row.p is None for row in iou.rows] == [True, False, False]
    assert all(row.source == "measured" and row.interval is not None for row in iou.rows)


def test_an_empty_mask_counts_in_iou_and_not_in_corloc(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square(), EMPTY])
    figures = measured(tmp_path / "set")
    iou, corloc = tables(figures)
    assert iou.images == (2,) and corloc.images == (1,) and corloc.rows[0].mean == 1
    assert (iou.rows[0].mean) < 0.6  # what is on in the second picture is wrong
    assert figures.notes == ("1 picture with an empty mask: counted in IoU, not in CorLoc",)


def test_void_is_in_no_count(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square()])
    values = np.where(square(), 1, 255).astype(np.uint8)
    write_mask(tmp_path / "set" / "ground_truth" / "cats" / "0.png", values, "P")
    (score,) = measured(tmp_path / "set").scores
    assert score.union == score.truth == 32 * 32 and (score.inter or 0) > 0.9 * 32 * 32


def test_what_cannot_be_read_is_listed_and_left_out(tmp_path: Path) -> None:
    damaged = write_group(tmp_path / "set", "cats", [square()] * 3)[1]
    damaged.write_bytes(b"nothing")
    for picture in write_group(tmp_path / "set", "dogs", [square()] * 2):
        picture.write_bytes(b"nothing")
    figures = measured(tmp_path / "set", "plain,otsu")
    assert figures.groups == ("cats",) and tables(figures)[0].images == (2,)
    assert [failure.path for failure in figures.failures] == [
        "images/cats/1.png",
        "images/dogs/0.png",
        "images/dogs/1.png",
    ]
    assert all(failure.reason for failure in figures.failures)


def test_not_one_picture_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    for picture in write_group(tmp_path / "set", "cats", [square()] * 2):
        picture.write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match=r"not one of 2 pictures.*images/cats/0\.png"):
        measured(tmp_path / "set")


def test_a_mask_of_another_size_names_its_file(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square()])
    Image.new("L", (5, 7)).save(tmp_path / "set" / "ground_truth" / "cats" / "0.png")
    with pytest.raises(DatasetError, match=r"cats/0\.png: the mask has 5x7 pixels, and its picture has 64x64"):
        measured(tmp_path / "set")


def test_groups_are_chosen_by_words_and_masks_by_a_folder(tmp_path: Path) -> None:
    for name in ("black cats", "dogs", "white cats"):
        write_group(tmp_path / "set", name, [square()])
    images, masks = tmp_path / "set" / "images", tmp_path / "set" / "ground_truth"
    assert measured(tmp_path / "set", groups=["CATS"]).groups == ("black cats", "white cats")
    assert measured(images, masks=masks, groups=["dogs", "White"]).groups == ("dogs", "white cats")
    for root, chosen in ((tmp_path / "set", None), (images, masks)):
        with pytest.raises(UsageError, match="no group holds the word 'mice'; there are "):
            measured(root, masks=chosen, groups=["mice"])
    with pytest.raises(DatasetError, match="say where the masks are with --masks"):
        measured(images)


def test_unknown_systems_are_refused() -> None:
    for names in (["plane"], [], ["crf", "crf"]):
        with pytest.raises(UsageError, match="--systems"):
            systems_named(names, Resize())


def made(groups: list[str], ious: list[tuple[int, int]], names: tuple[str, ...] = ("plain",)) -> Figures:
    """Figures from counts, a picture a group."""
    scores = tuple(
        ImageScore(name, group, f"{group}.jpg", 1, inter, union, inter * 2 > union)
        for name in names
        for group, (inter, union) in zip(groups, ious, strict=True)
    )
    fingerprint = {"model_sha256": "0" * 64, "layer": "x"}
    systems = tuple(SystemUsed(name, name, {}) for name in names)
    return Figures("coseg", "set", tuple(groups), systems, fingerprint, "cpu", scores, (), ())


def test_halves_are_every_other_group_of_the_sorted_list() -> None:
    figures = made(["d", "a", "c", "b"], [(4, 10), (1, 10), (3, 10), (2, 10)])
    assert tables(figures)[0].rows[0].halves == pytest.approx((0.2, 0.3))  # a, c and b, d
    assert "tuning half 0.200, check half 0.300" in terminal(figures, tables(figures), halves=True)
    assert "half" not in terminal(figures, tables(figures), halves=False)


@pytest.mark.parametrize("count", [1, 5, 6])
def test_a_table_fits_80_columns_and_obeys_no_name(count: int) -> None:
    from rich.cells import cell_len

    names = tuple(f"foreground+crf{index}" for index in range(count))
    groups = ["g" * 200, "\x1b[2J|<b>", "漢" * 60]
    figures = made(groups, [(1, 2)] * 3, names)
    shown = terminal(figures, tables(figures), halves=True)
    assert max(map(cell_len, shown.splitlines())) <= 80
    page = markdown(figures, tables(figures))
    assert "\\|&lt;b&gt;" in page and "<b>" not in page
    assert bars(figures, tables(figures)[0]).startswith("<svg")


def test_each_figure_can_be_taken_again_from_the_file(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square(8), square(12), EMPTY])
    write_group(tmp_path / "set", "dogs", [square()] * 2)
    figures = measured(tmp_path / "set", "plain,otsu")
    made_tables: tuple[Table, ...] = tables(figures)
    fields = json.loads(figures_json(figures, made_tables))
    assert fields["schema"] == "dff-onnx/evaluation/1" and fields["fingerprint"]["layer"] == "colours"
    assert fields["systems"][1]["settings"]["threshold"] == "otsu" and "numpy" in fields["versions"]
    for number, system in enumerate(("plain", "otsu")):
        mine = [one for one in fields["images"] if one["system"] == system]
        iou = mean_of_ratios([o["inter"] for o in mine], [o["union"] for o in mine], [o["group"] for o in mine])
        hits = [one for one in mine if one["hit"] is not None]
        corloc = mean_of_ratios([o["hit"] for o in hits], [1] * len(hits), [o["group"] for o in hits])
        for table, mean in zip(fields["tables"], (iou, corloc), strict=True):
            row = table["rows"][number]
            assert row["source"] == "measured" and math.isclose(row["mean"], mean)
    again = measured(tmp_path / "set", "plain,otsu")
    assert figures_json(again, tables(again)) == figures_json(figures, made_tables)


def test_real_photographs_agree_with_an_independent_implementation(real_data: Path) -> None:
    expected = json.loads((real_data / "expected" / "icoseg-k1.json").read_text())["squeezenet1_1@224"]
    backbone = Backbone.open(real_data / "models" / "squeezenet1_1.onnx", "/fires.7/Concat_output_0", threads=1)
    opened = open_masks(real_data / "icoseg", None, None, ["Gymnastics-1", "brown_bear", "Agra Taj Mahal-Taj"], False)
    figures = evaluate(opened, backbone, systems_named(["plain"], Resize("square", 224)), "coseg")
    iou, corloc = tables(figures)
    assert len(figures.groups) == 3
    for index, group in enumerate(figures.groups):
        other, images = expected[group], iou.images[index]
        assert images == other["images"]
        assert iou.rows[0].figures[index] == pytest.approx(other["iou"], abs=0.01)
        assert (corloc.rows[0].figures[index] or 0) * images == pytest.approx(other["corloc"] * images, abs=1.01)
