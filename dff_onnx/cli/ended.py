"""Programs that somebody ends by a signal."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from types import FrameType

# Commands that take up what they did before they were ended.
RESUMED = ("run", "apply", "tree", "cam", "index", "models")
RESUMED_EVALUATIONS = ("coseg", "corloc", "parts", "finegrained", "retrieval", "where")  # where they have a folder


class EndedError(BaseException):
    """A signal came. An exception, so that `finally` blocks run and no half-written file stays behind.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As shells have it."""
        return 128 + self.number

    def told(self, words: Sequence[str]) -> str:
        """What a person is told then: the command that goes on.

        Args:
            words: that the program was called with.
        """
        again = shlex.join(["dff-onnx", *words])
        does = "goes on from where it was" if _is_taken_up(words) else "begins it again"
        return f"dff-onnx: ended by {signal.Signals(self.number).name}; this {does}: {again}"


def _is_taken_up(words: Sequence[str]) -> bool:
    if any(word.startswith("--cluster") for word in words):
        return False
    if words[:1] == ["eval"]:
        kept = any(word.startswith(("-o", "--output")) for word in words)
        return kept and not set(RESUMED_EVALUATIONS).isdisjoint(words[1:2])
    return bool(words) and words[0] in RESUMED


def heed_signals() -> None:
    """From now on Ctrl-C and SIGTERM raise an EndedError, where the program was not started to ignore them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, or in a shell's background
            signal.signal(number, _ended)


def _ended(number: int, _frame: FrameType | None) -> None:
    raise EndedError(number)
