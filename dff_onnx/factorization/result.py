"""What a solver returns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dff_onnx.arrays import Array


@dataclass(frozen=True, slots=True)
class Factorization:
    """`A ~ H W` in canonical form, with how it was reached.

    Attributes:
        H: `(N, k)` coefficients, `>= 0`, in `A`'s library; of rows that lie elsewhere `(0, k)`: theirs stay there.
        W: `(k, c)` concepts of unit length (a concept nothing uses is zero), ordered by energy.
        loss: `||A-HW||^2 / ||A||^2`, accumulated in float64; 0 for an `A` of zeros.
        reconstruction_err: `||A-HW||_F`, as scikit-learn has it.
        energy: `||H_j||^2` of each concept.
        n_iter: steps of the solver over all rows.
        converged: whether the solver's own rule stopped it.
        stopped: why it stopped, as a clause.
        solver: which one, `rank1` for the closed form of k = 1.
        kkt: how far the factors are from optimal, 0 at an optimum: the projected gradient of each beside its linear
            term, the larger of the two.
        start: which start won, `""` where there is none.
        history: loss after each step that computed it.
        start_losses: loss of each start on the sample, when it was last seen.
    """

    H: Array
    W: Array
    loss: float
    reconstruction_err: float
    energy: tuple[float, ...]
    n_iter: int
    converged: bool
    stopped: str
    solver: str
    kkt: float
    start: str = ""
    history: tuple[float, ...] = ()
    start_losses: tuple[float, ...] = ()

    @property
    def spread(self) -> float:
        """How much more loss the worst start had than the best when it was last seen, as a share; 0 for one start."""
        if not self.start_losses or min(self.start_losses) <= 0:
            return 0.0
        return max(self.start_losses) / min(self.start_losses) - 1.0

    @property
    def explained(self) -> float:
        """`1 - loss`: the share of `||A||^2` that the concepts account for."""
        return 1.0 - self.loss

    def rescaled(self, factor: float) -> Factorization:
        """The factorization of `factor * A`."""
        if factor == 1.0:
            return self
        return replace(
            self,
            H=self.H * factor,
            reconstruction_err=self.reconstruction_err * factor,
            energy=tuple(e * factor**2 for e in self.energy),
        )


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solver hands to the canonical form: factors in any scale and order, and how it went.

    `squares` is `||H_j||^2` of each concept, `rest` is `||A-HW||^2` of these very factors and `kkt` their distance from
    optimality, where the solver knows them anyway.
    """

    Ht: Array
    W: Array
    n_iter: int
    converged: bool
    stopped: str
    start: str = ""
    history: tuple[float, ...] = ()
    start_losses: tuple[float, ...] = ()
    squares: Array | None = None
    rest: float | None = None
    kkt: float | None = None
