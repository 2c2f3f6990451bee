from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_guided import away, home, scene

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, evidence, sharpen
from dff_onnx.runs.discover import discover
from dff_onnx.runs.settings import Settings


def by_opencv(strength: NDArray[np.float32], picture: NDArray[np.float32], crf: Crf) -> NDArray[np.float32]:
    """Binary mean field written out, with OpenCV's filter, for one concept at the picture's size."""
    guide = np.ascontiguousarray(picture.transpose(1, 2, 0)) * 255
    radius = max(1, round(crf.radius * max(strength.shape)))
    unary = np.log(
        np.clip(strength / (1 + strength), 0.02, 0.98) / (1 - np.clip(strength / (1 + strength), 0.02, 0.98))
    )
    field = 1 / (1 + np.exp(-unary))
    for _ in range(crf.steps):
        seen = cv2.ximgproc.guidedFilter(guide, field.astype(np.float32), radius, crf.eps * 255**2)
        field = 1 / (1 + np.exp(-(unary + crf.weight * (2 * np.clip(seen, 0, 1) - 1))))
    return field


def joint_by_hand(strength: NDArray[np.float32], picture: NDArray[np.float32], crf: Crf) -> NDArray[np.float64]:
    """Joint mean field with every label filtered, the background too; the likeliest label of each pixel."""
    guide = np.ascontiguousarray(picture.transpose(1, 2, 0)) * 255
    radius = max(1, round(crf.radius * max(picture.shape[1:])))
    scores = np.concatenate([np.ones_like(strength[:1]), strength]).astype(np.float64)
    unary = np.log(np.clip(scores / scores.sum(axis=0), 0.02, 0.98))
    field = np.exp(unary) / np.exp(unary).sum(axis=0)
    for _ in range(crf.steps):
        seen = [cv2.ximgproc.guidedFilter(guide, q.astype(np.float32), radius, crf.eps * 255**2) for q in field]
        odds = unary + crf.weight * np.clip(np.stack(seen), 0, 1)
        field = np.exp(odds - odds.max(axis=0))
        field /= field.sum(axis=0)
    return field


def strengths(k: int = 3, height: int = 90, width: int = 120) -> NDArray[np.float32]:
    """Smooth evidence from 0 to 3."""
    rng = np.random.default_rng(0)
    smooth = np.stack([cv2.GaussianBlur(rng.random((height, width), np.float32), (0, 0), 9) for _ in range(k)])
    low, high = smooth.min(axis=(1, 2), keepdims=True), smooth.max(axis=(1, 2), keepdims=True)
    return 3 * (smooth - low) / (high - low)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_binary_mean_field_is_that_written_out_with_opencv() -> None:
    picture, rough = scene()
    crf = Crf(subsample=1)
    ours = sharpen(2 * rough[None], picture, crf)[0]
    np.testing.assert_allclose(ours, by_opencv(2 * rough, picture, crf), atol=2e-3)


def test_joint_mean_field_chooses_the_labels_of_the_one_written_out() -> None:
    picture, _ = scene()
    crf, strength = Crf("joint", subsample=1), 0.5 * strengths()
    likeliest = joint_by_hand(strength, picture, crf).argmax(axis=0)
    on = sharpen(strength, picture, crf) >= 0.5
    assert np.mean([on[j] == (likeliest == j + 1) for j in range(3)]) > 0.998
    assert 0.1 < np.mean(likeliest == 0) < 0.9  # the background has a say


def test_with_joint_no_pixel_has_two_concepts() -> None:
    picture, _ = scene()
    on = sharpen(strengths(), picture, Crf("joint")) >= 0.5
    assert on.sum(axis=0).max() == 1 and on.any(axis=(1, 2)).all()


def test_of_two_equal_concepts_the_first_has_the_pixels() -> None:
    picture, _ = scene()
    on = sharpen(np.repeat(strengths(1), 2, axis=0), picture, Crf("joint")) >= 0.5
    assert on[0].any() and not on[1].any()


@pytest.mark.parametrize("mode", ["binary", "joint"])
def test_heat_that_is_its_threshold_everywhere_is_on(mode: Any) -> None:
    plain = np.full((3, 20, 30), 0.5, np.float32)
    assert (sharpen(np.ones((1, 4, 6), np.float32), plain, Crf(mode)) >= 0.5).all()


def test_edges_come_from_the_picture_at_its_full_size() -> None:
    """A stripe of one pixel, which no smaller picture shows."""
    picture = np.full((3, 120, 160), 0.2, np.float32)
    picture[:, :, 80] = 0.9
    strength = np.where(np.arange(160) == 80, 2.0, 0.5).astype(np.float32)[None, None].repeat(120, axis=1)
    made = sharpen(strength, picture, Crf(subsample=4, weight=2.0, steps=2))[0, 60]
    assert made[80] > 1.3 * max(made[76], made[84])


def test_binary_concepts_do_not_know_of_each_other() -> None:
    picture, _ = scene()
    strength = strengths()
    together = sharpen(strength, picture)
    alone = np.concatenate([sharpen(one[None], picture) for one in strength])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("mode", ["binary", "joint"])
def test_the_crf_needs_no_numpy(mode: Any) -> None:
    picture, _ = scene()
    ours = sharpen(strengths(), picture, Crf(mode))
    np.testing.assert_allclose(home(sharpen(away(strengths()), away(picture), Crf(mode))), ours, atol=1e-3)


def test_a_blurred_map_gets_the_edges_of_the_disc() -> None:
    picture, rough = scene(180, 240)
    y, x = np.mgrid[:180, :240]
    disc = (y - 90) ** 2 + (x - 120) ** 2 < 45**2
    small = cv2.resize(rough, (14, 14), interpolation=cv2.INTER_AREA)
    before = cv2.resize(small, (240, 180)) >= 0.4
    after = sharpen(small[None] / 0.4, picture)[0] >= 0.5
    assert iou(after, disc) > 0.97 > 0.92 > iou(before, disc)


def test_evidence_is_one_on_the_border_and_bounded_where_a_threshold_is_zero() -> None:
    heat = np.array([[[0.0, 1.0, 4.0]], [[0.0, 0.0, 10.0]], [[0.0, 0.0, 0.0]]], np.float32)
    found = evidence(heat, np.array([2.0, 0, 0], np.float32), np.array([4.0, 10.0, 0], np.float32))
    np.testing.assert_allclose(found[:, 0], [[0, 0.5, 2], [0, 0, 20], [0, 0, 0]])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3)])
@pytest.mark.parametrize("mode", ["binary", "joint"])
def test_tiny_pictures_are_no_trouble(size: tuple[int, int], mode: Any) -> None:
    sharp = sharpen(np.ones((2, 3, 3), np.float32), np.zeros((3, *size), np.float32), Crf(mode))
    assert sharp.shape == (2, *size) and np.isfinite(sharp).all()


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "both"},
        {"steps": 0},
        {"subsample": 0},
        {"radius": 0},
        {"eps": 0},
        {"weight": -1},
        {"radius": np.inf},
        {"weight": np.inf},
        {"eps": np.nan},
        {"steps": 2.5},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="crf"):
        Crf(**options)


def test_masks_of_the_subsampled_filter_are_as_good_as_those_of_the_full_one(real_data: Path) -> None:
    group = next((real_data / "icoseg" / "images").glob("021*"))
    truths = [
        real_data / "icoseg" / "ground_truth" / group.name / f"{path.stem}.png" for path in sorted(group.iterdir())
    ]
    settings = Settings(k=1, resize=Resize("square", 224), crf=Crf())
    found, masks = [], []
    for one in (settings, replace(settings, crf=Crf(subsample=1))):
        made = discover(group, Backbone.open(), one)
        masks.append([made.masks(i)[0] for i in range(len(made.images))])
        sums = np.zeros(2, int)
        for ours, path in zip(masks[-1], truths, strict=True):
            with Image.open(path) as image:
                truth = np.asarray(image.convert("L")) > 0
            sums += (ours & truth).sum(), (ours | truth).sum()
        found.append(sums[0] / sums[1])
    assert abs(found[0] - found[1]) < 0.01
    assert np.mean([iou(a, b) for a, b in zip(*masks, strict=True)]) > 0.95
