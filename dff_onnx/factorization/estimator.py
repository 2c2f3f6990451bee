"""The factorization with scikit-learn's manners."""

from __future__ import annotations

from typing import Any, Self

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization.checks import checked
from dff_onnx.factorization.factorize import Solver, factorize
from dff_onnx.factorization.nnls import nonnegative_least_squares


class DFF:
    """Deep Feature Factorization as an estimator.

    Args:
        n_components: number of concepts, k.
        solver: `hals`, or `mu` for the authors' updates.
        max_iter: passes over all rows at most.
        tol: as in `factorize`; None takes the solver's own.
        starts: how many starts `hals` tries.
        random_state: seed; the same one gives the same bits.

    Attributes:
        components_: `(k, c)` concepts `W`, of unit length, ordered by energy.
        loss_: `||A-HW||^2 / ||A||^2`.
        reconstruction_err_: `||A-HW||_F`.
        n_iter_: passes over all rows.
        n_features_in_: channels, c.
        converged_, stopped_: whether the solver's own rule ended it, and why it ended.

    >>> import numpy as np
    >>> A = np.array([[2.0, 0.0], [0.0, 1.0], [4.0, 0.0]])
    >>> model = DFF(n_components=2).fit(A)
    >>> model.transform(A).round(3).tolist()
    [[2.0, 0.0], [0.0, 1.0], [4.0, 0.0]]
    """

    def __init__(
        self,
        n_components: int = 4,
        *,
        solver: Solver = "hals",
        max_iter: int = 200,
        tol: float | None = None,
        starts: int = 8,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.starts = starts
        self.random_state = random_state

    def fit(self, A: Any, y: None = None) -> Self:
        """Finds the concepts of `A (N, c)`; `y` is there for pipelines and not used."""
        self.fit_transform(A, y)
        return self

    def fit_transform(self, A: Any, y: None = None) -> Array:  # noqa: ARG002
        """As `fit`, and returns the coefficients `H (N, k)`.

        Raises:
            ArrayError: when `A` is empty, negative, not finite or not a matrix of floats.
            UsageError: when a parameter cannot be.
        """
        found = factorize(
            A,
            self.n_components,
            solver=self.solver,
            seed=self.random_state,
            max_iter=self.max_iter,
            tol=self.tol,
            starts=self.starts,
        )
        self.components_ = found.W
        self.loss_ = found.loss
        self.reconstruction_err_ = found.reconstruction_err
        self.n_iter_ = found.n_iter
        self.converged_ = found.converged
        self.stopped_ = found.stopped
        self.n_features_in_ = int(found.W.shape[1])
        return found.H

    def transform(self, A: Any) -> Array:
        """Coefficients `(N, k)` of new rows for the concepts found, by non-negative least squares.

        Raises:
            UsageError: before `fit`.
            ArrayError: when the rows are not like those of `fit`.
        """
        A, _ = checked(A)
        W = self._components()
        if A.shape[1] != W.shape[1]:
            raise ArrayError(f"A: {A.shape[1]} channels, but the concepts were found in {W.shape[1]}")
        return nonnegative_least_squares(A, namespace_of(A).astype(W, A.dtype))

    def inverse_transform(self, H: Any) -> Array:
        """`HW`: the rows that coefficients `H (N, k)` stand for."""
        return H @ self._components()

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """The parameters, as scikit-learn's tools ask for them."""
        names = ("n_components", "solver", "max_iter", "tol", "starts", "random_state")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Changes parameters; an unknown one is a `UsageError`."""
        for name, value in params.items():
            if name not in self.get_params():
                raise UsageError(f"DFF has no parameter {name!r}; it has {', '.join(self.get_params())}")
            setattr(self, name, value)
        return self

    def _components(self) -> Array:
        if not hasattr(self, "components_"):
            raise UsageError("DFF: call fit(A) before transform")
        return self.components_
