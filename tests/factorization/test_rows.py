"""Where rows come from changes nothing; what cannot be rows is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matrices import activations
from numpy.typing import NDArray

import dff_onnx.factorization.rows as rows_file
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization import factorize, nonnegative_least_squares, whole_images
from dff_onnx.factorization.result import Factorization
from dff_onnx.factorization.rows import rows_of

ROWS = 30_000  # more than a sample holds


class Blocks:
    """Blocks made anew whenever they are asked for, all in one piece of memory."""

    def __init__(self, A: NDArray[Any], size: int) -> None:
        self.A, self.size, self.readings = A, size, 0

    def __iter__(self) -> Iterator[NDArray[Any]]:
        self.readings += 1
        buffer = np.empty((self.size, self.A.shape[1]), self.A.dtype)
        for start in range(0, len(self.A), self.size):
            part = buffer[: len(self.A[start : start + self.size])]
            part[:] = self.A[start : start + self.size]
            yield part


@pytest.fixture(scope="module")
def A() -> NDArray[np.float32]:
    return activations(rows=ROWS, channels=24, concepts=8)


@pytest.fixture(scope="module")
def serial(A: NDArray[np.float32]) -> Factorization:
    return factorize(A, 4, threads=1)


def same(one: Factorization, other: Factorization) -> bool:
    factors = all(a.tobytes() == b.tobytes() for a, b in ((one.H, other.H), (one.W, other.W)))
    return factors and one.loss == other.loss and one.kkt == other.kkt and one.history == other.history


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_gives_the_same_bits(A: NDArray[np.float32], serial: Factorization, threads: int) -> None:
    assert same(factorize(A, 4, threads=threads), serial)


def test_a_memory_map_gives_the_bits_of_the_array(
    A: NDArray[np.float32], serial: Factorization, tmp_path: Path
) -> None:
    np.save(tmp_path / "A.npy", A)
    assert same(factorize(np.load(tmp_path / "A.npy", mmap_mode="r"), 4), serial)


@pytest.mark.parametrize("size", [2048, 4096, 20_480])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_made_on_the_fly_give_the_bits_of_the_array(
    A: NDArray[np.float32], serial: Factorization, size: int, threads: int
) -> None:
    blocks = Blocks(A, size)
    assert same(factorize(blocks, 4, threads=threads), serial)
    assert blocks.readings <= 1 + serial.n_iter + 1


def test_a_list_of_blocks_is_a_matrix_too(A: NDArray[np.float32], serial: Factorization) -> None:
    assert same(factorize(np.split(A, [2048, 6144]), 4), serial)


def test_rows_in_a_strange_order_of_memory_give_the_same_bits(A: NDArray[np.float32], serial: Factorization) -> None:
    assert same(factorize(np.asfortranarray(A), 4), serial)
    assert same(factorize(np.repeat(A, 2, axis=1)[:, ::2], 4), serial)


def test_half_precision_is_computed_in_single_precision(A: NDArray[np.float32]) -> None:
    half = A.astype(np.float16)
    assert same(factorize(half, 4), factorize(half.astype(np.float32), 4))
    assert factorize(half, 4).H.dtype == np.float32


def test_cuts_are_part_of_the_result_and_may_be_where_images_end(A: NDArray[np.float32]) -> None:
    cuts = whole_images([169] * 177 + [87])
    found = factorize(A, 4, cuts=cuts)
    assert same(factorize(np.split(A, np.cumsum(cuts)[:-1]), 4, threads=3), found)
    assert found.loss == pytest.approx(factorize(A, 4).loss, rel=1e-4)


@pytest.mark.parametrize(("cuts", "expected"), [(None, [6144, 6144, 2712]), ([4000, 5000, 1000, 5000], [10_000, 5000])])
def test_blocks_may_be_handed_out_several_at_once(
    monkeypatch: pytest.MonkeyPatch, cuts: list[int] | None, expected: list[int]
) -> None:
    monkeypatch.setattr(rows_file, "blocks_at_once", lambda _: 3)
    A = activations(rows=15_000, channels=8)
    blocks = list(rows_of(A, cuts))
    assert [len(block) for _, block in blocks] == expected
    assert [place.stop for place, _ in blocks][-1] == 15_000
    ((_, _, starts),) = rows_of(A, cuts).stretches()
    assert np.diff(starts).tolist() == (cuts or [2048] * 7 + [664])


def test_images_stay_whole_in_a_cut() -> None:
    assert whole_images([700, 700, 700, 700]) == [1400, 1400]
    assert whole_images([2048, 1, 2047, 1]) == [2048, 2048, 1]
    assert whole_images([5000, 10]) == [2048, 2048, 904, 10]
    assert whole_images([10, 5000]) == [10, 2048, 2048, 904]


def test_an_iterator_is_refused_because_it_can_be_read_once() -> None:
    with pytest.raises(ArrayError, match="partial_fit"):
        factorize(iter([activations()]), 2)


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        ([np.ones((3, 4)), np.ones((3, 5))], "5 channels"),
        ([np.ones((3, 4)), np.ones((3, 4), np.float32)], "float32"),
        ([np.ones((3, 4)), -np.ones((3, 4))], "-1"),
        ([np.ones((3, 4)), np.full((3, 4), np.nan)], "NaN"),
        ([np.ones((3, 4)), np.ones((0, 4))], "shape"),
        (Blocks(np.ones((0, 4)), 2), "no block"),
    ],
)
def test_blocks_that_do_not_fit_are_refused_with_what_was_found(blocks: Any, found: str) -> None:
    with pytest.raises(ArrayError, match=found):
        factorize(blocks, 1)


def test_blocks_that_change_between_readings_are_noticed() -> None:
    class Shrinking:
        parts = 9

        def __iter__(self) -> Iterator[NDArray[Any]]:
            self.parts -= 1
            return iter([activations()] * self.parts)

    with pytest.raises(ArrayError, match="4800 rows when they were first read, and 4200 now"):
        factorize(Shrinking(), 2)


def test_options_that_do_not_fit_the_rows_are_refused() -> None:
    A = activations(rows=50)
    with pytest.raises(UsageError, match="cuts"):
        factorize(A, 2, cuts=[20, 20])
    with pytest.raises(UsageError, match="cuts"):
        factorize([A, A], 2, cuts=[50, 50])
    with pytest.raises(UsageError, match="k: 60"):
        factorize([A], 60)
    blocks = Blocks(A, 25)
    with pytest.raises(UsageError, match="mu needs A in one array"):
        factorize(blocks, 2, solver="mu")
    assert blocks.readings == 0
    with pytest.raises(UsageError, match="threads"):
        factorize(A, 2, threads=0)


def test_blocks_are_projected_as_the_array_is(A: NDArray[np.float32], serial: Factorization) -> None:
    H = nonnegative_least_squares(A, serial.W, threads=1)
    assert nonnegative_least_squares(Blocks(A, 4096), serial.W, threads=3).tobytes() == H.tobytes()


def test_pages_of_a_mapped_file_do_not_stay_in_memory(tmp_path: Path) -> None:
    file = np.lib.format.open_memmap(tmp_path / "A.npy", "w+", np.float32, (65_536, 256))
    file[:] = 1.0
    file.flush()
    mapped = np.load(tmp_path / "A.npy", mmap_mode="r")

    def resident() -> int:
        smaps = Path("/proc/self/smaps")
        if not smaps.exists():
            pytest.skip("needs /proc/self/smaps")
        text = smaps.read_text().split(str(tmp_path))[1:]
        return sum(int(part.split("Rss:")[1].split()[0]) for part in text) * 1024

    for place, block in rows_of(mapped):
        block.sum()
        if place.start > 40_000:
            break
    del file
    assert resident() < 65_536 * 256 * 4 / 2
