"""Rows that lie elsewhere: the same bits as in one array, whoever works on which part."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pytest
from matrices import activations
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization import DistributedRows, Part, Rows, factorize
from dff_onnx.factorization.distributed import added


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Parts whose work goes through pickle, and is done last part first."""

    parts: list[Part]
    scale: float = 1.0
    passes: list[bool] = field(default_factory=list)

    @property
    def array(self) -> None:
        return

    def scaled(self, scale: float) -> Elsewhere:
        return replace(self, scale=scale, parts=[replace(part, rows=part.rows.scaled(scale)) for part in self.parts])

    def each(self, work: Callable[[Part], Any]) -> Iterator[Any]:
        done = [pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(work))(part))) for part in reversed(self.parts)]
        yield from reversed(done)

    def update(self, work: Callable[[Part], tuple[Any, Any]], cold: bool = False) -> Iterator[Any]:
        self.passes.append(cold)
        if cold:
            self.parts[:] = [replace(part, Ht=None) for part in self.parts]
        done = list(self.each(work))
        self.parts[:] = [replace(part, Ht=Ht) for part, (Ht, _) in zip(self.parts, done, strict=True)]
        yield from (result for _, result in done)


def spread(A: NDArray[Any], blocks: list[int], cuts: list[int]) -> Elsewhere:
    parts, block, row = list[Part](), 0, 0
    for many in blocks:
        own = tuple(cuts[block : block + many])
        parts.append(Part(Rows(A[row : row + sum(own)], own), block, row))
        block, row = block + many, row + sum(own)
    return Elsewhere(parts)


BLOCKS = [3, 1, 4, 2]
CUTS = [1000, 1500, 37, 2048, 900, 900, 1, 1300, 2000, 700]


@pytest.fixture(scope="module")
def A() -> NDArray[np.float32]:
    return activations(sum(CUTS), 40)


def same(found: Any, theirs: Any) -> None:
    assert np.array_equal(found.W, theirs.W)
    for name in (
        "loss",
        "reconstruction_err",
        "energy",
        "n_iter",
        "kkt",
        "history",
        "start_losses",
        "stopped",
        "start",
    ):
        assert getattr(found, name) == getattr(theirs, name), name


@pytest.mark.parametrize(("k", "solver"), [(1, "coreset"), (4, "coreset"), (3, "hals")])
def test_parts_give_the_bits_of_one_array(A: NDArray[Any], k: int, solver: Literal["coreset", "hals"]) -> None:
    rows = spread(A, BLOCKS, CUTS)
    assert isinstance(rows, DistributedRows) and not isinstance(Rows(A), DistributedRows)
    found, theirs = factorize(rows, k, solver=solver), factorize(A, k, solver=solver, cuts=CUTS, blocks=BLOCKS)
    same(found, theirs)
    assert found.H.shape == (0, k)
    assert np.array_equal(np.concatenate([part.Ht for part in rows.parts], axis=1).T, theirs.H)


def test_only_passes_that_begin_anew_forget_coefficients(A: NDArray[Any]) -> None:
    rows = spread(A, BLOCKS, CUTS)
    factorize(rows, 4, solver="hals")
    assert rows.passes[0] and not any(rows.passes[1:])


def test_values_at_the_edge_of_float32_are_scaled_and_coefficients_scaled_back(A: NDArray[Any]) -> None:
    tiny = A * np.float32(1e-30)
    rows = spread(tiny, BLOCKS, CUTS)
    kept: list[Elsewhere] = []
    scaled = rows.scaled

    class Watched(Elsewhere):
        def scaled(self, scale: float) -> Elsewhere:
            kept.append(scaled(scale))
            return kept[-1]

    found = factorize(Watched(rows.parts), 3)
    theirs = factorize(tiny, 3, cuts=CUTS, blocks=BLOCKS)
    same(found, theirs)
    assert np.array_equal(np.concatenate([part.Ht for part in kept[0].parts], axis=1).T, theirs.H)


def test_a_small_matrix_is_its_own_sample(A: NDArray[Any]) -> None:
    small = A[:500]
    same(factorize(spread(small, [2, 1], [200, 200, 100]), 3), factorize(small, 3, cuts=[200, 200, 100], blocks=[2, 1]))


def test_a_loss_that_is_tiny_is_computed_row_by_row() -> None:
    rng = np.random.default_rng(0)
    A = (rng.random((3000, 3)) @ rng.random((3, 20))).astype(np.float32)
    cuts, blocks = [1000, 1000, 1000], [1, 2]
    found = factorize(spread(A, blocks, cuts), 3, max_iter=50)
    assert found.loss < 1e-3
    same(found, factorize(A, 3, cuts=cuts, blocks=blocks, max_iter=50))


def test_what_is_wrong_with_a_part_is_said(A: NDArray[Any]) -> None:
    wrong = A.copy()
    wrong[-1, -1] = -1
    with pytest.raises(ArrayError, match="smallest value is -1"):
        factorize(spread(wrong, BLOCKS, CUTS), 3)
    rows = spread(A, BLOCKS, CUTS)
    rows.parts[1] = replace(rows.parts[1], rows=Rows(A[:2048, :30], (2048,)))
    with pytest.raises(ArrayError, match="30 channels"):
        factorize(rows, 3)
    with pytest.raises(UsageError, match="one array"):
        factorize(spread(A, BLOCKS, CUTS), 3, solver="mu")


def test_parts_must_have_all_blocks(A: NDArray[Any]) -> None:
    with pytest.raises(UsageError, match="blocks"):
        factorize(A, 2, cuts=CUTS, blocks=[3, 1])


def test_sums_are_added_within_their_part_first() -> None:
    values = [1e16, 1.0, -1e16, 1.0]
    assert added(values, [1, 3]) == 1e16 + ((1.0 - 1e16) + 1.0)
    assert added(values, [2, 2]) == (1e16 + 1.0) + (-1e16 + 1.0)
    assert added([1.0] * 130) == 130
