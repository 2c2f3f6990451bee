"""`--like BANK`: what a new factorization found takes over the colours and names of a bank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.bank import Bank
from dff_onnx.concepts.edits import check_channels, check_concepts, free_colours
from dff_onnx.concepts.matching import alike
from dff_onnx.report.found import LikeFound
from dff_onnx.report.palette import colour, hexadecimal


@dataclass(frozen=True, slots=True)
class Dress:
    """How a concept appears.

    Attributes:
        name: None where the bank knows no such concept, or has no name for it.
        colour: `#rrggbb`.
        like: the concept of the bank that both come from; None where there is none.
    """

    name: str | None
    colour: str
    like: LikeFound | None


def dressed(W: NDArray[np.float32], bank: Bank) -> tuple[Dress, ...]:
    """Names and colours for new concepts.

    A concept takes those of the concept of the bank that it is matched with, one to one, where their cosine is at least
    `matching.LIKE`. The others have no name, and the first colours of the palette that no concept of the bank has.

    Args:
        W: `(k, c)` concepts, of the bank's fingerprint (`check_belongs`).
        bank: with concepts.

    Returns:
        one for each new concept, by number.

    Raises:
        UsageError: for a bank of foreground mode.
        BankError: when the bank's concepts have another number of channels.
    """
    check_concepts(bank)
    check_channels(bank, W.shape[1])
    matches = {one.ours: one for one in alike(W, bank.W)}
    free = free_colours(bank.colours, _hexadecimal)
    found = []
    for number in range(len(W)):
        if number in matches:
            one = matches[number]
            found.append(Dress(bank.names[one.theirs], bank.colours[one.theirs], LikeFound(one.theirs, one.cosine)))
        else:
            found.append(Dress(None, next(free), None))
    return tuple(found)


def _hexadecimal(number: int) -> str:
    return hexadecimal(colour(number))
