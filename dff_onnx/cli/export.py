"""`dff-onnx export`."""

from __future__ import annotations


def export() -> None:
    """To be written."""
