"""Rows that come once: a sample of them is kept, and factorized when concepts are wanted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dff_onnx.errors import ArrayError
from dff_onnx.factorization.factorize import factorize
from dff_onnx.factorization.result import Factorization
from dff_onnx.factorization.rows import rows_of
from dff_onnx.factorization.survey import Tally, facts_of


class Stream:
    """Takes blocks of rows, one after the other.

    Args:
        k: rank that the sample is to serve.
        seed: of the sample and the starts.
    """

    def __init__(self, k: int, seed: int) -> None:
        self._tally, self._k, self._seed, self._blocks = Tally(k), k, seed, 0

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return self._tally.count

    def add(self, A: Any) -> None:
        """Takes the rows of `A (rows, c)`.

        Raises:
            ArrayError: when they are negative, not finite, or not like those before.
        """
        for _, A_b in rows_of(A):
            facts = facts_of(A_b, self._blocks, self._seed)
            if not math.isfinite(facts.high):
                raise ArrayError("A: values are so large that their squares overflow; divide all rows by a constant")
            self._tally.add(A_b, facts)
            self._blocks += 1

    def solved(self, starts: int) -> Factorization:
        """The factorization of the sample: its loss estimates that of all rows."""
        found = factorize(self._tally.sample(), self._k, seed=self._seed, starts=starts)
        error = math.sqrt(found.loss * self._tally.norm)
        return replace(found, reconstruction_err=error, n_iter=0)
