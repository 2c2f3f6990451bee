"""What a classifier's head says of concepts: the classes that each one speaks for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.cam.class_maps import class_weights, ranked_classes
from dff_onnx.datasets.class_names import ClassNames, imagenet_names, names_for
from dff_onnx.linear_head import LinearHead
from dff_onnx.report.found import ClassWeight

SPOKEN_FOR = 3  # classes of a concept


@dataclass(frozen=True, slots=True)
class Evidence:
    """A head that looks at the activations that were factorized, and its classes' names."""

    head: LinearHead
    names: ClassNames


def spoken_for(
    W: NDArray[np.float32], peaks: NDArray[np.float32], evidence: Evidence | None
) -> Sequence[tuple[ClassWeight, ...]]:
    """The classes that answer most where nothing but a concept is seen, at its peak; none for one that is nowhere.

    A class that does not answer there, or answers against it, is none that the concept speaks for.

    Args:
        W: `(k, c)` concepts of unit length.
        peaks: `(k,)` their highest coefficients.
        evidence: None for a network without such a head.
    """
    if evidence is None:
        return [()] * len(W)
    weights = np.asarray(class_weights(W * peaks[:, None], evidence.head), np.float32)
    best = ranked_classes(weights, SPOKEN_FOR).tolist()
    names = evidence.names.apart()
    return [
        tuple(ClassWeight(n, names[n], float(weights[j, n])) for n in best[j] if peaks[j] > 0 and weights[j, n] > 0)
        for j in range(len(W))
    ]


def source_of(names: ClassNames) -> str:
    """Where names come from, as files have it; names that were given are told apart by a digest."""
    if names == names_for(len(names)):
        known = len(imagenet_names())
        return "imagenet" if len(names) in (known, known + 1) else "numbers"
    told = "\n".join(f"{synset or ''} {name}" for synset, name in zip(names.synsets, names.names, strict=True))
    return f"given {hashlib.sha256(told.encode()).hexdigest()[:16]}"
