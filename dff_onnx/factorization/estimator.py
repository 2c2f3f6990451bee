"""The factorization with scikit-learn's manners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from dff_onnx.arrays import Array
from dff_onnx.errors import UsageError
from dff_onnx.factorization.factorize import Solver, factorize
from dff_onnx.factorization.nnls import nonnegative_least_squares
from dff_onnx.factorization.options import STARTS
from dff_onnx.factorization.stream import Stream


class DFF:
    """Deep Feature Factorization as an estimator.

    Args:
        n_components: number of concepts, k.
        solver: `coreset`, `hals`, or `mu` for the authors' updates.
        max_iter: passes over all rows at most.
        tol: as in `factorize`; None takes the solver's own.
        starts: how many starts are tried.
        random_state: seed; the same one gives the same bits.
        threads: that work on blocks of rows; None takes the cores there are.

    Attributes:
        components_: `(k, c)` concepts `W`, of unit length, ordered by energy. After `partial_fit` they are found when
            they are first asked for.
        loss_: `||A-HW||^2 / ||A||^2`; after `partial_fit` the sample's, which estimates it.
        reconstruction_err_: `||A-HW||_F`, likewise.
        kkt_: how far the factors are from optimal, 0 at an optimum.
        n_iter_: passes over all rows; 0 after `partial_fit`.
        n_features_in_: channels, c.
        n_samples_seen_: rows.
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
        solver: Solver = "coreset",
        max_iter: int = 200,
        tol: float | None = None,
        starts: int = STARTS,
        random_state: int = 0,
        threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.starts = starts
        self.random_state = random_state
        self.threads = threads

    def fit(self, A: Any, y: None = None) -> Self:
        """Finds the concepts of `A`; `y` is there for pipelines and not used.

        Args:
            A: as in `factorize`; an iterator, which can be read only once, goes through `partial_fit`.
        """
        if not isinstance(A, Iterator):
            self.fit_transform(A, y)
            return self
        self._stream = Stream(self.n_components, self.random_state)
        for block in A:
            self.partial_fit(block)
        self._concepts()
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
            threads=self.threads,
        )
        self.__dict__.pop("_stream", None)
        self._take_over(found)
        self.n_samples_seen_ = int(found.H.shape[0])
        return found.H

    def partial_fit(self, A: Any, y: None = None) -> Self:  # noqa: ARG002
        """Takes in more rows, of which it keeps a sample; concepts are found when they are next asked for.

        The first call forgets what `fit` found. Rows that come one time only can be learned from so; their
        coefficients are `transform`'s.

        Args:
            A: `(rows, c)`; the same sequence of calls gives the same bits.

        Raises:
            ArrayError: when the rows are negative, not finite, or not like those before.
        """
        if not hasattr(self, "_stream"):
            self._stream = Stream(self.n_components, self.random_state)
        self._stream.add(A)
        for name in [name for name in self.__dict__ if name.endswith("_")]:
            del self.__dict__[name]
        self.n_samples_seen_ = self._stream.rows
        return self

    def transform(self, A: Any) -> Array:
        """Coefficients `(N, k)` of new rows for the concepts found, by non-negative least squares.

        Raises:
            UsageError: before `fit`.
            ArrayError: when the rows are not like those of `fit`.
        """
        return nonnegative_least_squares(A, self._concepts(), self.threads)

    def inverse_transform(self, H: Any) -> Array:
        """`HW`: the rows that coefficients `H (N, k)` stand for."""
        return H @ self._concepts()

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """The parameters, as scikit-learn's tools ask for them."""
        names = ("n_components", "solver", "max_iter", "tol", "starts", "random_state", "threads")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Changes parameters; an unknown one is a `UsageError`."""
        for name, value in params.items():
            if name not in self.get_params():
                raise UsageError(f"DFF has no parameter {name!r}; it has {', '.join(self.get_params())}")
            setattr(self, name, value)
        return self

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is not there: what `partial_fit` left to be found.
        if not name.startswith("_") and name.endswith("_") and "_stream" in self.__dict__:
            self._take_over(self._stream.solved(self.starts))
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _take_over(self, found: Any) -> None:
        self.components_ = found.W
        self.loss_ = found.loss
        self.reconstruction_err_ = found.reconstruction_err
        self.kkt_ = found.kkt
        self.n_iter_ = found.n_iter
        self.converged_ = found.converged
        self.stopped_ = found.stopped
        self.n_features_in_ = int(found.W.shape[1])

    def _concepts(self) -> Array:
        if not hasattr(self, "components_"):
            raise UsageError("DFF: call fit(A) before transform")
        return self.components_
