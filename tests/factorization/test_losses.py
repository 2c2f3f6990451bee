"""What concepts leave of each picture, as it is defined, on any device."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest

from dff_onnx.factorization import losses

CELLS = [6, 1, 9]
RNG = np.random.default_rng(0)
A, H, W = (RNG.random(shape).astype(np.float32) for shape in ((16, 5), (16, 2), (2, 5)))


def by_hand() -> list[float]:
    parts = np.split(np.arange(16), np.cumsum(CELLS)[:-1])
    exact = [array.astype(np.float64) for array in (A, H, W)]
    left = exact[0] - exact[1] @ exact[2]
    return [float((left[part] ** 2).sum() / (exact[0][part] ** 2).sum()) for part in parts]


def test_each_picture_has_its_own_share_whatever_its_grid() -> None:
    assert losses(A, H, W, CELLS) == pytest.approx(by_hand(), rel=1e-5)


def test_arrays_may_lie_on_another_device() -> None:
    def away(array: Any) -> Any:
        return array_api_strict.asarray(array, device=array_api_strict.Device("device1"))

    found = losses(away(A), away(H), away(W), CELLS)
    assert isinstance(found, np.ndarray) and found == pytest.approx(by_hand(), rel=1e-5)


def test_a_picture_of_zeros_loses_nothing_whatever_is_said_of_it() -> None:
    assert losses(0 * A, 1e-9 * H, W, CELLS).tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_the_scale_does_not_matter(scale: float) -> None:
    factor = np.float32(scale)
    assert losses(factor * A, factor * H, W, CELLS) == pytest.approx(by_hand(), rel=1e-5)
