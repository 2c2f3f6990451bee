"""The largest eigenvalues of a symmetric sparse matrix, and their vectors.

Small matrices are decomposed whole. Of large ones a subspace is filtered by a Chebyshev polynomial of the matrix until
its directions no longer turn (Zhou, Saad, Tiago, Chelikowsky, Journal of Computational Physics 2006): a Lanczos
iteration keeps as many vectors in double precision and multiplies them one by one, which takes many times as long for
some hundred of them. Sums are taken over fixed blocks in order, so that the result does not depend on the threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.helpers import row_blocks
from dff_onnx.arrays.sparse import Sparse
from dff_onnx.threads import available_cores, in_order

WHOLE = 1500  # rows of a matrix that is decomposed whole
MORE = 0.1  # vectors that are iterated beside the wanted ones, as a share of them
DEGREE = 10  # of the polynomial, at most
ROUNDS = 8
TURNED = 1e-4  # of the wanted eigenvalues: the largest change of a round that counts as none
COLUMNS = 64  # multiplied together
ROWS = 8192  # summed together

Floats = NDArray[np.floating[Any]]


def largest_eigenpairs(W: Sparse, r: int, seed: int = 0) -> tuple[Floats, Floats]:
    """The r largest eigenvalues, falling, and their vectors.

    Args:
        W: symmetric, on the host, eigenvalues from -1 to 1.
        r: how many; all where there are fewer rows.
        seed: of where a large matrix's iteration begins.

    Returns:
        `(r,)` float64 and `(n, r)` of W's precision. Each vector's entry farthest from 0 is positive.

    >>> from scipy.sparse import csr_matrix
    >>> values, vectors = largest_eigenpairs(csr_matrix([[0.0, 1.0], [1.0, 0.0]]), 1)
    >>> values.tolist(), vectors.round(4).tolist()
    ([1.0], [[0.7071], [0.7071]])
    """
    n = W.shape[0]
    r = min(r, n)
    with single_threaded_blas():
        if n <= WHOLE or 2 * r >= n:
            values, vectors = np.linalg.eigh(W.toarray().astype(np.float64))
            values, vectors = values[::-1][:r], vectors[:, ::-1][:, :r]
        else:
            values, vectors = _filtered_subspace(W, r, np.random.default_rng(seed))
    farthest = vectors[np.abs(vectors).argmax(axis=0), np.arange(r)]
    return np.ascontiguousarray(values), np.asarray(vectors * np.where(farthest < 0, -1, 1), W.dtype)


def _filtered_subspace(W: Sparse, r: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    n = W.shape[0]
    width = min(n, r + max(8, round(MORE * r)))
    X = _orthonormal(_draw(rng, n, width, W.dtype))
    values, X = _rotated(W, X)
    for _ in range(ROUNDS):
        before = values[:r]
        X = _orthonormal(_filtered(W, X, float(values[-1])))
        if X.shape[1] < width:  # directions that became one are replaced
            X = _orthonormal(np.concatenate([X, _draw(rng, n, width - X.shape[1], X.dtype)], axis=1))
        values, X = _rotated(W, X)
        if np.abs(values[:r] - before).max() < TURNED:
            break
    return values[:r], X[:, :r]


def _draw(rng: np.random.Generator, n: int, columns: int, dtype: Any) -> Floats:
    """Directions by chance, of about unit length."""
    return np.asarray(rng.standard_normal((n, columns)) / np.sqrt(n), dtype)


def _degree(cut: float, dtype: Any) -> int:
    """Of a polynomial that lets the eigenvalue 1 grow, against what is cut off, by no more than half the digits.

    More, and every vector is the sum of a few, in which rounding hides the others.
    """
    grown = np.arccosh((3 - cut) / (1 + cut))  # by this power of e a degree
    return int(np.clip(np.arccosh(np.finfo(dtype).eps ** -0.5) / max(float(grown), 1e-9), 2, DEGREE))


def _filtered(W: Sparse, X: Floats, cut: float) -> Floats:
    """A polynomial of W that is small on -1..cut and grows beyond, times X."""
    cut = min(max(cut, -0.9), 0.999)
    e, c, degree = (cut + 1) / 2, (cut - 1) / 2, _degree(cut, W.dtype)
    scale = W.dtype.type(1 / e)
    shift = W.dtype.type(c)

    def work(columns: slice) -> Floats:
        before = np.ascontiguousarray(X[:, columns])
        now = (W @ before - shift * before) * scale
        for _ in range(degree - 1):
            before, now = now, (W @ now - shift * now) * (2 * scale) - before
            top = np.abs(now).max(initial=0.0)
            if top > 1e6:  # far from overflow in single precision
                before, now = before / top, now / top
        return np.asarray(now)

    found = list(in_order(row_blocks(X.shape[1], COLUMNS), work, available_cores()))
    return _by_column_lengths(np.concatenate(found, axis=1))


def _by_column_lengths(X: Floats) -> Floats:
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    X /= np.where(lengths > 0, lengths, 1)
    return X


def _rotated(W: Sparse, X: Floats) -> tuple[Floats, Floats]:
    """Rayleigh and Ritz: the subspace's own eigenvalues, falling, and its basis turned to their vectors."""

    def work(columns: slice) -> Floats:
        return np.asarray(W @ np.ascontiguousarray(X[:, columns]))

    product = np.concatenate(list(in_order(row_blocks(X.shape[1], COLUMNS), work, available_cores())), axis=1)
    K = _inner(X, product)
    values, turn = eigh((K + K.T) / 2)
    return values[::-1], _times(X, turn[:, ::-1])


def _orthonormal(X: Floats) -> Floats:
    """An orthonormal basis of the columns, twice for what rounding left; directions that are none are dropped."""
    for _ in range(2):
        values, turn = eigh(_inner(X, X))
        there = values > 1e-10 * values[-1]
        X = _times(X, turn[:, there] / np.sqrt(values[there]))
    return X


def _inner(X: Floats, Y: Floats) -> Floats:
    """`X^T Y` in float64, over fixed blocks of rows in order."""

    def work(rows: slice) -> Floats:
        return np.asarray(X[rows].astype(np.float64).T @ Y[rows].astype(np.float64))

    total = np.zeros((X.shape[1], Y.shape[1]))
    for one in in_order(row_blocks(X.shape[0], ROWS), work, available_cores()):
        total += one
    return total


def _times(X: Floats, turn: Floats) -> Floats:
    """`X turn` in X's precision, block by block."""
    turn = turn.astype(X.dtype)
    return np.concatenate(list(in_order(row_blocks(X.shape[0], ROWS), lambda rows: X[rows] @ turn, available_cores())))
