"""Small sets in the layout of CUB-200-2011."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LISTS = ("images", "image_class_labels", "classes", "train_test_split", "bounding_boxes")


class Bird(NamedTuple):
    """A line of each list: name below `images`, class from 1, flag, and box as text."""

    name: str
    label: int
    train: int
    box: str


def write_lists(root: Path, birds: Sequence[Bird], classes: Sequence[str]) -> Path:
    """The five lists; the pictures are the caller's."""
    root.mkdir(parents=True, exist_ok=True)
    columns = {
        "images": [bird.name for bird in birds],
        "image_class_labels": [bird.label for bird in birds],
        "classes": classes,
        "train_test_split": [bird.train for bird in birds],
        "bounding_boxes": [bird.box for bird in birds],
    }
    for name, values in columns.items():
        (root / f"{name}.txt").write_text("".join(f"{n} {value}\n" for n, value in enumerate(values, 1)))
    return root
