"""Whether a run's concepts are what the classifier behind their layer goes by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.backbone.runtime import Device
from dff_onnx.backbone.session import Backbone
from dff_onnx.backbone.tail import Tail
from dff_onnx.concepts.behind import AnyScores, HeadScores, Scores
from dff_onnx.concepts.faithfulness import DESIGNS, Activity, Measured, control, faithfulness
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.metrics import Interval, bootstrap_interval
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.figures import Curves, FaithfulnessFound
from dff_onnx.runs.collect import Collected

MOST_PICTURES = 64


def scores_behind(backbone: Backbone) -> Scores:
    """The network behind a backbone's layer: its head where that is known to be linear, else what the file holds.

    Args:
        backbone: of a classifier.

    Raises:
        UsageError: when no scores come from the layer alone, or there are not at least two classes.
        DeviceError: when the rest of the network does not run where the backbone does.
    """
    scores = HeadScores(backbone.head) if backbone.head is not None else _tail(backbone)
    if scores.classes < 2:
        raise UsageError(
            f"--faithfulness: {backbone.path}: gives one score, and a picture's first class of at least two is looked "
            "at; leave --faithfulness out, or take a classifier of more classes"
        )
    return scores


def _tail(backbone: Backbone) -> Scores:
    device: Device = "cpu" if backbone.device == "cpu" else "cuda"
    try:
        # Calls run side by side, one for each core.
        tail = Tail.open(backbone.path, backbone.fingerprint.layer, None, device, 1)
    except ModelError as error:
        raise UsageError(
            f"--faithfulness: needs the scores of a classifier behind the layer; {error}; leave --faithfulness out, or "
            "take a classifier and a layer that everything passes as it is"
        ) from error
    return AnyScores(tail, tail.classes)


def faithfulness_of(
    rows: Collected,
    H: NDArray[np.float32],
    W: NDArray[np.float32],
    scores: Scores,
    seed: int = 0,
    progress: Progress | None = None,
) -> FaithfulnessFound:
    """Measures concepts, and as many random ones, on at most 64 pictures that lie evenly in the set.

    Args:
        rows: the activations.
        H, W: `(N, k)` and `(k, c)`, of these rows.
        scores: see `scores_behind`.
        seed: of all draws; equal input and seed give equal figures.
        progress: follows the pictures.

    Raises:
        ModelError: when a score is not finite, or the network fails on these features.
    """
    progress = progress or Silent()
    chosen = evenly(len(rows.seen), MOST_PICTURES)
    everything = Activity(rows.A, rows.grids)
    taken = [everything.slices[i] for i in chosen]
    A = np.concatenate([np.asarray(to_numpy(rows.A[part, :]), np.float32) for part in taken])
    pictures = Activity(A, [rows.grids[i] for i in chosen])
    progress.start("asking the classifier", 2 * len(chosen))
    found = faithfulness(pictures, np.concatenate([H[part] for part in taken]), W, scores, progress, DESIGNS, seed)
    progress.start("asking about random concepts", None)
    other = control(pictures, len(W), scores, Silent(), DESIGNS, seed)
    return FaithfulnessFound(len(chosen), DESIGNS, "probability", _curves(found), _curves(other))


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, as far apart as can be.

    >>> evenly(5, 3), evenly(2, 3)
    ([0, 2, 4], [0, 1])
    """
    return [round(place) for place in np.linspace(0, count - 1, min(count, most)).tolist()]


def _curves(found: Measured) -> Curves:
    ones, one_set = np.ones_like(found.probability), np.zeros(len(found.probability))

    def intervals(columns: NDArray[np.float64], below: NDArray[np.float64]) -> tuple[Interval, ...]:
        return tuple(bootstrap_interval(column, below, one_set) for column in columns.T)

    return Curves(
        fidelity=bootstrap_interval(found.kept, ones, one_set),
        deletion=intervals(found.deletion, found.probability),
        insertion=intervals(found.insertion, found.probability),
        importance=intervals(found.importance, ones),
    )
