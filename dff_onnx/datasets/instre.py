"""INSTRE (Wang & Jiang, TOMM 2015) in the split of Iscen et al. (CVPR 2017): 1250 queries with boxes, 250 objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.datasets.matlab import Fields, Value, read_matlab
from dff_onnx.datasets.named_pictures import query_box, query_names
from dff_onnx.datasets.paths import first_twice, inside, is_file, needed_folder, read_bytes
from dff_onnx.datasets.retrieval_set import CLASSIC, RetrievalQuery, RetrievalSet, relevance
from dff_onnx.errors import DatasetError

LARGEST = 64 * 2**20  # bytes of the ground truth; that of the set has 200 kB
MOST = 10_000_000  # indexes that all queries may list together
FILE = "gnd_instre.mat"
NAMES: Mapping[tuple[int, int], str] = {(1250, 27293): "INSTRE"}  # by queries and pictures


def read_instre(root: str | Path, truth: str | Path | None = None) -> RetrievalSet:
    """Reads `gnd_instre.mat`: `imlist` and `qimlist` (paths), and `gnd` with positives and the box of each query.

    MATLAB counts pictures from 1; here they count from 0. Boxes are `x1 y1 x2 y2`. (The `.txt` files beside the
    pictures have `x y width height`, and some evaluators read the ground truth so, too: a box that does not fit is
    refused.)

    Args:
        root: that the paths begin at.
        truth: the file; None: `gnd_instre.mat` in `root`.

    Raises:
        DatasetError: naming the file, when it is missing, damaged or malformed, names a picture twice or one that is
            not there, an index is beyond the list, or a box does not fit its picture.
    """
    root = needed_folder(root, f"the folder that holds {FILE} and the pictures")
    path = root / FILE if truth is None else Path(truth)
    data = read_bytes(path, LARGEST)
    try:
        fields = read_matlab(data)
        names, asked = _names(fields, "imlist"), _names(fields, "qimlist")
        if twice := first_twice(names):
            raise DatasetError(f"its imlist has {twice[:80]!r} twice")
        known = _records(fields.get("gnd"), len(asked))
        if sum(one.size for one, _ in known) > MOST:
            raise DatasetError(f"lists more than {MOST} pictures")
        truths = [relevance(_indexes(one, len(names))) for one, _ in known]
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}; fetch it again") from error
    images = tuple(_picture(root, name, path) for name in names)
    queries = []
    for relative, name, (_, corners), one in zip(asked, query_names(asked), known, truths, strict=True):
        picture = _picture(root, relative, path)
        box = query_box(corners.reshape(-1).tolist(), picture, path)
        queries.append(RetrievalQuery(name, picture, None, box, {CLASSIC: one}))
    title = NAMES.get((len(queries), len(images)), root.resolve().name)
    return RetrievalSet(title, root, images, tuple(queries), (CLASSIC,))


def _names(fields: Fields, key: str) -> Sequence[str]:
    """A list of cells."""
    value = fields.get(key)
    if not isinstance(value, tuple) or not value:
        raise DatasetError(f"its {key} is no list of paths")
    names = [name for name in value if isinstance(name, str)]
    if len(names) < len(value):
        raise DatasetError(f"its {key} has something that is no text")
    return names


def _records(value: Value | None, queries: int) -> list[tuple[NDArray[np.generic], NDArray[np.generic]]]:
    """Positives and box of each query: the first two fields of a structure, whatever they are called, or two cells."""
    if not isinstance(value, list | tuple) or len(value) != queries:
        raise DatasetError(f"its gnd is no list of {queries} queries")
    found = []
    for one in value:
        parts = tuple(one.values()) if isinstance(one, dict) else one if isinstance(one, tuple) else ()
        good, box = parts[:2] if len(parts) >= 2 else (None, None)
        if not isinstance(good, np.ndarray) or not isinstance(box, np.ndarray) or box.size != 4:
            raise DatasetError("its gnd has a query without positives and box")
        found.append((good, box))
    return found


def _indexes(value: NDArray[np.generic], images: int) -> list[int]:
    """From 0; MATLAB's are from 1, and may be written as any kind of number."""
    plain = value.reshape(-1).tolist()
    wrong = [one for one in plain if not 1 <= one <= images or one != int(one)]
    if wrong:
        raise DatasetError(f"its gnd lists {wrong[0]}, and indexes from 1 to {images} are needed")
    if len(set(plain)) != len(plain):
        raise DatasetError("its gnd lists a picture twice for one query")
    return [int(one) - 1 for one in plain]


def _picture(root: Path, name: str, source: Path) -> Path:
    path = inside(root, name, source)
    if not is_file(path):
        raise DatasetError(f"{source}: there is no picture {path}; fetch the pictures again")
    return path
