"""Small retrieval sets in the layouts of the real ones."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from layouts import structures, write_picture
from scipy.io import savemat

WIDTH, HEIGHT = 40, 30
BOX = "2.5 3.4 20.6 29.9"  # to whole pixels: 2 3 21 30


def write_pictures(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        write_picture(folder / f"{name}.jpg", WIDTH, HEIGHT)


def write_oxford_query(folder: Path, name: str, query: str, **lists: Sequence[str]) -> None:
    """A query with its lists `good`, `ok` and `junk`; those not given are empty."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_query.txt").write_text(f"{query}\n")
    for kind in ("good", "ok", "junk"):
        (folder / f"{name}_{kind}.txt").write_text("".join(f"{one}\n" for one in lists.get(kind, ())))


def write_oxford(root: Path) -> Path:
    """Pictures in `jpg`, two queries in `gt_files`."""
    write_pictures(root / "jpg", ["all_souls_000013", "all_souls_000026", "all_souls_000051", "ashmolean_7", "xyz"])
    folder = root / "gt_files"
    write_oxford_query(
        folder, "all_souls_1", f"oxc1_all_souls_000013 {BOX}",
        good=["all_souls_000013", "all_souls_000051"], ok=["all_souls_000026"], junk=["xyz"],
    )  # fmt: skip
    write_oxford_query(folder, "ashmolean_1", "oxc1_ashmolean_7 0 0 40 30", good=["ashmolean_7"])
    return root


REVISITED: Mapping[str, Any] = {
    "imlist": ["a1", "a2", "a3", "b1", "b2"],
    "qimlist": ["q1", "q2"],
    "gnd": [
        {"bbx": [2.5, 3.4, 20.6, 29.9], "easy": [0], "hard": [2, 1], "junk": [4]},
        {"bbx": [0.0, 0.0, 40.0, 30.0], "easy": [], "hard": [3], "junk": []},
    ],
}


def write_revisited(root: Path, truth: Any = REVISITED, protocol: int = 2) -> Path:
    """Pictures in `jpg`, the ground truth beside it; gives its file."""
    write_pictures(root / "jpg", ["a1", "a2", "a3", "b1", "b2", "q1", "q2"])
    path = root / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps(truth, protocol=protocol))
    return path


INSTRE_IMAGES = ["S1/a/1.jpg", "S1/a/2.jpg", "S1/b/1.jpg", "M/ab/1.jpg"]
INSTRE_QUERIES = ["S1/a/9.jpg", "M/ab/9.jpg", "M/ab/9.jpg"]
INSTRE_KNOWN: Sequence[tuple[Any, Any]] = (
    ([[1.0, 2.0, 4.0]], [[1.0, 2.0, 10.0, 20.0]]),
    ([[4.0], [1.0]], [[0.0, 0.0, 20.0, 30.0]]),
    (np.array([[3, 4]], np.uint16), np.array([[20, 0, 40, 30]], np.uint16)),
)


def cells(values: Sequence[Any]) -> Any:
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


def write_instre(
    root: Path,
    known: Sequence[tuple[Any, Any]] = INSTRE_KNOWN,
    images: Sequence[str] = INSTRE_IMAGES,
    queries: Sequence[str] = INSTRE_QUERIES,
) -> Path:
    """The pictures and `gnd_instre.mat`; gives its file."""
    for name in (*INSTRE_IMAGES, *INSTRE_QUERIES):
        write_picture(root / name, WIDTH, HEIGHT)
    records = [{"ok": np.asarray(good), "bbx": np.asarray(box)} for good, box in known]
    data = io.BytesIO()
    savemat(data, {"imlist": cells(images), "qimlist": cells(queries), "gnd": structures(records)}, do_compression=True)
    path = root / "gnd_instre.mat"
    path.write_bytes(data.getvalue())
    return path
