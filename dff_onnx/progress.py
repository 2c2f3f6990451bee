"""How work says what it is doing, without knowing whether anyone watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Follows the stages of some work."""

    def start(self, stage: str, total: int | None = None) -> None:
        """A stage begins; `total` is how many steps it has, None where that is not known."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many more steps of the present stage are done."""
        ...


class Silent:
    """Nobody watches."""

    def start(self, stage: str, total: int | None = None) -> None:
        """Does nothing."""

    def advance(self, steps: int = 1) -> None:
        """Does nothing."""


def followed(items: Iterable[T], progress: Progress) -> Iterator[T]:
    """The items, each counted as a step once the next is asked for."""
    for item in items:
        yield item
        progress.advance()
