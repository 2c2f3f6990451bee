"""A group's pictures through the network, once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets import Annotated, Group
from dff_onnx.errors import DatasetError, ImageError, NoImagesError
from dff_onnx.files import printable
from dff_onnx.images import Resize, read_picture
from dff_onnx.progress import Progress
from dff_onnx.report.found import Failure
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.keep import Keep


@dataclass(frozen=True, slots=True)
class Gathered:
    """The usable pictures of a group.

    Attributes:
        name: of the group.
        rows: their activations.
        annotated: what is known of each, in the order of `rows.seen`.
    """

    name: str
    rows: Collected
    annotated: tuple[Annotated, ...]


def gather(
    group: Group, root: Path, activations: Activations, resize: Resize, progress: Progress, keep: Keep | None = None
) -> tuple[Gathered | None, tuple[Failure, ...]]:
    """Runs a group's pictures through the network, sorted by their paths.

    Args:
        group: of a data set.
        root: that all its pictures lie below.
        activations, resize, progress, keep: as in `collect`; the stage is the caller's.

    Returns:
        the pictures, None where not one can be used, and those that cannot be.

    Raises:
        DatasetError: when a picture is there twice, or lies outside the root.
        ModelError, OutputError: as `collect`.
    """
    known = _by_path(group, root)
    paths = sorted(known, key=os.fsencode)
    try:
        rows = collect(root, paths, activations, resize, progress, keep)
    except NoImagesError:
        return None, tuple(_reasons(root, paths, resize))
    failures = tuple(_failure(error) for error in rows.failures)
    return Gathered(group.name, rows, tuple(known[seen.path] for seen in rows.seen)), failures


def _by_path(group: Group, root: Path) -> dict[Path, Annotated]:
    known: dict[Path, Annotated] = {}
    for one in group.pictures:
        if not one.picture.is_relative_to(root):
            raise DatasetError(f"{one.picture}: lies outside {root}, to which the paths of results are relative")
        if known.setdefault(one.picture.relative_to(root), one) is not one:
            raise DatasetError(f"{one.picture}: is in the group {group.name!r} twice")
    return known


def _reasons(root: Path, paths: Sequence[Path], resize: Resize) -> list[Failure]:
    """Why each picture of a group that has no usable one cannot be used."""
    found = []
    for path in paths:
        try:
            read_picture(root / path, resize)
        except ImageError as error:
            found.append(_failure(ImageError(path, error.reason)))
    return found


def _failure(error: ImageError) -> Failure:
    return Failure(printable(error.path), error.reason)
