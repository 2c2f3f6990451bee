"""Pictures in chunks: neighbours in the sorted list whose rows of `A` are one part of the factorization.

A picture's chunk depends on its place in the list alone, also where others of the list cannot be read. So whoever works
on a chunk knows its blocks without asking what became of the rest, and a run on a cluster adds up the same sums.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from dff_onnx.factorization import whole_images

LEAST, MOST = 64, 1024  # pictures of a chunk
CHUNKS = 256


def chunk_size(pictures: int) -> int:
    """Pictures of a chunk: 64, or twice as many until there are no more than 256 chunks, but 1024 at most.

    >>> chunk_size(100), chunk_size(20_000), chunk_size(10**9)
    (64, 128, 1024)
    """
    size = LEAST
    while size < MOST and size * CHUNKS < pictures:
        size *= 2
    return size


def cut_by_chunks(
    paths: Sequence[Path], cells: Sequence[int], missing: Sequence[Path] = ()
) -> tuple[list[int], list[int]]:
    """Rows of each block, and blocks of each chunk.

    Args:
        paths: of the pictures that were read, in sorted order.
        cells: rows of each.
        missing: paths of those that could not be read.

    >>> names = [Path(f"{i:03}.jpg") for i in range(70)]
    >>> cut_by_chunks(names[1:], [2000] * 69, names[:1])[1]
    [63, 6]
    """
    size = chunk_size(len(paths) + len(missing))
    listed = sorted([*paths, *missing], key=lambda path: os.fsencode(path.as_posix())) if missing else paths
    places = {path: place for place, path in enumerate(listed)}
    numbered = zip((places[path] // size for path in paths), cells, strict=True)
    chunks = [whole_images([rows for _, rows in chunk]) for _, chunk in groupby(numbered, key=lambda one: one[0])]
    return [rows for chunk in chunks for rows in chunk], [len(chunk) for chunk in chunks]
