"""Masks and boxes of one picture as PASCAL VOC has them: a PNG with a palette, and an XML file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.records import Box, Grid
from dff_onnx.report.overlays import Colour

MOST_CLASSES = 254  # 0 is the background, and VOC keeps 255 for pixels that do not count
VOID = (224, 224, 192)
# XML 1.0 has no way to write these.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def class_png(classes: NDArray[np.uint8], colours: Sequence[Colour]) -> bytes:
    """A picture's pixels by class.

    Args:
        classes: `(H, W)`, 0 for the background, n for the class of `colours[n - 1]`.
        colours: of the classes, at most 254.
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[255] = VOID
    palette[1 : len(colours) + 1] = np.reshape(np.asarray(colours, np.uint8), (-1, 3))
    image = Image.fromarray(classes)
    image.putpalette(palette.tobytes())
    return _png(image)


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """One mask `(H, W)`: 255 where it is on, else 0."""
    return _png(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))


def annotation_xml(file_name: str, size: Grid, objects: Iterable[tuple[str, Box]]) -> bytes:
    """A picture's boxes with their names, 1-based and inclusive.

    Characters that XML cannot hold appear as `\\xNN`.

    >>> print(annotation_xml("a.jpg", Grid(3, 4), [("ear", Box(0, 1, 2, 3))]).decode().split("object>")[1])
    <BLANKLINE>
        <name>ear</name>
        <pose>Unspecified</pose>
        <truncated>0</truncated>
        <difficult>0</difficult>
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>2</xmax><ymax>3</ymax></bndbox>
      </
    """
    lines = [
        "<annotation>",
        f"  <filename>{_text(file_name)}</filename>",
        f"  <size><width>{size.width}</width><height>{size.height}</height><depth>3</depth></size>",
        "  <segmented>1</segmented>",
        *(_object(name, box) for name, box in objects),
        "</annotation>\n",
    ]
    return "\n".join(lines).encode()


def _object(name: str, box: Box) -> str:
    corners = {"xmin": box.x0 + 1, "ymin": box.y0 + 1, "xmax": box.x1, "ymax": box.y1}
    frame = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners.items())
    return (
        f"  <object>\n    <name>{_text(name)}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
        f"    <difficult>0</difficult>\n    <bndbox>{frame}</bndbox>\n  </object>"
    )


def _text(text: str) -> str:
    shown = FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return escape(shown, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()
