"""Descents of a `fit` graph, many starts at once: extrapolated hierarchical alternating least squares.

As `dff_onnx.factorization.descent`, on the whole matrix; see there for the sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dff_onnx.deploy.nodes import Nodes

# Iterations of a round, and how many starts it leaves; the last one ends by itself.
ROUNDS = ((10, 10), (12, 4))
LAST, TOLERANCE = 100, 2e-6
FIRST_SWEEPS, SWEEPS, CONCEPT_SWEEPS = 6, 2, 3
TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Matrix:
    """Names of `A`: its rows `(N, c)`, its columns `(c, N)`, and `||A||^2`."""

    rows: str
    columns: str
    norm: str

    @classmethod
    def of(cls, nodes: Nodes, features: str) -> Self:
        """Of activations `(n, c, h, w)`."""
        channels = nodes.op("Slice", nodes.op("Shape", features), [1], [2])
        last = nodes.op("Transpose", features, perm=[0, 2, 3, 1])
        first = nodes.op("Transpose", features, perm=[1, 0, 2, 3])
        # Cell by cell first: one long sum in float32 would be off in the fifth digit.
        norms = nodes.op("ReduceSum", nodes.op("Mul", features, features), [1])
        return cls(
            rows=nodes.op("Reshape", last, nodes.op("Concat", [-1], channels, axis=0)),
            columns=nodes.op("Reshape", first, nodes.op("Concat", channels, [-1], axis=0)),
            norm=nodes.op("ReduceSum", norms, keepdims=0),
        )


@dataclass(frozen=True, slots=True)
class Race:
    """Names of what descents reached: `W (starts, k, c)`, `Ht (starts, k, N)`, losses `(starts,)`."""

    W: str
    Ht: str
    loss: str


def add_race(nodes: Nodes, A: Matrix, W: str, k: int) -> Race:
    """Adds a race of starts; after each round the better ones go on.

    Args:
        nodes: of the graph.
        A: the matrix.
        W: `(starts, k, c)` where to begin.
        k: rank.

    Returns:
        the winner, one start.
    """
    state = _first(nodes, A, W, k)
    for iterations, kept in ROUNDS:
        state = _best(nodes, _descended(nodes, A, state, k, iterations), kept)
    return _best(nodes, _descended(nodes, A, state, k, LAST), 1)


def _first(nodes: Nodes, A: Matrix, W: str, k: int) -> Race:
    """From concepts alone to coefficients."""
    B, Q = nodes.op("MatMul", W, A.columns), _gram(nodes, W)
    scale = nodes.op("Mul", _inverse(nodes, Q, k), 1 / k)
    cold = nodes.op("Relu", nodes.op("Mul", B, scale))
    Ht = add_coordinate_descent(nodes, cold, B, Q, k, FIRST_SWEEPS)
    return Race(W, Ht, _loss(nodes, A, Ht, B, nodes.op("MatMul", Ht, _turned(nodes, Ht)), Q))


def _best(nodes: Nodes, state: Race, kept: int) -> Race:
    """The starts of least loss."""
    _, index = nodes.ops("TopK", [state.loss, [kept]], 2, largest=0)
    return Race(*(nodes.op("Gather", one, index, axis=0) for one in (state.W, state.Ht, state.loss)))


def _descended(nodes: Nodes, A: Matrix, state: Race, k: int, iterations: int) -> Race:
    """So many iterations on, or fewer where they change no loss by more than the tolerance."""
    starts = nodes.op("Shape", state.loss)
    beta = nodes.op("Expand", 0.5, nodes.op("Concat", starts, [1, 1], axis=0))

    def step(inner: Nodes, carried: list[str]) -> tuple[str, list[str]]:
        W, previous, Ht, loss, momentum = carried
        B, Q = inner.op("MatMul", W, A.columns), _gram(inner, W)
        Ht = add_coordinate_descent(inner, Ht, B, Q, k, SWEEPS)
        HtA, HtH = inner.op("MatMul", Ht, A.rows), inner.op("MatMul", Ht, _turned(inner, Ht))
        new = _loss(inner, A, Ht, B, HtH, Q)
        solved = add_coordinate_descent(inner, W, HtA, HtH, k, CONCEPT_SWEEPS)
        # Extrapolated as Ang & Gillis (2019) do, taken back where the loss rose.
        rose = inner.op("Reshape", inner.op("Greater", new, loss), [-1, 1, 1])
        momentum = inner.op(
            "Where", rose, inner.op("Mul", momentum, 0.6), inner.op("Min", inner.op("Mul", momentum, 1.1), 1.0)
        )
        further = inner.op("Mul", momentum, inner.op("Sub", solved, previous))
        onward = inner.op("Where", rose, solved, inner.op("Relu", inner.op("Add", solved, further)))
        moved = inner.op("Sub", inner.op("Abs", inner.op("Sub", loss, new)), inner.op("Mul", new, TOLERANCE))
        again = inner.op("Greater", inner.op("ReduceMax", moved, keepdims=0), 0.0)
        return again, [onward, solved, Ht, new, momentum]

    _, solved, Ht, loss, _ = nodes.loop([state.W, state.W, state.Ht, state.loss, beta], iterations, step)
    return Race(solved, Ht, loss)


def add_coordinate_descent(nodes: Nodes, X: str, B: str, Q: str, k: int, sweeps: int) -> str:
    """Adds sweeps over the rows of `X (starts, k, m)` for `min_{X>=0} <X, Q X> / 2 - <B, X>`; see `arrays.descent`."""
    inverse = _inverse(nodes, Q, k)
    # On the diagonal 0, or -1 where nothing may change, so that X_j is put back.
    scaled = nodes.op("Sub", nodes.op("Mul", Q, inverse), np.eye(k, dtype=np.float32))
    weights = _split(nodes, scaled, k)
    pulls = _split(nodes, nodes.op("Mul", B, inverse), k)

    def sweep(inner: Nodes, whole: str) -> str:
        rows = _split(inner, whole, k)
        for j in range(k):
            stacked = inner.op("Concat", *rows, axis=1)
            explained = inner.op("MatMul", weights[j], stacked)
            rows[j] = inner.op("Relu", inner.op("Sub", pulls[j], explained))
        return inner.op("Concat", *rows, axis=1)

    def step(inner: Nodes, carried: list[str]) -> tuple[str, list[str]]:
        return inner.op("Identity", np.asarray(True)), [sweep(inner, carried[0])]

    if sweeps > FIRST_SWEEPS:
        return nodes.loop([X], sweeps, step)[0]
    for _ in range(sweeps):
        X = sweep(nodes, X)
    return X


def _split(nodes: Nodes, values: str, k: int) -> list[str]:
    """Rows of matrices, each `(starts, 1, m)`."""
    return nodes.ops("Split", [values, [1] * k], k, axis=1)


def _turned(nodes: Nodes, matrices: str) -> str:
    return nodes.op("Transpose", matrices, perm=[0, 2, 1])


def _gram(nodes: Nodes, W: str) -> str:
    return nodes.op("MatMul", W, _turned(nodes, W))


def _inverse(nodes: Nodes, Q: str, k: int) -> str:
    """Of the diagonals, `(starts, k, 1)`; 0 where they are zero."""
    diagonal = nodes.op("ReduceSum", nodes.op("Mul", Q, np.eye(k, dtype=np.float32)), [2])
    alive = nodes.op("Greater", diagonal, TINY)
    return nodes.op("Where", alive, nodes.op("Reciprocal", nodes.op("Max", diagonal, TINY)), 0.0)


def _loss(nodes: Nodes, A: Matrix, Ht: str, B: str, HtH: str, Q: str) -> str:
    """`||A - H W||^2 / ||A||^2` of each start, `(starts,)`."""
    explained = nodes.op("ReduceSum", nodes.op("Mul", Ht, B), [1, 2], keepdims=0)
    squared = nodes.op("ReduceSum", nodes.op("Mul", HtH, Q), [1, 2], keepdims=0)
    left = nodes.op("Add", nodes.op("Sub", A.norm, nodes.op("Mul", explained, 2.0)), squared)
    return nodes.op("Div", left, nodes.op("Max", A.norm, TINY))
