"""R-MAC: the grids of the released codes, and sums of maxima written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import Window, learn_whitening, mac, normalized, region_vectors, regions, rmac

SIDES = st.integers(1, 40)


def activations(shape: tuple[int, ...] = (3, 6, 7, 10), seed: int = 0) -> Any:
    return np.maximum(np.random.default_rng(seed).normal(0, 1, shape), 0)


def released(H: int, W: int, levels: int = 3) -> list[tuple[int, int, int, int]]:
    """The grid as Tolias' and cirtorch's codes make it, in floats."""
    w = min(W, H)
    b = (max(H, W) - w) / (np.arange(2, 8) - 1)
    more = int(np.argmin(np.abs((w**2 - w * b) / w**2 - 0.4))) + 1
    across, down = (more if H < W else 0), (more if H > W else 0)
    found = []
    for level in range(1, levels + 1):
        side = math.floor(2 * w / (level + 1))
        half = math.floor(side / 2 - 1)
        starts = []
        for length, extra in ((H, down), (W, across)):
            step = 0 if level + extra == 1 else (length - side) / (level + extra - 1)
            starts.append([math.floor(half + i * step + 1e-9) - half for i in range(level + extra)])
        found += [(y, x, side, side) for y in starts[0] for x in starts[1] if side]
    return found


def as_tuples(windows: Any) -> list[tuple[int, int, int, int]]:
    return [(w.y, w.x, w.height, w.width) for w in windows]


@pytest.mark.parametrize(
    ("size", "number"), [((14, 14), 14), ((7, 7), 14), ((24, 32), 20), ((32, 24), 20), ((20, 64), 38)]
)
def test_grids_have_as_many_squares_as_the_released_codes(size: tuple[int, int], number: int) -> None:
    assert len(regions(*size)) == number


def test_a_grid_of_24_x_32_begins_where_the_released_codes_begin() -> None:
    assert as_tuples(regions(24, 32))[:3] == [(0, 0, 24, 24), (0, 8, 24, 24), (0, 0, 16, 16)]


def test_a_square_grid_begins_with_itself() -> None:
    assert as_tuples(regions(14, 14, 2)) == [(0, 0, 14, 14), (0, 0, 9, 9), (0, 5, 9, 9), (5, 0, 9, 9), (5, 5, 9, 9)]


def test_grids_are_those_of_the_released_codes_wherever_no_two_steps_are_equally_good() -> None:
    checked = 0
    for H in range(1, 33):
        for W in range(1, 49):
            w, beyond = min(H, W), max(H, W) - min(H, W)
            away_from_40 = sorted(abs(6 * w * steps - 10 * beyond) / steps for steps in range(1, 7))
            if H == W or away_from_40[1] - away_from_40[0] > 1e-9:
                assert as_tuples(regions(H, W)) == released(H, W), (H, W)
                checked += 1
    assert checked > 1500


def test_of_two_steps_equally_good_the_smaller_counts() -> None:
    # Two squares of 5 of 9 cells overlap by 1/5, three by 3/5.
    assert len(regions(5, 9, 1)) == 2


@given(SIDES, SIDES, st.integers(1, 5))
def test_squares_lie_inside_reach_every_border_and_turn_with_the_grid(height: int, width: int, levels: int) -> None:
    found = regions(height, width, levels)
    assert min(w.y for w in found) == min(w.x for w in found) == 0
    assert max(w.y + w.height for w in found) == height and max(w.x + w.width for w in found) == width
    turned = sorted((w.x, w.y, w.width, w.height) for w in regions(width, height, levels))
    assert turned == sorted(as_tuples(found))


def test_squares_without_a_cell_are_left_out() -> None:
    assert as_tuples(regions(1, 1)) == [(0, 0, 1, 1)]
    assert {w.height for w in regions(1, 6)} == {1}


@pytest.mark.parametrize("figures", [(0, 3, 3), (3, 0, 3), (3, 3, 0)])
def test_grids_that_cannot_be_are_refused(figures: Any) -> None:
    with pytest.raises(UsageError, match="of at least 1 are needed"):
        regions(*figures)


def by_loop(X: Any, include_global: bool) -> Any:
    made = []
    for picture in X:
        windows = ([(0, 0, *picture.shape[1:])] if include_global else []) + released(*picture.shape[1:])
        total = np.zeros(len(picture))
        for y, x, height, width in windows:
            largest = np.array([channel[y : y + height, x : x + width].max() for channel in picture])
            total += largest / np.linalg.norm(largest)
        made.append(total / np.linalg.norm(total))
    return np.array(made)


@pytest.mark.parametrize("include_global", [False, True])
@pytest.mark.parametrize("shape", [(2, 6, 7, 10), (2, 6, 10, 7), (1, 3, 5, 5)])
def test_vectors_are_sums_of_the_maxima_of_squares(shape: Any, include_global: bool) -> None:
    X = activations(shape)
    np.testing.assert_allclose(rmac(X, include_global=include_global), by_loop(X, include_global), rtol=1e-9)


def test_one_level_of_a_square_grid_is_mac() -> None:
    X = activations((2, 5, 6, 6))
    np.testing.assert_allclose(rmac(X, levels=1), normalized(mac(X)), rtol=1e-12)


def test_region_vectors_are_whitened_before_they_are_added() -> None:
    X = activations((8, 6, 7, 10))
    windows = regions(7, 10)
    plain = region_vectors(X, windows)
    whitening = learn_whitening(plain.reshape(-1, 6), 4)
    whitened = region_vectors(X, windows, whitening)
    assert (plain.shape, whitened.shape) == ((8, 20, 6), (8, 20, 4))
    np.testing.assert_allclose(whitened[3], whitening(plain[3]))
    np.testing.assert_allclose(rmac(X, whitening=whitening), normalized(whitened.sum(axis=1)))
    everywhere = whitening(normalized(mac(X)))
    expected = normalized(whitened.sum(axis=1) + everywhere)
    np.testing.assert_allclose(rmac(X, whitening=whitening, include_global=True), expected)


def test_a_picture_of_zeros_has_a_vector_of_zeros_whitened_or_not() -> None:
    X = activations((8, 6, 7, 10))
    whitening = learn_whitening(region_vectors(X, regions(7, 10)).reshape(-1, 6))
    X[2] = 0
    assert not rmac(X)[2].any()
    assert not rmac(X, whitening=whitening)[2].any() and rmac(X, whitening=whitening)[3].any()


@settings(max_examples=25, deadline=None)
@given(SIDES, SIDES, st.integers(0, 99))
def test_vectors_have_unit_length_whatever_the_grid(height: int, width: int, seed: int) -> None:
    X = activations((1, 4, height, width), seed) + 0.1
    np.testing.assert_allclose(np.linalg.norm(rmac(X), axis=1), 1)


def test_it_runs_on_a_foreign_device() -> None:
    X = activations()
    whitening = learn_whitening(region_vectors(X, regions(7, 10)).reshape(-1, 6), 4)
    np.testing.assert_allclose(home(rmac(away(X), whitening=whitening)), rmac(X, whitening=whitening), rtol=1e-9)
    np.testing.assert_allclose(home(rmac(away(X), include_global=True)), rmac(X, include_global=True), rtol=1e-9)


def test_activations_of_another_shape_are_refused() -> None:
    with pytest.raises(ArrayError, match="are needed"):
        region_vectors(np.zeros((3, 4, 4)), [Window(0, 0, 1, 1)])


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
@pytest.mark.parametrize("shape", [(2, 16, 14, 14), (2, 16, 24, 32), (2, 16, 20, 64)])
def test_it_is_max_pooling_of_pytorch_with_the_whole_map_as_in_cirtorch(shape: Any) -> None:
    import torch
    import torch.nn.functional as F  # noqa: N812

    X = activations(shape).astype(np.float32)
    x = torch.from_numpy(X)

    def unit(v: Any) -> Any:
        return v / (torch.linalg.vector_norm(v, dim=1, keepdim=True) + 1e-6)

    total = unit(F.max_pool2d(x, x.shape[-2:]))
    for y, left, height, width in released(*shape[-2:]):
        total = total + unit(F.max_pool2d(x[:, :, y : y + height, left : left + width], (height, width)))
    np.testing.assert_allclose(rmac(X, include_global=True), unit(total)[..., 0, 0].numpy(), atol=1e-5)
