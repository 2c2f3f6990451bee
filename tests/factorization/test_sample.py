"""The coreset: drawn by squared norm, without bias, whatever the parts it is drawn from."""

from __future__ import annotations

import numpy as np
from matrices import activations
from numpy.typing import NDArray

from dff_onnx.factorization.rows import rows_of
from dff_onnx.factorization.sample import Reservoir, priorities, sample_size
from dff_onnx.factorization.survey import Tally, facts_of


def drawn(norms: NDArray[np.float64], size: int, seed: int, block: int = 100) -> tuple[list[int], NDArray[np.float64]]:
    reservoir = Reservoir(size)
    for number, start in enumerate(range(0, len(norms), block)):
        part = norms[start : start + block]
        reservoir.offer(priorities(part, seed, number), part, np.arange(start, start + len(part)))
    index, factors = reservoir.drawn()
    return index.tolist(), factors


def test_weights_estimate_every_sum_without_bias() -> None:
    rng = np.random.default_rng(0)
    norms, values = rng.gamma(0.3, 1, 1000), rng.random(1000)
    estimates = []
    for seed in range(400):
        index, factors = drawn(norms, 60, seed)
        assert len(index) == 60
        estimates.append(np.sum(factors**2 * norms[index] * values[index]))
    error = np.std(estimates) / 20
    assert abs(np.mean(estimates) - np.sum(norms * values)) < 4 * error
    # Uniform draws of as many rows are twice as uncertain.
    uniform = [1000 / 60 * np.sum((norms * values)[rng.choice(1000, 60, replace=False)]) for _ in range(400)]
    assert np.std(uniform) > 1.8 * np.std(estimates)


def test_heavy_rows_are_certain_and_keep_their_weight() -> None:
    norms = np.ones(500)
    norms[[7, 300]] = 1e6
    index, factors = drawn(norms, 20, 3)
    assert {7, 300} <= set(index)
    assert factors[index.index(7)] == factors[index.index(300)] == 1


def test_a_set_no_larger_than_the_sample_stays_as_it_is() -> None:
    norms = np.array([0.0, 2.0, 0.0, 1.0])
    assert drawn(norms, 4, 0, block=2)[0] == [0, 1, 2, 3]
    assert drawn(norms, 9, 0, block=3)[1].tolist() == [1, 1, 1, 1]


def test_rows_of_zeros_are_never_drawn_instead_of_others() -> None:
    norms = np.zeros(300)
    norms[50:80] = 1
    index, _ = drawn(norms, 20, 0)
    assert set(index) <= set(range(50, 80))


def test_another_seed_draws_other_rows_and_the_same_seed_the_same() -> None:
    norms = np.random.default_rng(1).random(500)
    assert drawn(norms, 50, 1)[0] == drawn(norms, 50, 1)[0] != drawn(norms, 50, 2)[0]


def test_rows_themselves_and_their_indices_are_drawn_alike() -> None:
    A = activations(rows=20_000, channels=8)
    by_index, by_row = Tally(2), Tally(2)
    for number in range(20):
        A_b = A[number * 1000 : (number + 1) * 1000]
        by_index.add(A_b, facts_of(A_b, number, 5, number * 1000))
        by_row.add(A_b, facts_of(A_b, number, 5))

    S = by_index.sample(rows_of(A))
    assert S.tobytes() == by_row.sample().tobytes()
    assert len(S) == sample_size(8, 4, 2) == 8192
    np.testing.assert_allclose(np.sum(S.astype(float) ** 2), np.sum(A.astype(float) ** 2), rtol=0.02)


def test_a_sample_of_wide_rows_stays_small() -> None:
    assert sample_size(512, 4, 5) == 8192
    assert sample_size(1024, 4, 5) * 1024 * 4 <= 24 * 2**20
    assert sample_size(100_000, 8, 5) == 1024
    assert sample_size(100_000, 8, 100) == 5000
