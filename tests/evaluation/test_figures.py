"""Concepts of a set whose parts are known are these parts: the whole way, from pixels to IoU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figures import CHANNELS, COLOURS, PARTS, answers, colour_network, make_figures, read_parts
from numpy.typing import NDArray

from dff_onnx.backbone.session import Backbone
from dff_onnx.maps import mask, upsample
from dff_onnx.metrics import (
    Counts,
    PartCounts,
    agreement,
    assigned,
    best_part_iou,
    mask_counts,
    part_counts,
    single_part_iou,
    union_counts,
)
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.settings import Settings


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    make_figures(folder, 12, seed=0)
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone.open(colour_network(tmp_path_factory.mktemp("network") / "colours.onnx"), threads=1)


def masks_of(found: Discovery, index: int, share: float = 0.5) -> NDArray[np.bool_]:
    """Above a share of each concept's peak, in the size of the picture."""
    thresholds = np.array([concept.peak * share for concept in found.found.concepts], np.float32)
    size = found.images[index].size
    return mask(upsample(found.heat_map(index), size.height, size.width), thresholds)


def counts_of(found: Discovery, folder: Path) -> PartCounts:
    each = [part_counts(masks_of(found, i), read_parts(folder, path.stem)) for i, path in enumerate(found.paths)]
    total = each[0]
    for counts in each[1:]:
        total = total + counts
    return total


def test_the_set_is_the_same_for_the_same_seed(figures: Path, tmp_path: Path) -> None:
    make_figures(tmp_path, 3, seed=0)
    for made in sorted(tmp_path.rglob("*.png")):
        assert made.read_bytes() == (figures / made.relative_to(tmp_path)).read_bytes()
    make_figures(tmp_path / "other", 1, seed=1)
    assert (tmp_path / "other" / "pictures" / "000.png").read_bytes() != (
        tmp_path / "pictures" / "000.png"
    ).read_bytes()


def test_parts_do_not_overlap_and_each_is_in_each_picture(figures: Path) -> None:
    for home in sorted((figures / "parts").iterdir()):
        parts = read_parts(figures, home.name)
        assert parts.sum(axis=0).max() == 1 and parts.any(axis=(1, 2)).all()


def test_no_channel_is_one_part() -> None:
    heard = answers(np.array([COLOURS[name] for name in PARTS], float)) > 0.05
    assert (heard.sum(axis=1) >= 4).all()  # every part wakes several channels
    assert (heard.sum(axis=0) >= 2).sum() >= CHANNELS / 2  # and most channels answer to several parts


def test_four_concepts_are_the_four_parts(figures: Path, backbone: Backbone) -> None:
    found = discover(figures / "pictures", backbone, Settings(k=4))
    counts = counts_of(found, figures)
    iou = single_part_iou(counts)
    assert sorted(iou.argmax(axis=1).tolist()) == [0, 1, 2, 3]
    assert iou.max(axis=1).min() > 0.8 and best_part_iou(counts) > 0.85
    parts = assigned(counts)
    assert sorted(parts) == [(0,), (1,), (2,), (3,)]
    wide = agreement(
        [union_counts(masks_of(found, i), read_parts(figures, p.stem), parts) for i, p in enumerate(found.paths)]
    )
    assert wide.mean == pytest.approx(best_part_iou(counts)) and wide.unassigned == 0


def test_with_fewer_concepts_a_part_is_missed_and_with_more_one_is_split(figures: Path, backbone: Backbone) -> None:
    few, right, many = (
        single_part_iou(counts_of(discover(figures / "pictures", backbone, Settings(k=k)), figures)) for k in (3, 4, 7)
    )
    assert few.max(axis=0).min() < 0.1 < 0.8 < right.max(axis=0).min()
    assert many.max(axis=1).min() < 0.6


def test_one_concept_is_the_whole_figure(figures: Path, backbone: Backbone) -> None:
    found = discover(figures / "pictures", backbone, Settings(k=1))
    whole = [
        mask_counts(masks_of(found, i, 0.25)[0], read_parts(figures, path.stem).any(axis=0))
        for i, path in enumerate(found.paths)
    ]
    assert sum(whole, Counts(0, 0)).iou > 0.85
