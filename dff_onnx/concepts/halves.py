"""How well numbers of concepts do on a set: what they explain, and whether other starts and other pictures repeat them.

Everything happens on a sample of rows, compressed as the solver's own starts are: the cost does not depend on how many
pictures there are. Nor do the figures depend on the order of the pictures, which is that of the files' names. Seeds are
single starts: the best of many would hide that the others end in different concepts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.helpers import like
from dff_onnx.concepts.matching import cosines, match, mean_cosine, unit_rows
from dff_onnx.errors import UsageError
from dff_onnx.factorization.blocks import Concepts, block_step
from dff_onnx.factorization.descent import State, descend
from dff_onnx.factorization.rows import Rows, as_matrix, rows_of, whole_images
from dff_onnx.factorization.sample import Reservoir, priorities
from dff_onnx.factorization.sketch import Sketch, compress
from dff_onnx.factorization.starts import kmeans_plus_plus, starts
from dff_onnx.factorization.survey import checked_block, comfortable
from dff_onnx.progress import Progress, followed

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]

ROWS = 4096  # that stand for a larger set; drawn by weight, they do as well as 32 768 drawn uniformly
FEWEST = 4  # pictures: of fewer, a half is a single picture
ALL_SPLITS, LEAST_SPLITS = 35, 6  # all that 8 pictures have; of many pictures
PICTURES_SPLIT = 200  # in all splits together, between these: small sets leave more to the draw, and cost less
STARTS, FIRST, LAST, TOL = 4, 10, 50, 1e-5  # the best of the starts after the first iterations goes on
SWEEPS = 50
OTHERS = 4  # starts that are compared with the best


@dataclass(frozen=True, slots=True)
class Tried:
    """What so many concepts make of the set; for both agreements see `distinct_agreement`.

    Attributes:
        k: how many.
        explained: share of `||A||^2`.
        seeds: agreement of the concepts that single random starts find with the best ones, mean over the starts.
        halves: agreement between the concepts of two halves of the pictures, mean over the splits; None where the
            pictures are too few.
    """

    k: int
    explained: float
    seeds: float
    halves: float | None


def distinct_agreement(ours: Floats, theirs: Floats) -> float:
    """How much nearer concepts are to their partners than to others, at most 1.

    All concepts of a network resemble each other, because all activations lie in one direction more or less: the mean
    cosine `m` of partners is high even where they have nothing else in common. It is compared with that of the other
    pairs, `o`: `(m - o) / (1 - o)` is 1 for the same concepts and 0 where a partner is no nearer than any other. (The
    simplified silhouette, Rousseeuw 1987, with cosine distances and clusters of two, as Kotliar et al. 2019 judge
    numbers of concepts by it.) One concept has no others: the cosine itself.

    Args:
        ours, theirs: `(k, c)` each.

    >>> distinct_agreement(np.eye(2), np.eye(2)[::-1]), distinct_agreement(np.ones((2, 2)), np.ones((2, 2)))
    (1.0, 0.0)
    """
    k, partners = len(ours), mean_cosine(match(ours, theirs))
    if k == 1:
        return partners
    others = (float(np.sum(cosines(ours, theirs))) - k * partners) / (k * (k - 1))
    return (partners - others) / (1 - others) if others < 1 - 1e-9 else 0.0


def try_numbers(A: Array, cells: Sequence[int], seed: int, most: int, progress: Progress) -> tuple[Tried, ...]:
    """Tries every number of concepts from 1.

    Args:
        A: `(N, c)` activations, picture after picture.
        cells: rows of each picture.
        seed: of the sample, the halves and the starts.
        most: concepts at most; fewer where the rows of a half, or the channels, allow fewer.
        progress: is told of every set of rows that was factorized.

    Raises:
        ArrayError: when `A` is negative, not finite or not a matrix of floats.
        UsageError: when `cells` do not fit `A`.
    """
    rows, pictures = _sample(_checked(A, cells), cells, seed)
    sides = _sides(pictures, np.random.default_rng([seed, 1]))
    most = min([most, *rows.shape, *map(len, sides)])
    progress.start("choosing k", 1 + len(sides))
    with single_threaded_blas():
        whole = _whole(rows, most, np.random.default_rng([seed, 2]))
        progress.advance()
        jobs = [(side, np.random.default_rng([seed, 3, number])) for number, side in enumerate(sides)]
        # One after the other: so many small steps are slower in two threads than in one.
        fits = (_ladder(_compressed(rows, side, most, rng), most, rng) for side, rng in jobs)
        ladders = list(followed(fits, progress))
    return tuple(_with_halves(one, ladders) for one in whole)


def _checked(A: Array, cells: Sequence[int]) -> Rows:
    """The rows, cut between pictures."""
    rows = rows_of(A)
    many = int(as_matrix(A).shape[0])
    least = min(cells, default=0)
    if sum(cells) != many or least < 1:
        raise UsageError(f"cells: A has {many} rows, and the pictures have {sum(cells)}, {least} at least")
    return replace(rows, cuts=tuple(whole_images(cells)))


def _sample(rows: Rows, cells: Sequence[int], seed: int) -> tuple[Array, Indices]:
    """Weighted rows that stand for all, near 1 in size, and the picture of each; in the order of `_by_content`."""
    xp = namespace_of(rows.array)
    largest = max(float(xp.max(block)) for _, block in rows)
    rows = rows.scaled(comfortable(largest)) if 0 < largest < float("inf") else rows
    norms, index, pictures = _by_content(rows, np.asarray(cells, np.int64))
    kept = Reservoir(ROWS)
    kept.offer(priorities(norms, seed, 0), norms, np.arange(len(index)))
    places, factors = kept.drawn()
    if not len(places):  # all rows are 0, and more than are drawn: any of them will do
        places, factors = np.arange(ROWS), np.ones(ROWS)
    sample = rows.taken(like(index[places], rows.array, xp.int64))
    return sample * like(factors, sample)[:, None], pictures[places]


def _by_content(rows: Rows, cells: Indices) -> tuple[Floats, Indices, Indices]:
    """All rows, the pictures ordered by what is in them: what is drawn by place then does not depend on files' names.

    Pictures are ordered by the sum of their values, each times a number that belongs to its row and channel. Only equal
    pictures have equal sums, and they may stand either way. (Each row is summed by itself: in a product of matrices its
    last bit would depend on where the picture lies.)

    Returns:
        Squared norms `(N,)` of the rows in that order, float64; which row of `A` each is; the picture of each.
    """
    xp, rng = namespace_of(rows.array), np.random.default_rng(0)
    by_channel, by_row = rng.random(as_matrix(rows.array).shape[1]), rng.random(int(np.max(cells)))
    norms, sums = [], []
    for _, block in rows:
        norms.append(to_numpy(checked_block(block)[0]))
        sums.append(to_numpy(xp.sum(block * like(by_channel, block), axis=1)))
    begins = np.cumsum(cells) - cells
    within = np.arange(np.sum(cells)) - np.repeat(begins, cells)
    values = np.add.reduceat(np.concatenate(sums) * by_row[within], begins)
    order = np.argsort(values, kind="stable")
    index = np.concatenate([np.arange(begins[one], begins[one] + cells[one]) for one in order])
    return np.concatenate(norms).astype(np.float64)[index], index, np.repeat(np.arange(len(cells)), cells[order])


def _sides(pictures: Indices, rng: np.random.Generator) -> list[Indices]:
    """The rows of one half of the pictures and of the other, for each split; none where pictures are too few.

    Pictures of which no row was drawn show next to nothing, and are in no half.
    """
    sides: list[Indices] = []
    there = np.unique(pictures)
    for half in splits(len(there), rng):
        first = np.isin(pictures, there[half])
        sides += [np.nonzero(first)[0], np.nonzero(~first)[0]]
    return sides


def splits(many: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Random halves of so many pictures, no two splits alike: of 8 or fewer all there are, of more 23 to 6.

    Args:
        many: pictures.
        rng: draws.

    Returns:
        Whether each picture is in the first half, `(many,)`, for each split; none of fewer than 4 pictures.

    >>> [len(splits(many, np.random.default_rng(0))) for many in (3, 4, 5, 6, 7, 8, 10, 20, 40)]
    [0, 3, 10, 10, 35, 35, 20, 10, 6]
    """
    if many < FEWEST:
        return []
    alike = 1 + (many % 2 == 0)  # of an even number either half may come first
    there = math.comb(many, many // 2) // alike
    wanted = there if there <= ALL_SPLITS else max(LEAST_SPLITS, -(-PICTURES_SPLIT // many))
    found: dict[bytes, NDArray[np.bool_]] = {}
    while len(found) < wanted:
        half = np.isin(np.arange(many), rng.permutation(many)[: many // 2])
        half = half ^ half[0] if alike == 2 else half
        found[half.tobytes()] = half
    return list(found.values())


def _compressed(rows: Array, side: Indices, most: int, rng: np.random.Generator) -> Sketch:
    xp = namespace_of(rows)
    return compress(xp.take(rows, like(side, rows, xp.int64), axis=0), most, rng)


def _whole(rows: Array, most: int, rng: np.random.Generator) -> list[Tried]:
    """What the sample says by itself."""
    sketch, tried = compress(rows, most, rng), []
    for k, best in enumerate(_ladder(sketch, most, rng), start=1):
        others = descend(sketch, State(kmeans_plus_plus(sketch, k, OTHERS, rng)), FIRST + LAST, TOL).W
        agreements = [distinct_agreement(best, to_numpy(others[i, ...])) for i in range(OTHERS)]
        tried.append(Tried(k, _explained(rows, best, sketch.norm), float(np.mean(agreements)), None))
    return tried


def _ladder(sketch: Sketch, most: int, rng: np.random.Generator) -> list[Floats]:
    """The best concepts of a few starts, `(k, c)` on the host, for each number from 1."""
    return [_best(sketch, k, rng) for k in range(1, most + 1)]


def _best(sketch: Sketch, k: int, rng: np.random.Generator) -> Floats:
    state = descend(sketch, State(starts(sketch, k, STARTS, rng)[1]), FIRST, 0.0)
    winner = state.chosen(np.asarray([int(np.argmin(state.losses))]))
    W: Floats = to_numpy(descend(sketch, winner, LAST, TOL).W[0, ...])
    return W


def _explained(rows: Array, W: Floats, norm: float) -> float:
    """By concepts and the best coefficients for them, from the rows as they were before they were compressed."""
    unit = like(unit_rows(W), rows, namespace_of(rows).float64)
    _, sums = block_step(rows, Concepts.of(unit, rows.dtype), None, SWEEPS)
    return 1 - sums.residual(norm, unit) / norm if norm > 0 else 1.0


def _with_halves(one: Tried, ladders: Sequence[Sequence[Floats]]) -> Tried:
    if not ladders:
        return one
    of_k = [ladder[one.k - 1] for ladder in ladders]
    pairs = zip(of_k[::2], of_k[1::2], strict=True)
    return replace(one, halves=float(np.mean([distinct_agreement(ours, theirs) for ours, theirs in pairs])))
