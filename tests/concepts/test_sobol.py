"""Total Sobol indices of functions whose indices are known, and Jansen's formula written out."""

from __future__ import annotations

import numpy as np
import pytest

from dff_onnx.concepts.sobol import design_points, total_indices

Floats = np.ndarray


def points(k: int, designs: int, seed: int = 0) -> Floats:
    return design_points(k, designs, np.random.default_rng(seed))


def ishigami(x: Floats, a: float = 7.0, b: float = 0.1) -> Floats:
    """Ishigami & Homma 1990, on [0, 1]^3."""
    x = np.pi * (2 * x - 1)
    return np.asarray(np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0]))


def test_of_factors_that_add_up_each_has_its_share_of_the_variance() -> None:
    weights = np.array([4.0, 2.0, 1.0, 0.0])
    found = total_indices(points(4, 2048) @ weights + 3, 4)
    assert found == pytest.approx(weights**2 / (weights**2).sum(), abs=0.01)


def test_the_indices_of_ishigamis_function_are_the_published_ones() -> None:
    # Saltelli et al. 2010: S_T = 0.558, 0.442, 0.244.
    assert total_indices(ishigami(points(3, 4096)), 3) == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.01)


def test_factors_that_act_together_count_twice() -> None:
    # f = (x - 1/2) (y - 1/2): nothing is left of it without either.
    centred = points(2, 4096) - 0.5
    assert total_indices(centred[:, 0] * centred[:, 1], 2) == pytest.approx([1, 1], abs=0.05)


def test_it_is_jansens_formula_written_out() -> None:
    k, designs = 3, 16
    given = points(k, designs)
    A, B = given[:designs], given[designs : 2 * designs]
    f_A, f_B = ishigami(A), ishigami(B)
    for j, index in enumerate(total_indices(ishigami(given), k)):
        total = 0.0
        for i in range(designs):
            moved = A[i].copy()
            moved[j] = B[i, j]
            total += (f_A[i] - ishigami(moved[None])[0]) ** 2
        both = [*f_A, *f_B]
        mean = sum(both) / len(both)
        variance = sum((one - mean) ** 2 for one in both) / len(both)
        assert index == pytest.approx(total / (2 * designs) / variance)


def test_a_constant_has_no_indices_whatever_rounding_does() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-7, 4 * 32)
    assert total_indices(1 + noise, 2).tolist() == [0, 0]
    assert total_indices(np.zeros(4 * 32), 2).tolist() == [0, 0]
    assert total_indices(1e-9 * points(2, 32).sum(axis=1), 2).min() > 0.3  # small is not constant


def test_the_scale_of_the_function_does_not_matter() -> None:
    values = ishigami(points(3, 32))
    assert total_indices(-1e6 * values, 3) == pytest.approx(total_indices(values, 3))


def test_many_factors_are_spread_over_their_whole_range_by_few_designs() -> None:
    A = points(40, 32)[:32]
    assert A.min(axis=0).max() < 0.15 and A.max(axis=0).min() > 0.85
    assert np.abs(A.mean(axis=0) - 0.5).max() < 0.1


def test_equal_seeds_draw_equal_points_and_others_others() -> None:
    assert np.array_equal(points(3, 8), points(3, 8)) and not np.array_equal(points(3, 8), points(3, 8, 1))
