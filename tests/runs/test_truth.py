"""Runs beside masks: planted ones, other ways to count, and the evaluation's figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

from dff_onnx.backbone.session import Backbone
from dff_onnx.datasets.dataset import Truth, box_around
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.evaluation import evaluate, open_masks, systems_named, tables
from dff_onnx.images import Resize
from dff_onnx.metrics import localized, mask_counts
from dff_onnx.report.figures import TruthFound
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.heats import Heats
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.truth import patterns_of, truth_of

SETTINGS = Settings(k=3, resize=Resize("square", 96))


@pytest.fixture
def found(folder: Path) -> Discovery:
    return discover(folder, Colours(), SETTINGS)


def save(on: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(on, np.uint8) * 255).save(path)


def draw(found: Discovery, masks: Path, concepts: tuple[int, ...]) -> Path:
    """Masks that are the union of these concepts."""
    for i, path in enumerate(found.paths):
        save(found.masks(i)[list(concepts)].any(axis=0), masks / path.with_suffix(".png"))
    return masks


def test_a_concept_that_was_drawn_is_found_whole(found: Discovery, tmp_path: Path) -> None:
    told = truth_of(found, draw(found, tmp_path / "masks", (1,)))
    assert told.images == 7 and told.best == (1,)
    assert told.union == told.iou[1] and told.iou[1].estimate == told.iou[1].low == 1
    assert max(told.iou[0].estimate, told.iou[2].estimate) < 0.2
    assert len(told.corloc) == 3 and told.corloc[1].estimate > 0.5


def test_a_box_is_found_where_it_is_found_in_each_picture(found: Discovery, tmp_path: Path) -> None:
    told = truth_of(found, draw(found, tmp_path / "masks", (1,)))
    for j, one in enumerate(told.corloc):
        boxes = [(image.concepts[j].box, box_around(found.masks(i)[1])) for i, image in enumerate(found.images)]
        hits = [localized(ours, [theirs]) for ours, theirs in boxes if theirs is not None]
        assert one.estimate == pytest.approx(sum(hits) / len(hits))


def test_the_best_union_is_the_one_that_was_drawn(found: Discovery, tmp_path: Path) -> None:
    told = truth_of(found, draw(found, tmp_path / "masks", (0, 2)))
    assert told.best == (0, 2) and told.union.estimate == 1


def by_hand(found: Discovery, truths: list[Truth], union: tuple[int, ...]) -> float:
    sums = [0, 0]
    for i, truth in enumerate(truths):
        counts = mask_counts(found.masks(i)[list(union)].any(axis=0), truth.on, truth.void)
        sums = [sums[0] + counts.inter, sums[1] + counts.union]
    return sums[0] / sums[1]


def test_figures_are_those_counted_by_hand_void_pixels_left_out(found: Discovery, tmp_path: Path) -> None:
    rng, truths = np.random.default_rng(0), []
    for path, image in zip(found.paths, found.images, strict=True):
        values = rng.choice([0, 3, 255], (image.size.height // 10, image.size.width // 10), p=[0.6, 0.3, 0.1])
        values = np.kron(values, np.ones((10, 10))).astype(np.uint8)
        mask = Image.fromarray(values).convert("P")
        mask.putdata(values.ravel().tolist())
        (tmp_path / "masks" / path).parent.mkdir(parents=True, exist_ok=True)
        mask.save(tmp_path / "masks" / path.with_suffix(".png"))
        truths.append(Truth(values == 3, values == 255))
    told = truth_of(found, tmp_path / "masks")
    unions = [union for size in (1, 2, 3) for union in combinations(range(3), size)]
    figures = {union: by_hand(found, truths, union) for union in unions}
    assert [one.estimate for one in told.iou] == pytest.approx([figures[j,] for j in range(3)])
    assert told.union.estimate == pytest.approx(max(figures.values())) == pytest.approx(figures[told.best])
    boxes = [[image.concepts[j].box for image in found.images] for j in range(3)]
    hits = [np.mean([localized(b, [t.box()]) for b, t in zip(one, truths, strict=True)]) for one in boxes]
    assert [one.estimate for one in told.corloc] == pytest.approx(hits)
    assert truth_of(found, tmp_path / "masks") == told


def test_pictures_without_a_mask_are_left_out_and_empty_masks_count_in_iou_alone(
    found: Discovery, tmp_path: Path
) -> None:
    masks = draw(found, tmp_path / "masks", (1,))
    (masks / found.paths[0].with_suffix(".png")).unlink()
    size = found.images[1].size
    save(np.zeros((size.height, size.width), bool), masks / found.paths[1].with_suffix(".png"))
    told = truth_of(found, masks)
    assert told.images == 6 and told.iou[1].estimate < 1
    areas = [int(found.masks(i)[1].sum()) for i in range(1, 7)]
    assert told.iou[1].estimate == pytest.approx(sum(areas[1:]) / sum(areas))
    boxes = [(found.images[i].concepts[1].box, found.masks(i)[1]) for i in range(2, 7)]
    hits = [localized(box, [Truth(on, np.zeros_like(on)).box()]) for box, on in boxes]
    assert told.corloc[1].estimate == pytest.approx(np.mean(hits))


def test_of_many_concepts_the_union_grows_by_the_best_next_one(found: Discovery, tmp_path: Path) -> None:
    # Twelve concepts: each of the three in four stripes; stripes of the second make the object.
    assert found.W is not None
    stripes = np.eye(4, dtype=np.float32)[np.arange(len(found.H)) % 4]
    H = (found.H[:, :, None] * stripes[:, None, :]).reshape(-1, 12)
    concepts = tuple(replace(found.found.concepts[j // 4], number=j) for j in range(12))
    images = tuple(replace(one, concepts=one.concepts * 4) for one in found.images)
    heats = Heats(H, [image.grid for image in images])
    many = replace(found, H=H, heats=heats, found=replace(found.found, concepts=concepts, images=images))
    told = truth_of(many, draw(many, tmp_path / "masks", (4, 5, 6, 7)))
    assert set(told.best) <= {4, 5, 6, 7} and told.best == tuple(sorted(told.best))
    assert told.union.estimate > 0.99 and max(one.estimate for one in told.iou) < 0.8


@pytest.mark.parametrize("k", [1, 3, 8, 9, 17])
def test_counts_of_patterns_give_every_union(k: int) -> None:
    rng = np.random.default_rng(k)
    masks, void = rng.random((k, 30, 20)) < 0.2, rng.random((30, 20)) < 0.1
    truth = Truth((rng.random((30, 20)) < 0.4) & ~void, void)
    patterns, counts = patterns_of(masks, truth)
    assert counts.sum() == 600 - void.sum() and len(np.unique(patterns, axis=1).T) == patterns.shape[1]
    for _ in range(10):
        union = rng.random(k) < 0.3
        covered = patterns[union].any(axis=0)
        expected = mask_counts(masks[union].any(axis=0), truth.on, truth.void)
        assert counts[0, covered].sum() == expected.inter
        assert counts[0].sum() + counts[1, covered].sum() == expected.union


def test_a_picture_that_is_all_void_has_no_patterns() -> None:
    void = np.ones((2, 2), bool)
    patterns, counts = patterns_of(np.ones((9, 2, 2), bool), Truth(~void, void))
    assert patterns.shape == (9, 0) and counts.shape == (2, 0)


def test_what_cannot_be_compared_is_refused_with_what_to_do(found: Discovery, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    with pytest.raises(DatasetError, match="no such folder"):
        truth_of(found, masks)
    save(np.ones((4, 4)), masks / "other.png")
    with pytest.raises(DatasetError, match="holds no mask for any picture"):
        truth_of(found, masks)
    draw(found, masks, ())
    with pytest.raises(DatasetError, match="every mask is empty"):
        truth_of(found, masks)
    save(np.ones((4, 4)), masks / found.paths[0].with_suffix(".png"))
    with pytest.raises(DatasetError, match="4x4"):
        truth_of(found, masks)


def test_masks_of_other_pictures_of_the_folder_are_none_of_the_runs(
    folder: Path, found: Discovery, tmp_path: Path
) -> None:
    alone = discover(folder / "3.png", Colours(), SETTINGS)
    save(np.ones((90, 120)), tmp_path / "masks" / "4.png")
    with pytest.raises(DatasetError, match="of the run"):
        truth_of(alone, tmp_path / "masks")
    assert truth_of(alone, draw(found, tmp_path / "masks", (0,))).images == 1


def test_concepts_of_one_picture_alone_are_refused(folder: Path, tmp_path: Path) -> None:
    each = discover(folder, Colours(), replace(SETTINGS, per_image=True))
    with pytest.raises(UsageError, match="--per-image"):
        truth_of(each, tmp_path)


def test_one_concept_has_the_figures_of_the_evaluation(real_data: Path) -> None:
    backbone = Backbone.open(real_data / "models" / "squeezenet1_1.onnx", device="cpu", threads=1)
    group = "036 Gymnastics-1"
    for name in ("plain", "foreground"):
        (system,) = systems_named([name], Resize("square", 224))
        settings = system.settings
        assert isinstance(settings, Settings)
        told: TruthFound = truth_of(
            discover(real_data / "icoseg" / "images" / group, backbone, settings),
            real_data / "icoseg" / "ground_truth" / group,
        )
        opened = open_masks(real_data / "icoseg", None, None, [group], False)
        iou, corloc = tables(evaluate(opened, backbone, (system,), "coseg"))
        assert told.iou[0].estimate == pytest.approx(iou.rows[0].figures[0])
        assert told.corloc[0].estimate == pytest.approx(corloc.rows[0].figures[0])
        assert told.best == (0,) and told.union == told.iou[0]
