"""Revisited Oxford and Paris (Radenovic et al., CVPR 2018): 70 queries each, three protocols, queries not searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dff_onnx.datasets.named_pictures import FARTHEST, named_pictures, query_box, query_names
from dff_onnx.datasets.paths import first_twice, is_file, needed_folder, read_bytes
from dff_onnx.datasets.plain_pickle import PickledArray, read_pickle
from dff_onnx.datasets.retrieval_set import Relevance, RetrievalQuery, RetrievalSet, relevance
from dff_onnx.errors import DatasetError

LARGEST = 64 * 2**20  # bytes of the ground truth; that of RParis6k has less than one million
MOST = 10_000_000  # indexes that all queries may list together
FILES = "gnd_*.pkl"
NAMES: Mapping[tuple[int, int], str] = {(70, 4993): "ROxford5k", (70, 6322): "RParis6k"}  # by queries and pictures
# What is to be found, and what is looked over, under each protocol.
PROTOCOLS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}


def read_revisited(root: str | Path, truth: str | Path | None = None) -> RetrievalSet:
    """Reads `gnd_roxford5k.pkl` or `gnd_rparis6k.pkl` and finds its pictures below a folder.

    The pickle is `{"imlist": names, "qimlist": names, "gnd": [{"bbx", "easy", "hard", "junk"}]}`, its indexes from 0.
    It is read without being executed; anything but numbers, texts and lists in it is refused.

    Args:
        root: that the pictures lie below, in any folders.
        truth: the pickle; None: the only `gnd_*.pkl` in `root`.

    Raises:
        DatasetError: naming the file, when it is missing, damaged, holds what no ground truth needs, names a picture
            twice or one that is not there, an index is beyond the list, or a box does not fit its picture.
    """
    root = needed_folder(root, "the folder that holds the pictures")
    path = _truth_file(root, truth)
    data = read_bytes(path, LARGEST)
    try:
        fields = _fields(read_pickle(data))
        names, asked = _names(fields, "imlist"), _names(fields, "qimlist")
        if twice := first_twice(names):
            raise DatasetError(f"its imlist has the name {twice[:80]!r} twice")
        records = fields.get("gnd")
        if type(records) is not list or len(records) != len(asked) or not asked:
            raise DatasetError(f"its gnd is no list of {len(asked)} queries, of which one at least is needed")
        known = [_known(one, len(names)) for one in records]
        if sum(sum(map(len, one.values())) for one in known) > MOST:
            raise DatasetError(f"lists more than {MOST} pictures")
        boxes = [_corners(one) for one in records]
        truths = [{name: _relevance(one, name) for name in PROTOCOLS} for one in known]
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}; fetch it again") from error
    pictures = named_pictures(root)
    images = tuple(pictures.of(name, path) for name in names)
    queries = []
    for stem, name, corners, one in zip(asked, query_names(asked), boxes, truths, strict=True):
        picture = pictures.of(stem, path)
        queries.append(RetrievalQuery(name, picture, None, query_box(corners, picture, path), one))
    title = NAMES.get((len(queries), len(images)), root.resolve().name)
    return RetrievalSet(title, root, images, tuple(queries), tuple(PROTOCOLS))


def _truth_file(root: Path, truth: str | Path | None) -> Path:
    if truth is not None:
        return Path(truth)
    found = sorted(path for path in root.glob(FILES) if is_file(path))
    if len(found) != 1:
        raise DatasetError(f"{root}: has {len(found)} files {FILES}, and one is needed; give the ground truth's file")
    return found[0]


def _fields(value: Any) -> dict[Any, Any]:
    if type(value) is not dict:
        raise DatasetError("its pickle holds no table of imlist, qimlist and gnd")
    return value


def _names(fields: Mapping[Any, Any], key: str) -> list[str]:
    names = fields.get(key)
    if type(names) is not list or not names or not all(type(name) is str and name.isprintable() for name in names):
        raise DatasetError(f"its {key} is no list of names")
    return names


def _known(record: Any, images: int) -> dict[str, list[int]]:
    """The lists of one query; no picture is in two of them."""
    found = {key: _indexes(_fields(record).get(key), key, images) for key in ("easy", "hard", "junk")}
    together = [index for one in found.values() for index in one]
    if len(set(together)) != len(together):
        raise DatasetError("a picture is twice in the lists of a query")
    return found


def _indexes(value: Any, key: str, images: int) -> list[int]:
    size = value.size if isinstance(value, PickledArray) else len(value) if type(value) in (list, tuple) else None
    if size is None or size > images:
        raise DatasetError(f"its {key} is no list of at most {images} pictures")
    plain = value.numbers().reshape(-1).tolist() if isinstance(value, PickledArray) else list(value)
    if not all(type(index) is int and 0 <= index < images for index in plain):
        raise DatasetError(f"its {key} has something else than indexes from 0 to {images - 1}")
    return plain


def _corners(record: Any) -> list[float]:
    value = record.get("bbx")
    if isinstance(value, PickledArray) and value.size == 4:
        value = value.numbers().reshape(-1).tolist()
    if type(value) not in (list, tuple) or len(value) != 4 or not all(map(_is_pixel, value)):
        raise DatasetError("a bbx is no box x1 y1 x2 y2")
    return [float(one) for one in value]


def _is_pixel(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= FARTHEST


def _relevance(known: Mapping[str, list[int]], protocol: str) -> Relevance:
    good, ignored = PROTOCOLS[protocol]
    return relevance([i for key in good for i in known[key]], [i for key in ignored for i in known[key]])
