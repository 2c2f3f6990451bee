"""What is handed in for one picture of ILSVRC: up to five guesses, each a class with a box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dff_onnx.errors import UsageError
from dff_onnx.records import Box

GUESSES = 5


@dataclass(frozen=True, slots=True)
class Guess:
    """One guess.

    Attributes:
        class_: its number.
        box: None where the class has none: the guess counts for the class alone.
    """

    class_: int
    box: Box | None


def top_guesses(ranked: Sequence[int], boxes: Sequence[Box | None], limit: int = GUESSES) -> tuple[Guess, ...]:
    """One box for each of the first classes.

    Args:
        ranked: classes, the most likely first.
        boxes: one for each, None where a class has none.
        limit: of the guesses.

    Raises:
        UsageError: when there are not as many boxes as classes.

    >>> top_guesses([7, 3], [Box(0, 0, 2, 2), None])
    (Guess(class_=7, box=Box(x0=0, y0=0, x1=2, y1=2)), Guess(class_=3, box=None))
    """
    _check(ranked, boxes)
    return tuple(Guess(number, box) for number, box in islice(zip(ranked, boxes, strict=True), limit))


def five_box_guesses(ranked: Sequence[int], boxes: Sequence[Sequence[Box]], limit: int = GUESSES) -> tuple[Guess, ...]:
    """The heuristic of the CAM paper's best result: two boxes of the first and the second class, one of the third.

    The released code writes the loose and the tight box of each class one after the other and takes the first five. A
    class with one box gives that one, and a class without any a guess without a box; the next class's boxes move up.

    Args:
        ranked: classes, the most likely first.
        boxes: of each class, loose, tight, and others that are not taken.
        limit: of the guesses.

    Raises:
        UsageError: when there are not as many lists of boxes as classes.

    >>> loose, tight = Box(0, 0, 9, 9), Box(2, 2, 5, 5)
    >>> [guess.class_ for guess in five_box_guesses([7, 3, 1], [[loose, tight]] * 3)]
    [7, 7, 3, 3, 1]
    >>> [guess.class_ for guess in five_box_guesses([7, 3, 1], [[loose], [], [loose, tight]])]
    [7, 3, 1, 1]
    """
    _check(ranked, boxes)
    return tuple(islice(_interleaved(ranked, boxes), limit))


def _interleaved(ranked: Sequence[int], boxes: Sequence[Sequence[Box]]) -> Iterator[Guess]:
    for number, mine in zip(ranked, boxes, strict=True):
        for box in mine[:2] or (None,):
            yield Guess(number, box)


def _check(ranked: Sequence[int], boxes: Sequence[object]) -> None:
    if len(ranked) != len(boxes):
        raise UsageError(f"guesses: boxes of {len(boxes)} classes are given for {len(ranked)}; give as many")
