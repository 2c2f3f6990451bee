"""Small data sets in exactly the layouts that their authors publish."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

WIDTH, HEIGHT = 12, 8


class Thing(NamedTuple):
    """An object: its class, its box as VOC writes it (1-based, inclusive), and its flags."""

    label: str
    box: tuple[float, float, float, float] = (1, 1, 4, 4)
    difficult: int = 0
    truncated: int = 0


def write_picture(path: Path, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 30)).save(path, **options)
    return path


def write_mask(path: Path, values: Any, mode: str = "L") -> Path:
    """A PNG of 1 bit, grey, or a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if mode == "P":
        image = image.copy()
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    elif mode == "1":
        image = image.point(lambda value: 255 * bool(value)).convert("1")
    image.save(path)
    return path


def patch(box: tuple[int, int, int, int], value: int = 255, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[Any]:
    """Zeros, and a value in a half-open box."""
    values = np.zeros(shape, np.uint8)
    values[box[1] : box[3], box[0] : box[2]] = value
    return values


def xml_of(name: str, things: Sequence[Thing], width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """An annotation as VOC 2007 has it."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = "VOC2007"
    ElementTree.SubElement(root, "filename").text = f"{name}.jpg"
    size = ElementTree.SubElement(root, "size")
    for tag, side in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, tag).text = str(side)
    for thing in things:
        element = ElementTree.SubElement(root, "object")
        for tag, text in (("name", thing.label), ("pose", "Left"), ("truncated", thing.truncated)):
            ElementTree.SubElement(element, tag).text = str(text)
        ElementTree.SubElement(element, "difficult").text = str(thing.difficult)
        frame = ElementTree.SubElement(element, "bndbox")
        for tag, figure in zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True):
            ElementTree.SubElement(frame, tag).text = str(figure)
    return ElementTree.tostring(root)


def write_voc(
    devkit: Path, pictures: Mapping[str, Sequence[Thing]], year: str = "2007", split: str = "trainval"
) -> Path:
    """`VOC<year>` with pictures, annotations, the list and the lists of the classes; gives its folder."""
    base = devkit / f"VOC{year}"
    lists = base / "ImageSets" / "Main"
    for folder in (base / "Annotations", lists):
        folder.mkdir(parents=True)
    for name, things in pictures.items():
        write_picture(base / "JPEGImages" / f"{name}.jpg")
        (base / "Annotations" / f"{name}.xml").write_bytes(xml_of(name, things))
    (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in pictures))
    for label in {thing.label for things in pictures.values() for thing in things}:
        flags = {name: flag([t for t in things if t.label == label]) for name, things in pictures.items()}
        lines = "".join(f"{name} {value:2d}\n" for name, value in flags.items())
        (lists / f"{label}_{split}.txt").write_text(lines)
    return base


def flag(things: Sequence[Thing]) -> int:
    """As the lists of the classes have it."""
    return -1 if not things else int(any(not thing.difficult for thing in things))


def structures(records: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """A MATLAB array of structures, 1 x n; MATLAB's `[]` where there is none."""
    if not records:
        return np.zeros((0, 0))
    array = np.zeros((1, len(records)), dtype=[(name, object) for name in records[0]])
    for index, record in enumerate(records):
        array[0, index] = tuple(record.values())
    return array


def part(name: str, mask: NDArray[Any]) -> dict[str, Any]:
    return {"part_name": name, "mask": mask}


def thing_with_parts(label: str, mask: NDArray[Any], parts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """One of `anno.objects`."""
    return {
        "class": label,
        "class_ind": 10.0,
        "bbox": np.array([[1.0, 1.0, 4.0, 4.0]]),
        "mask": mask,
        "parts": structures(parts),
    }


def mat_of(name: str, objects: Sequence[Mapping[str, Any]], compressed: bool = True) -> bytes:
    """An `Annotations_Part/<name>.mat`."""
    data = io.BytesIO()
    anno = structures([{"imname": name, "objects": structures(objects)}])
    savemat(data, {"anno": anno}, do_compression=compressed)
    return data.getvalue()
