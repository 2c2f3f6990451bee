"""Data of a report's page, made from a seed, as `docs/report.md` describes it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dff_onnx.report.palette import colour, hexadecimal

Data = dict[str, Any]
WIDTH, HEIGHT = 320, 240
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="#888"/></svg>'


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def photograph(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Soft colours: as smooth as a photograph, and as many bytes."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH)


def jpeg(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=80)
    return content.getvalue()


def blobs(k: int, seed: int, h: int = 14, w: int = 14) -> NDArray[np.uint8]:
    """Heat maps `(k, h, w)` in 256 levels: each concept somewhere, more or less hot."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    places, heights = rng.uniform(0, 1, (k, 2)) * (h, w), rng.uniform(0.3, 1, k)
    maps = [
        hot * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (h * w / 20)) for (a, b), hot in zip(places, heights, strict=True)
    ]
    return np.rint(255 * np.asarray(maps)).astype(np.uint8)


def concept(number: int, **changes: Any) -> Data:
    peak = 3.0 + number
    base = {
        "number": number,
        "colour": hexadecimal(colour(number)),
        "energy": round(0.5 / (number + 1), 4),
        "threshold": 0.4 * peak,
        "peak": peak,
        "on": 0.4,
        "classes": [],
        "like": None,
        "importance": None,
        "control": None,
        "parent": None,
    }
    return base | changes


def level_in_picture(k: int, seed: int) -> Data:
    maps = blobs(k, seed)
    return {
        "h": maps.shape[1],
        "w": maps.shape[2],
        "maps": text_of(maps.tobytes()),
        "concepts": [_found(one) for one in maps],
    }


def _found(one: NDArray[np.uint8]) -> list[Any]:
    """Score, share and the box of what is on, in cells turned into pixels."""
    rows, columns = np.nonzero(one >= 0.4 * 255)
    if not len(rows):
        return [round(float(one.max()) / 255, 4), 0.0, []]
    down, across = HEIGHT * 2 // one.shape[0], WIDTH * 2 // one.shape[1]
    box = [columns.min() * across, rows.min() * down, (columns.max() + 1) * across, (rows.max() + 1) * down]
    return [round(float(one.max()) / 255, 4), round(len(rows) / one.size, 4), [[int(side) for side in box]]]


def picture(number: int, ks: tuple[int, ...] = (4,), **changes: Any) -> Data:
    base = {
        "path": f"folder/picture-{number:03}.jpg",
        "width": 2 * WIDTH,
        "height": 2 * HEIGHT,
        "overlay": f"overlays/folder/picture-{number:03}.png",
        "loss": round(0.2 + 0.01 * (number * 7 % 11), 4),
        "unexplained": False,
        "thumb": text_of(jpeg(photograph(number))),
        "answers": [],
        "levels": [level_in_picture(k, 100 * number + k) for k in ks],
    }
    return base | changes


def level(images: list[Data], place: int, k: int, **changes: Any) -> Data:
    """A level with figures that its pictures have."""
    scores = np.asarray([[one["levels"][place]["concepts"][j][0] for j in range(k)] for one in images])
    concepts = []
    for j in range(k):
        column = scores[:, j] if len(images) else np.zeros(0)
        bins = np.histogram(column, 20, (0, 1))[0].tolist()
        concepts.append(concept(j, bins=bins, top=np.argsort(-column, kind="stable")[:12].tolist()))
    base = {
        "k": k,
        "explained": round(1 - 1 / (k + 1), 4),
        "label": "dff-onnx label RUN --from labels.json",
        "concepts": concepts,
    }
    return base | changes


def run(count: int = 6, k: int = 4, **changes: Any) -> Data:
    """A run whose pictures share their concepts."""
    images = [picture(number, (k,)) for number in range(count)]
    base = {
        "title": "seeded",
        "kind": "run",
        "facts": [["pictures", str(count)], ["device", "cpu"]],
        "page": {"number": 1, "files": ["report.html"], "first": 0, "pictures": count, "shown": count},
        "scale": "set",
        "start": 0,
        "levels": [level(images, 0, k)],
        "images": images,
        "more": [],
        "sections": [],
        "foot": [{"title": "Settings", "rows": [["k", str(k)]]}, {"title": "Versions", "rows": [["numpy", "2"]]}],
    }
    return base | changes


def tree(ks: tuple[int, ...] = (1, 2, 3)) -> Data:
    images = [picture(number, ks) for number in range(5)]
    levels = [level(images, place, k) for place, k in enumerate(ks)]
    for below in levels[1:]:
        for one in below["concepts"]:
            one["parent"] = max(0, one["number"] - 1)
    return run(0, kind="tree", levels=levels, images=images, start=1)


def per_image() -> Data:
    images = [picture(number, (3,)) for number in range(4)]
    for image in images:
        image["levels"][0]["table"] = [concept(j, name=None, peak=1.5 + len(image["path"])) for j in range(3)]
    return run(0, scale="image", levels=[{"k": 3, "explained": None, "label": None, "concepts": []}], images=images)


def class_maps(count: int = 4) -> Data:
    """Two classes in each picture, others in each; and the classifier's answers."""
    images = [picture(number, (2,), loss=None) for number in range(count)]
    for number, image in enumerate(images):
        image["answers"] = [[f"animal {number}", 0.75], ["tabby", 0.125]]
        image["levels"][0]["table"] = [
            concept(0, name=f"animal {number}", energy=None),
            concept(1, name="tabby", energy=None),
        ]
    return run(0, kind="cam", levels=[{"k": 2, "explained": None, "label": None, "concepts": []}], images=images)


def foreground() -> Data:
    trials = {
        "title": "Trials",
        "note": "the foreground is that of the best trial",
        "columns": ["pixels", "quality"],
        "rows": [["448", "3.5"], ["224", "12.25"], ["320", "-1"]],
        "plots": [text_of(SVG)],
    }
    return run(3, 1, kind="foreground", sections=[trials])


def applied() -> Data:
    """Pictures beside a bank: one is not explained, one could not be read again."""
    data = run(4, kind="apply")
    data["images"][1]["unexplained"] = True
    data["images"][2]["thumb"] = None
    one = data["levels"][0]["concepts"][0]
    one |= {
        "like": [2, 0.9871],
        "importance": [0.3, 0.21, 0.4],
        "control": 0.02,
        "classes": [["tabby", 3.2], ["lynx", -0.5]],
    }
    return data
