"""What a group of pictures shows, by a classifier's own head, and where: class maps of the class of most pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.graph import resolve_layer
from dff_onnx.backbone.head import find_head
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.protocol import Activations
from dff_onnx.cam.class_maps import probabilities
from dff_onnx.cam.vote import Vote, majority_class
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.evaluation.systems import System, class_systems
from dff_onnx.linear_head import LinearHead
from dff_onnx.maps import offsets
from dff_onnx.runs.collect import Collected
from dff_onnx.runs.mapping import head_mapping


@dataclass(frozen=True, slots=True)
class Voted:
    """A group's class, and its map in each picture.

    Attributes:
        vote: for the class.
        maps: `(1, h, w)` of each picture.
    """

    vote: Vote
    maps: tuple[NDArray[np.float32], ...]


def voted(rows: Collected, head: LinearHead) -> Voted:
    """Asks a classifier about a group whose activations are there, one picture after the other.

    Args:
        rows: of the layer that the head looks at.
        head: of the classifier.
    """
    mapping = head_mapping("cam", head)
    bounds = zip(pairwise(offsets(rows.grids)), rows.grids, strict=True)
    pictures = [rows.A[a:b, :].reshape(1, grid.height, grid.width, -1) for (a, b), grid in bounds]
    vote = majority_class(probabilities(np.concatenate([mapping.scores(A) for A in pictures])))
    wanted = np.full((1, 1), vote.number, np.intp)
    return Voted(vote, tuple(np.asarray(mapping.maps(A, wanted)[0], np.float32) for A in pictures))


def class_layer(path: str | Path, systems: Sequence[System], layer: str | None = None) -> str | None:
    """The layer to open: where systems make class maps, the one that the network's head looks at.

    Args:
        path: of the network; of a whole classifier where systems make class maps.
        systems: that are evaluated.
        layer: that was asked for.

    Returns:
        `layer` where no system makes class maps.

    Raises:
        ModelError: when the network has no head that is pooled and linear, or several.
        UsageError: when the head looks at another layer than was asked for.
    """
    names = " and ".join(class_systems(systems))
    if not names:
        return layer
    file = load_model(Path(path))
    try:
        features = find_head(file).features
    except ModelError as error:
        raise ModelError(
            f"{file.path}: {names}: needs a whole classifier with one head, pooled and linear, and this file has none; "
            f"give another --model, or leave {names} out of --systems"
        ) from error
    if layer is not None and resolve_layer(file.model, layer, file.path) != features:
        raise UsageError(
            f"--layer {layer}: the head of {file.path} looks at {features}, and {names} must look there too; use "
            f"--layer {features}, or leave {names} out of --systems"
        )
    return features


def check_head(activations: Activations, systems: Sequence[System]) -> None:
    """Raises `UsageError` where systems make class maps and no head looks at these activations."""
    names = " and ".join(class_systems(systems))
    if names and activations.head is None:
        raise UsageError(
            f"--systems: {names}: needs what a classifier's head looks at, and no head looks at "
            f"{activations.fingerprint.layer}; take its --layer without --rectify and --split, or leave {names} out"
        )
