from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dff_onnx.maps.colour_field import BINS, colour_bins, colour_overlap, colour_shares, lab, prepare, settle


def disc(height: int = 96, width: int = 128) -> NDArray[np.bool_]:
    y, x = np.mgrid[:height, :width]
    return (y - 40) ** 2 + (x - 70) ** 2 < 25**2


def painted(inside: tuple[int, int, int], outside: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 12, (96, 128, 3))
    colours = np.where(disc()[:, :, None], inside, outside)
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def test_lab_is_opencvs_but_for_its_rounding() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    difference = np.abs(lab(levels).astype(int) - cv2.cvtColor(levels, cv2.COLOR_RGB2LAB))
    assert difference.max() <= 2 and difference.mean() < 0.15


def test_bins_part_every_axis_of_lab() -> None:
    picture = painted((200, 40, 40), (60, 120, 60))
    part = lab(picture).astype(int) * BINS // 256
    assert (colour_bins(picture) == (part[..., 0] * BINS + part[..., 1]) * BINS + part[..., 2]).all()


def test_shares_sum_to_one_and_are_nothing_without_weight() -> None:
    numbers = colour_bins(painted((200, 40, 40), (60, 120, 60)))
    weights = np.random.default_rng(0).random(numbers.shape).astype(np.float32)
    assert abs(colour_shares(numbers, weights).sum() - 1) < 1e-9
    assert colour_shares(numbers, 0 * weights).sum() == 0


def test_overlap_is_small_for_other_colours_and_large_for_the_same() -> None:
    on = disc().astype(np.float32)
    assert colour_overlap(colour_bins(painted((200, 40, 40), (60, 120, 60))), on) < 0.1
    assert colour_overlap(colour_bins(painted((90, 90, 90), (90, 90, 90))), on) > 0.9


def test_overlap_is_bhattacharyyas_over_sixteen_bins_an_axis() -> None:
    picture, field = painted((150, 100, 90), (110, 110, 80)), np.random.default_rng(0).random((96, 128), np.float32)
    part = lab(picture) // 16
    numbers = (part[..., 0].astype(int) * 16 + part[..., 1]) * 16 + part[..., 2]
    shares = [np.bincount(numbers.ravel(), weights.ravel(), 4096) / weights.sum() for weights in (field, 1 - field)]
    assert abs(colour_overlap(colour_bins(picture), field) - np.sqrt(shares[0] * shares[1]).sum()) < 1e-5


def test_colours_turn_a_rough_map_into_the_disc() -> None:
    rough = np.zeros((96, 128), np.float32)
    rough[25:65, 50:100] = 1
    soft = np.clip(cv2.GaussianBlur(rough, (0, 0), 10), 0.02, 0.98)
    unary = np.log(soft / (1 - soft))
    field = soft
    for _ in range(4):
        field = settle(unary, field, prepare(painted((200, 60, 60), (70, 120, 70))))
    union = (field >= 0.5) | disc()
    assert ((field >= 0.5) & disc()).sum() / union.sum() > 0.97
    assert field.dtype == np.float32


def test_the_sets_colours_count_beside_the_pictures_own() -> None:
    picture = prepare(painted((200, 60, 60), (70, 120, 70)))
    on = disc().astype(np.float32)
    surroundings = colour_shares(colour_bins(painted((70, 120, 70), (70, 120, 70))), np.ones_like(on))
    unary = np.zeros_like(on)
    own, mixed = settle(unary, on, picture), settle(unary, on, picture, surroundings)
    assert own[~disc()].mean() < 0.8 * mixed[~disc()].mean()
