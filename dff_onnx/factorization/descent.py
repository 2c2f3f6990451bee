"""Descents on a sketch, many starts at once: extrapolated hierarchical alternating least squares.

Both factors by coordinate descent (Gillis & Glineur 2012), the concepts extrapolated between iterations as Ang &
Gillis (2019) do and taken back where the loss rose. Starts are an axis of the arrays; nothing in an iteration asks
for a value, so that a GPU is not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.descent import TINY, Quadratic
from dff_onnx.arrays.helpers import asking_interval, double, identity, inner_products, like
from dff_onnx.factorization.blocks import solve_concepts
from dff_onnx.factorization.sketch import Sketch

FIRST_SWEEPS, SWEEPS, OPTIMUM_SWEEPS, CONCEPT_SWEEPS = 6, 2, 8, 3


def _nothing() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Pull:
    """What draws a descent on a sample towards the whole.

    Attributes:
        gradient: `(k, c)`, added to `H^T S`: the sample's gradient then equals that of all rows at `W`.
        weights: `(k,)` of the squared distance of each concept to `W`.
        W: `(k, c)` of unit length.
    """

    gradient: Array
    weights: Array
    W: Array


@dataclass(frozen=True, slots=True)
class State:
    """Where descents stand.

    Attributes:
        W: `(starts, k, c)`, in the sketch's precision: a pass over all rows judges it in float64.
        Ht: `(starts, k, m)`, or None before the first iteration.
        losses: `(starts,)` on the host, of the last iteration, as shares of `||S||^2`.
        gains: `(starts,)` what the last call of `descend` took off the losses.
    """

    W: Array
    Ht: Array | None = None
    losses: NDArray[np.float64] = field(default_factory=_nothing)
    gains: NDArray[np.float64] = field(default_factory=_nothing)

    def chosen(self, index: NDArray[np.int64]) -> State:
        """Some of them."""
        xp = namespace_of(self.W)
        index_there = like(index, self.W, xp.int64)
        Ht = None if self.Ht is None else xp.take(self.Ht, index_there, axis=0)
        return State(xp.take(self.W, index_there, axis=0), Ht, self.losses[index], self.gains[index])


def descend(sketch: Sketch, state: State, iterations: int, tol: float, pull: Pull | None = None) -> State:
    """Descends from a state.

    Args:
        sketch: of a sample.
        state: where to begin.
        iterations: at most.
        tol: ends when an iteration changes no loss by more than this share of it.
        pull: towards the whole; concepts are then held at unit length, because the pull has no meaning at another.
    """
    xp = namespace_of(state.W)
    W, Ht, loss, asked, asking = state.W, state.Ht, None, None, asking_interval(state.W)
    solved = first = beta = onward = W
    for step in range(iterations):
        Ht, new_loss, (HtA, HtH) = _step(sketch, W, Ht, pull)
        previous, solved = solved, solve_concepts(W, HtA, HtH, CONCEPT_SWEEPS)
        if pull is not None:
            solved, Ht = _at_unit_length(solved, Ht)
        if loss is None:
            first, beta, onward = new_loss, xp.full_like(W[:, :1, :1], 0.5), solved
        else:
            rose = (new_loss > loss)[:, None, None]
            beta = xp.where(rose, 0.6 * beta, xp.clip(1.1 * beta, None, 1.0))
            further = xp.clip(solved + beta * (solved - previous), 0, None)
            onward = xp.where(rose, solved, further)
        loss = new_loss
        if step % asking == asking - 1:
            now = to_numpy(loss)
            if asked is not None and np.all(np.abs(asked - now) <= asking * tol * now):
                break
            asked = now
        W = onward
    return State(solved, Ht, to_numpy(loss), to_numpy(first - loss))


def _step(
    sketch: Sketch, W: Array, Ht: Array | None, pull: Pull | None, sweeps: int = SWEEPS
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Coefficients for `W`, the loss of both, and what the concepts are solved from."""
    xp = namespace_of(W)
    B, Q = sketch.explained_by(W), xp.matmul(W, xp.matrix_transpose(W))
    gram = Quadratic.of(Q, B.dtype)
    Ht, sweeps = (gram.cold(B), FIRST_SWEEPS) if Ht is None else (Ht, sweeps)
    Ht = gram.descend(Ht, B, sweeps)
    HtA = sketch.gathered_by(Ht)
    HtH = xp.matmul(Ht, xp.matrix_transpose(Ht))
    loss = sketch.norm - 2 * inner_products(Ht, B) + inner_products(HtH, Q)
    if pull is not None:
        away = W - pull.W
        loss = loss - 2 * inner_products(pull.gradient, W) + inner_products(pull.weights[:, None] * away, away)
        HtA = HtA + pull.gradient + pull.weights[:, None] * pull.W
        HtH = HtH + pull.weights[:, None] * identity(W.shape[1], W)
    return Ht, loss / max(sketch.norm, TINY), (HtA, HtH)


def optimum(sketch: Sketch, state: State) -> tuple[State, Array, Array]:
    """The best coefficients for a state's concepts, and the sums `H^T S` and `H^T H` that come with them."""
    Ht = namespace_of(state.W).asarray(state.Ht, copy=True)
    Ht, _, (HtA, HtH) = _step(sketch, state.W, Ht, None, OPTIMUM_SWEEPS)
    return replace(state, Ht=Ht), HtA, HtH


def row_losses(sketch: Sketch, state: State) -> Array:
    """What each row of the sample adds to the loss, less its own square, `(starts, m)` float64."""
    xp = namespace_of(state.W)
    (state, _, _), B = optimum(sketch, state), sketch.explained_by(state.W)
    explained = xp.matmul(xp.matmul(state.W, xp.matrix_transpose(state.W)), state.Ht) - 2 * B
    return xp.sum(double(state.Ht * explained), axis=1)


def unit(state: State) -> State:
    """The state with concepts at unit length."""
    W, Ht = _at_unit_length(state.W, state.Ht)
    return replace(state, W=W, Ht=Ht)


def _at_unit_length(W: Array, Ht: Array) -> tuple[Array, Array]:
    """Concepts at unit length, their coefficients longer by as much; a concept of zeros stays."""
    xp = namespace_of(W)
    lengths = xp.sqrt(xp.sum(W * W, axis=-1, keepdims=True))
    lengths = xp.where(lengths > TINY, lengths, xp.ones_like(lengths))
    return W / lengths, Ht * xp.astype(lengths, Ht.dtype)
