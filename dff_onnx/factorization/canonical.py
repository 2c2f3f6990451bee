"""A factorization is free in scale and order; the canonical form fixes both, so that runs can be compared."""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import length, like
from dff_onnx.factorization.blocks import residual
from dff_onnx.factorization.result import Factorization, Solution

SMALL = 0.05


def canonical(A: Array, found: Solution, solver: str, norm: float) -> Factorization:
    """Concepts of unit length ordered by energy (ties: by their first peak), with the exact loss.

    Args:
        A: `(N, c)`.
        found: the solver's factors.
        solver: its name.
        norm: `||A||^2`.
    """
    xp = namespace_of(A)
    lengths = [length(found.W[j, :]) for j in range(found.W.shape[0])]
    W = found.W / like(np.asarray([[size or 1.0] for size in lengths]), found.W)
    Ht = found.Ht * like(np.asarray(lengths)[:, None], found.Ht)
    energy = [float(xp.sum(Ht[j, :] * Ht[j, :], dtype=xp.float64)) for j in range(W.shape[0])]
    # Six digits: beyond them equal energies differ by rounding alone.
    order = sorted(range(W.shape[0]), key=lambda j: (-float(f"{energy[j]:.6g}"), int(xp.argmax(Ht[j, :]))))
    index = like(np.asarray(order), Ht, xp.int64)
    W, Ht = xp.astype(xp.take(W, index, axis=0), A.dtype), xp.take(Ht, index, axis=0)
    # Known from sums, it is a difference of large figures: good enough unless it is itself small.
    known = found.rest is not None and found.rest > SMALL * norm
    rest = found.rest if known and found.rest is not None else residual(A, Ht, W)
    return Factorization(
        H=Ht.T,
        W=W,
        loss=rest / norm if norm > 0 else 0.0,
        reconstruction_err=rest**0.5,
        energy=tuple(energy[j] for j in order),
        n_iter=found.n_iter,
        converged=found.converged,
        stopped=found.stopped,
        solver=solver,
        start=found.start,
        history=found.history,
    )
