"""DFF descriptors: what the concepts of one picture say of it, and of its parts.

Collins, Susstrunk: "Deep feature factorization for content-based image retrieval and localization" (ICIP 2019). Their
exact recipe is not published in full; this is R-MAC's, with concepts in the place of squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import at_least_single, double
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.linear_head import unit_length
from dff_onnx.retrieval.pooling import normalized
from dff_onnx.retrieval.whitening import Whitening

Weights = Literal["equal", "energy", "root"]
Size = Literal["unit", "peak"]


@dataclass(frozen=True, slots=True, eq=False)
class ConceptDescriptors:
    """The vectors of one picture.

    Attributes:
        image: `(d,)` of the picture, of unit length.
        concepts: `(k, d)` of its parts, each of unit length; zeros for a concept that nothing uses.
        shares: `(k,)` float64, of the concepts' energy `||H_j||^2 ||W_j||^2`; their sum is 1.
    """

    image: Array
    concepts: Array
    shares: Array


def concept_descriptors(
    W: Array,
    H: Array,
    whitening: Whitening | None = None,
    weights: Weights = "equal",
    size: Size = "unit",
) -> ConceptDescriptors:
    """The descriptors of a picture that was factorized alone; order and scale of its concepts do not matter.

    Args:
        W: `(k, c)` concepts of the picture.
        H: `(cells, k)` coefficients.
        whitening: learnt on the `concept_vectors` of other pictures, of the same size.
        weights: of the concepts in the sum: 1, the share of the energy, or its square root.
        size: of concepts when they are whitened; without a whitening it makes no difference.

    Returns:
        vectors of the type of `W`; zeros for a picture of zeros.

    Raises:
        ArrayError: when W and H do not belong together.
        UsageError: for weights or a size that are none of these.

    >>> import numpy as np
    >>> concept_descriptors(np.array([[3.0, 0.0], [0.0, 2.0]]), np.ones((5, 2))).image.round(4).tolist()
    [0.7071, 0.7071]
    """
    for named, choices in ((weights, Weights), (size, Size)):
        if named not in get_args(choices):
            raise UsageError(f"descriptors: {named!r} is not one of {', '.join(get_args(choices))}")
    xp = namespace_of(W, H)
    shares = energy_shares(W, H)
    vectors = concept_vectors(W, H, size)
    vectors = unit_length(vectors if whitening is None else whitening(vectors))
    image = added_up(vectors, concept_weights(shares, weights))
    dtype = at_least_single(W).dtype
    return ConceptDescriptors(xp.astype(image, dtype), xp.astype(vectors, dtype), shares)


def added_up(vectors: Array, weights: Array) -> Array:
    """The vector of a picture, `(d,)` of unit length, from those of its parts: concepts, squares, or the whole.

    Args:
        vectors: `(p, d)`, whitened where they shall be.
        weights: `(p,)` in the sum.

    >>> import numpy as np
    >>> added_up(np.eye(2), np.array([3.0, 4.0])).tolist()
    [0.6, 0.8]
    """
    xp = namespace_of(vectors, weights)
    return normalized(xp.sum(weights[:, None] * vectors, axis=0, keepdims=True))[0, :]


def concept_weights(shares: Array, weights: Weights) -> Array:
    """Of concepts in the sum, `(k,)`: 1, their shares of the energy, or the square roots of these.

    >>> import numpy as np
    >>> concept_weights(np.array([0.25, 0.0]), "root").tolist()
    [0.5, 0.0]
    """
    xp = namespace_of(shares)
    return {"equal": xp.ones_like, "energy": lambda same: same, "root": xp.sqrt}[weights](shares)


def concept_vectors(W: Array, H: Array, size: Size = "unit") -> Array:
    """Concepts before they are whitened, `(k, c)` float64.

    Args:
        W: `(k, c)` concepts.
        H: `(cells, k)` coefficients.
        size: `unit` length, or `peak`: as large as the part of the activations where the concept is strongest.

    Returns:
        zeros for a concept that nothing uses; leave those out when learning a whitening.

    Raises:
        ArrayError: when W and H do not belong together.

    >>> import numpy as np
    >>> concept_vectors(np.array([[3.0, 4.0]]), np.array([[1.0], [2.0]]), "peak").tolist()
    [[6.0, 8.0]]
    """
    _check(W, H)
    xp = namespace_of(W, H)
    peaks = xp.max(double(H), axis=0)[:, None]
    vectors = double(W) * peaks if size == "peak" else unit_length(double(W))
    return xp.where(peaks > 0, vectors, xp.zeros_like(vectors))


def energy_shares(W: Array, H: Array) -> Array:
    """Each concept's part of the energy `||H_j||^2 ||W_j||^2`, `(k,)` float64; zeros where there is none.

    Args:
        W: `(k, c)` concepts.
        H: `(cells, k)` coefficients.

    Raises:
        ArrayError: when W and H do not belong together.

    >>> import numpy as np
    >>> energy_shares(np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([[3.0, 1.0]])).tolist()
    [0.5, 0.5]
    """
    _check(W, H)
    xp = namespace_of(W, H)
    energy = xp.sum(double(H) ** 2, axis=0) * xp.sum(double(W) ** 2, axis=1)
    total = xp.sum(energy)
    return energy / xp.where(total > 0, total, xp.ones_like(total))


def _check(W: Array, H: Array) -> None:
    if W.ndim != 2 or H.ndim != 2 or W.shape[0] != H.shape[1] or 0 in (*W.shape, *H.shape):
        raise ArrayError(
            f"concepts W (k, c) and coefficients H (cells, k) are needed, found {tuple(W.shape)} and {tuple(H.shape)}"
        )
