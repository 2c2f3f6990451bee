"""Expanding Gaussian mixtures (EGM): a map as a few round Gaussians, as many as it needs.

Avrithis, Kalantidis: "Approximate Gaussian mixtures for large scale vocabularies" (ECCV 2012), from points to maps by
Simeoni et al. (2017, arXiv:1709.04725): a cell counts as far as the map is high there. Expectation and maximization
alternate; components expand where nothing stops them, and those that others overlap are purged. Where components begin
and the floor of their variances are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import diagonal, identity, like
from dff_onnx.arrays.order import order_by
from dff_onnx.errors import UsageError
from dff_onnx.retrieval.saliency.maxima import checked_map, local_maxima, places

EXPANSION, OVERLAP = 0.25, 0.6
STEPS = 10
FLOOR = 0.25  # of variances, cells squared: one cell alone has none
NOTHING = 1e-12  # of a map's sum: a share below it is rounding
STILL = 1e-3  # cells, and cells squared: components that move less have arrived


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Round Gaussians, by falling weight.

    Attributes:
        means: `(k, 2)` float64, rows and columns, in cells; 0 is the middle of the first.
        variances: `(k,)` float64, along an axis, in cells squared.
        weights: `(k,)` float64, shares of the map; their sum is 1.
        steps: of the descent.
        converged: whether the last step moved nothing by a thousandth of a cell, and purged nothing.
    """

    means: Array
    variances: Array
    weights: Array
    steps: int = 0
    converged: bool = False


def expanding_mixture(F: Array, expansion: float = EXPANSION, overlap: float = OVERLAP, steps: int = STEPS) -> Mixture:
    """Fits a mixture to a map; its height does not matter.

    Components begin at the local maxima above a tenth of the peak, half as wide as the nearest other is away.

    Args:
        F: `(h, w)` map, `>= 0`.
        expansion: lambda, 0..1: how far a component's scatter beyond its own cells counts for more than its share; 0
            is plain expectation-maximization.
        overlap: tau, 0..1: the share of itself in its overlap with all larger ones that a component needs to stay.
        steps: at most.

    Returns:
        no component for a map of zeros.

    Raises:
        ArrayError: when the map is none, or a value is negative or not finite.
        UsageError: for other figures.

    >>> import numpy as np
    >>> found = expanding_mixture(np.array([[0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]]))
    >>> found.means.round(2).tolist(), found.weights.round(2).tolist()
    ([[0.0, 1.12], [0.0, 5.88]], [0.67, 0.33])
    """
    if not (0 <= expansion <= 1 and 0 <= overlap <= 1 and steps >= 1):
        raise UsageError(
            f"mixture: an expansion and an overlap of 0 to 1 and at least one step are needed, found {expansion}, "
            f"{overlap}, {steps}"
        )
    F = checked_map(F)
    xp = namespace_of(F)
    found, peak = _start(F), xp.max(F)
    mass = xp.reshape(F / xp.where(peak > 0, peak, xp.ones_like(peak)), (-1,))
    for step in range(1, steps + 1 if found.weights.shape[0] else 1):
        moved = expanded(mass, places(F), found, expansion)
        # Widths that were guessed overlap by chance: the first step is not judged.
        moved = moved if step == 1 else purged(moved, overlap)
        found = replace(moved, steps=step, converged=step > 1 and _still(found, moved))
        if found.converged:
            break
    return _ordered(found)


def responsibilities(cells: Array, mixture: Mixture) -> Array:
    """How far each component accounts for each cell (the E step), `(cells, k)` float64; rows sum to 1.

    Args:
        cells: `(cells, 2)` float64, rows and columns.
        mixture: at least one component.
    """
    xp = namespace_of(cells)
    logs = xp.log(mixture.weights / mixture.variances) - _squares(cells, mixture.means) / (2 * mixture.variances)
    heights = xp.exp(logs - xp.max(logs, axis=1, keepdims=True))
    return heights / xp.sum(heights, axis=1, keepdims=True)


def expanded(mass: Array, cells: Array, mixture: Mixture, expansion: float = EXPANSION) -> Mixture:
    """One step of expectation and maximization in which components expand.

    A component's scatter is that inside the cells that it accounts for best, and that outside; the inside counts
    `1 - expansion` times its share. A component without an outside has nowhere to expand to.

    Args:
        mass: `(cells,)` float64, `>= 0`, not all 0.
        cells: `(cells, 2)` float64, rows and columns.
        mixture: at least one component.
        expansion: lambda, 0..1.

    Returns:
        components in the same order; those that nothing is left of are missing.
    """
    xp = namespace_of(mass, cells)
    shares = responsibilities(cells, mixture)
    best = xp.argmax(shares, axis=1)
    owned = best[:, None] == like(np.arange(shares.shape[1]), shares, xp.int64)[None, :]
    weighted = mass[:, None] * shares
    sums = xp.sum(weighted, axis=0)
    alive = xp.nonzero(sums > NOTHING * xp.sum(mass))[0]
    weighted, owned, sums = (xp.take(one, alive, axis=-1) for one in (weighted, owned, sums))
    means = (weighted.T @ cells) / sums[:, None]
    scatter = weighted * _squares(cells, means) / 2  # along one axis of two
    none = xp.zeros_like(scatter)
    inside = xp.sum(xp.where(owned, weighted, none), axis=0)
    within, beyond = xp.sum(xp.where(owned, scatter, none), axis=0), xp.sum(xp.where(owned, none, scatter), axis=0)
    outside = xp.clip(sums - inside, 0, None)
    there = outside > NOTHING * sums
    by = xp.where(there, (1 - expansion) * inside / sums, xp.ones_like(sums))
    variances = by * _quotient(within, inside) + (1 - by) * _quotient(beyond, xp.where(there, outside, none[0, :]))
    return Mixture(means, xp.clip(variances, FLOOR, None), sums / xp.sum(sums))


def purged(mixture: Mixture, overlap: float = OVERLAP) -> Mixture:
    """The components, by falling weight, that are more than the larger ones already say.

    Args:
        mixture: in any order.
        overlap: tau, 0..1.
    """
    mixture = _ordered(mixture)
    xp = namespace_of(mixture.means)
    together = mixture.variances[:, None] + mixture.variances[None, :]
    products = xp.exp(-_squares(mixture.means, mixture.means) / (2 * together)) / (2 * math.pi * together)
    products = products * mixture.weights[:, None] * mixture.weights[None, :]
    own, kept = diagonal(products), list[int]()
    for k in range(own.shape[0]):
        beside = sum(float(products[k, j]) for j in kept)
        if float(own[k]) >= overlap * (float(own[k]) + beside):
            kept.append(k)
    left = _taken(mixture, like(np.asarray(kept, np.int64), own, xp.int64))
    return replace(left, weights=left.weights / xp.sum(left.weights)) if kept else left


def _start(F: Array) -> Mixture:
    """Components at the maxima, as heavy as these are high."""
    maxima = local_maxima(F)
    xp = namespace_of(F)
    number = maxima.heights.shape[0]
    apart = _squares(maxima.means, maxima.means)
    if number > 1:
        far = xp.max(apart) + 1
        nearest = xp.sqrt(xp.min(apart + far * identity(number, apart), axis=1))
    else:
        nearest = xp.ones_like(maxima.heights) * min(F.shape)
    spreads = xp.clip(nearest / 2, 1, None)
    total = xp.sum(maxima.heights)
    weights = maxima.heights / xp.where(total > 0, total, xp.ones_like(total))
    return Mixture(maxima.means, spreads**2, weights)


def _squares(left: Array, right: Array) -> Array:
    """Squared distances of places, `(m, 2)` and `(n, 2)` -> `(m, n)`."""
    xp = namespace_of(left, right)
    apart = left[:, None, :] - right[None, :, :]
    return xp.sum(apart * apart, axis=2)


def _quotient(above: Array, below: Array) -> Array:
    """Quotients, 0 where nothing is below."""
    xp = namespace_of(above, below)
    return xp.where(below > 0, above / xp.where(below > 0, below, xp.ones_like(below)), xp.zeros_like(above))


def _ordered(mixture: Mixture) -> Mixture:
    """By falling weight; of equals, the upper, then the left one first."""
    order = order_by(-mixture.weights, mixture.means[:, 0], mixture.means[:, 1])
    return _taken(mixture, order)


def _taken(mixture: Mixture, which: Array) -> Mixture:
    xp = namespace_of(mixture.means, which)
    means, variances, weights = (
        xp.take(one, which, axis=0) for one in (mixture.means, mixture.variances, mixture.weights)
    )
    return replace(mixture, means=means, variances=variances, weights=weights)


def _still(before: Mixture, after: Mixture) -> bool:
    """Whether nothing was purged, and nothing moved."""
    if before.weights.shape[0] != after.weights.shape[0]:
        return False
    xp = namespace_of(before.means)
    moved = [xp.abs(after.means - before.means), xp.abs(after.variances - before.variances)]
    return all(float(xp.max(one)) < STILL for one in moved)
