"""The race of the starts: who goes on, and whom the sample cannot judge."""

from __future__ import annotations

import numpy as np
import pytest
from matrices import activations
from numpy.typing import NDArray

import dff_onnx.factorization.race as race_file
from dff_onnx.factorization.descent import State, descend
from dff_onnx.factorization.race import race
from dff_onnx.factorization.sketch import compress
from dff_onnx.factorization.starts import starts


def features(rows: int = 4000) -> NDArray[np.float32]:
    return activations(rows=rows, channels=60, concepts=20)


def test_the_winner_is_as_good_as_the_best_start_run_to_its_end() -> None:
    sketch = compress(features(), 6, np.random.default_rng(0))
    found = race(sketch, 6, 16, np.random.default_rng(1), whole=True)
    _, W = starts(sketch, 6, 16, np.random.default_rng(1))
    best = descend(sketch, State(W), 200, 1e-7).losses.min()
    assert found.finalists[0].losses[0] <= best * (1 + 1e-4)
    assert len(found.finalists) == len(found.names) == 1 and len(found.losses) == 16


def test_a_sample_lets_rivals_through_and_all_rows_none() -> None:
    # Many concepts of equal weight: minima differ by less than a sample can tell.
    rng = np.random.default_rng(0)
    A = rng.gamma(0.2, 1, (3000, 30)) @ rng.gamma(0.2, 1, (30, 60))
    sketch = compress(A.astype(np.float32), 6, rng)
    many = [len(race(sketch, 6, 16, np.random.default_rng(s), whole=False).finalists) for s in range(6)]
    assert set(many) == {1, 2} or set(many) == {2}
    assert len(race(sketch, 6, 16, np.random.default_rng(0), whole=True).finalists) == 1


def state_of(losses: list[float]) -> State:
    return State(np.zeros((len(losses), 1, 1)), None, np.asarray(losses), np.zeros(len(losses)))


def test_only_what_is_near_and_not_the_same_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sketch = compress(features(400), 2, rng)
    noise = rng.normal(0, 1, 400) * sketch.norm * 0.01 / 20  # a standard error of 0.01 in the difference

    def rows(_: object, state: State) -> NDArray[np.float64]:
        return np.stack([noise * (i % 2) + loss * sketch.norm / 400 for i, loss in enumerate(state.losses)])

    monkeypatch.setattr(race_file, "row_losses", rows)
    assert race_file._undecided(sketch, state_of([0.5, 0.515])) == [0, 1]
    assert race_file._undecided(sketch, state_of([0.5, 0.53])) == [0]
    assert race_file._undecided(sketch, state_of([0.5, 0.500_001])) == [0]
    assert race_file._undecided(sketch, state_of([0.5, 0.51, 0.510_001, 0.51])) == [0, 1]
