"""`dff-onnx cut`."""

from __future__ import annotations


def cut() -> None:
    """To be written."""
