"""`dff-onnx layers`."""

from __future__ import annotations


def layers() -> None:
    """To be written."""
