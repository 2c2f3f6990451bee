"""What a solver may spend, and when it may stop."""

from __future__ import annotations

from dataclasses import dataclass

STARTS = 16


@dataclass(frozen=True, slots=True)
class Options:
    """For any solver.

    Attributes:
        max_iter: passes over all rows at most; steps of `mu`.
        tol: when to stop; each solver says what it compares with it.
        starts: tried on the sample: one from the singular vectors, the others by k-means++.
        workers: threads that work on blocks; 0 for the caller's alone.
    """

    max_iter: int
    tol: float
    starts: int = STARTS
    workers: int = 0
