"""Masks as a COCO instances file, written picture by picture: all the masks of a large set need not be in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.files import open_atomically
from dff_onnx.report.coco_masks import rle
from dff_onnx.report.found import ImageFound

# Place of the picture, place of the name, mask (H, W), score.
AddMask = Callable[[int, int, NDArray[np.bool_], float], None]


@contextmanager
def coco_instances(path: Path, images: Sequence[ImageFound], names: Sequence[str]) -> Iterator[AddMask]:
    """Opens the file; what the block gets adds a mask to it. Masks without a pixel are passed over.

    Ids count from 1, as COCO's tools want them.

    Raises:
        OutputError: when it cannot be written.
    """
    number = 0
    with open_atomically(path) as file:

        def add(image: int, name: int, mask: NDArray[np.bool_], score: float) -> None:
            nonlocal number
            if mask.any():
                file.write(b",\n  " if number else b"\n  ")
                number += 1
                ids = {"id": number, "image_id": image + 1, "category_id": name + 1}
                file.write(_compact(ids | _fields(mask) | {"score": float(f"{score:.9g}")}))

        file.write(b'{\n "info": {"description": "dff-onnx, masks"},\n "categories": [')
        file.write(_lines({"id": n, "name": name} for n, name in enumerate(names, 1)))
        file.write(b'],\n "images": [')
        file.write(_lines(_image(n, image) for n, image in enumerate(images, 1)))
        file.write(b'],\n "annotations": [')
        yield add
        file.write(b"\n ]\n}\n")


def _fields(mask: NDArray[np.bool_]) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": rle(mask),
    }


def _image(number: int, image: ImageFound) -> dict[str, Any]:
    return {"id": number, "file_name": image.path, "width": image.size.width, "height": image.size.height}


def _lines(entries: Iterator[dict[str, Any]]) -> bytes:
    return b",".join(b"\n  " + _compact(entry) for entry in entries) + b"\n "


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False).encode()
