"""A backbone that counts what it looks at, and breaks off where an evaluation is to be ended."""

from __future__ import annotations

from typing import Any

from fake_backbone import Colours

from dff_onnx.errors import OutputError


class Counting(Colours):
    """Counts the pictures that it sees, and fails when they are too many."""

    workers = 1

    def __init__(self, most: int = 1000, error: type[Exception] = OutputError) -> None:
        self.seen, self._most, self._error = 0, most, error

    def __call__(self, pixels: Any) -> Any:
        if self.seen + len(pixels) > self._most:
            raise self._error("no more")
        self.seen += len(pixels)
        return super().__call__(pixels)
