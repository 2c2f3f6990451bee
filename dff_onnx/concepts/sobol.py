"""Total Sobol indices by Jansen's estimator: the share of a score's variance that a factor has a part in.

Jansen: "Analysis of variance designs for model output" (Computer Physics Communications 117, 1999), at points of a
Halton sequence, as CRAFT asks (Fel et al.: "CRAFT: Concept Recursive Activation FacTorization", CVPR 2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Floats = NDArray[np.float64]


def design_points(k: int, designs: int, rng: np.random.Generator) -> Floats:
    """The points at which a function of k factors is asked.

    Two designs A and B, then A with each of its columns taken from B in turn.

    Args:
        k: factors.
        designs: points of A.
        rng: of the scrambling, without which a short Halton sequence of many factors stays near 0.

    Returns:
        `((2 + k) designs, k)`, 0..1.

    >>> design_points(3, 4, np.random.default_rng(0)).shape
    (20, 3)
    """
    A, B = np.split(qmc.Halton(2 * k, scramble=True, seed=rng).random(designs), 2, axis=1)
    mixed = np.repeat(A[None], k, axis=0)
    for j in range(k):
        mixed[j, :, j] = B[:, j]
    return np.concatenate([A, B, mixed.reshape(-1, k)])


def total_indices(values: Floats, k: int) -> Floats:
    """`mean (f(A) - f(A with column j of B))^2 / 2 var f` of each factor j.

    Args:
        values: `((2 + k) designs,)` of the function at `design_points`.
        k: factors.

    Returns:
        `(k,)`, 0 or more, all 0 where the function is constant. They sum to 1 where the factors only add up, to more
        where they act together.

    >>> points = design_points(2, 64, np.random.default_rng(0))
    >>> total_indices(points @ np.array([5.0, 0.0]), 2).round(1).tolist()
    [1.0, 0.0]
    """
    A, B, *mixed = values.reshape(2 + k, -1)
    variance = float(np.var(np.concatenate([A, B])))
    # The scores are float32: less than this is their rounding.
    if variance <= (1e-6 * float(np.abs(values).max())) ** 2:
        return np.zeros(k)
    indices: Floats = np.mean((A - np.stack(mixed)) ** 2, axis=1) / (2 * variance)
    return indices
