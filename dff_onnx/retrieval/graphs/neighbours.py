"""The nearest neighbours of every vector of a set, exactly, the vector itself among them.

The answer is that of `retrieval.rank` to the bit. There a part of a database that need not fit into memory is compared
with all queries, whose products are kept together: of 500 000 queries, 16 GB. Here the set lies in memory, a few
vectors are compared with all of it, and one threshold each leaves hardly more candidates than neighbours.
"""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.helpers import row_blocks
from dff_onnx.arrays.order import kth_largest
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.products import Rows, exact_products, lowered, slack
from dff_onnx.retrieval.ranking import Ranking, first_places
from dff_onnx.threads import available_cores, in_order

PRODUCTS = 2**25  # at a time: 128 MiB in float32
MOST = 1024  # vectors at a time


def nearest_neighbours(vectors: Array, k: int) -> Ranking:
    """The k vectors of the largest dot product with each vector of a set.

    Args:
        vectors: `(n, c)` of unit length, float16 or float32; float64 is rounded to float32 first.
        k: how many, the vector itself among them; all where there are fewer. 50 for images and 200 for regions (Iscen,
            Tolias, Avrithis, Furon, Chum, CVPR 2017).

    Returns:
        `(n, k)` scores and indices; of equal scores, the lower index first.

    Raises:
        ArrayError: for another number of axes, or values that are not finite.
        UsageError: for a k below 1.

    >>> nearest_neighbours(np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]]), 2).indices.tolist()
    [[0, 2], [1, 2], [2, 1]]
    """
    if k < 1:
        raise UsageError(f"k: at least one is needed, found {k}")
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ArrayError(f"vectors (n, c) are needed, neither of them 0; found {tuple(vectors.shape)}")
    xp = namespace_of(vectors)
    rows = Rows.of(vectors, "vectors")
    n = vectors.shape[0]

    def found(block: slice) -> Ranking:
        return _nearest(Rows(rows.values[block, :], rows.lengths[block]), rows, min(k, n))

    workers = available_cores() if isinstance(vectors, np.ndarray) and n > MOST else 0
    with single_threaded_blas():
        parts = list(in_order(row_blocks(n, max(1, min(MOST, PRODUCTS // n))), found, workers))
    scores, indices = ([getattr(part, name) for part in parts] for name in ("scores", "indices"))
    return Ranking(xp.concat(scores, axis=0), xp.concat(indices, axis=0))


def _nearest(queries: Rows, every: Rows, k: int) -> Ranking:
    """The best of all for some of them."""
    xp = namespace_of(every.values)
    rough = queries.values @ every.values.T
    # Twice the slack: the k-th largest is as rough as what it is compared with.
    least = lowered(kth_largest(rough, k), 2 * slack(queries, every))
    owners, columns = xp.nonzero(rough >= least[:, None])
    scores = exact_products(queries.values, every.values, owners, columns)
    return first_places(owners, scores, columns, queries.values.shape[0], k)
