"""A compiled file beside `dff-onnx apply`, on pictures that already have the network's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.backbone.runtime import Session
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank
from dff_onnx.images import Resize
from dff_onnx.maps import upsample
from dff_onnx.runs.apply import ApplySettings, project_folder

Outputs = dict[str, NDArray[Any]]


def resized(pictures: list[Path], folder: Path, width: int, height: int) -> Path:
    """The pictures at a size, as files that lose nothing, in a folder of their own."""
    made = folder / f"{width}x{height}"
    made.mkdir()
    for path in pictures:
        with Image.open(path) as image:
            image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR).save(made / f"{path.stem}.png")
    return made


def applied(bank: Bank, folder: Path, backbone: Backbone) -> Outputs:
    """What `apply` finds, as arrays under the names of a compiled file's outputs, one entry a picture."""
    with Image.open(next(folder.iterdir())) as image:
        size = Resize("long", max(image.size))
    found = project_folder(bank, folder, backbone, ApplySettings(size, overlays="none", report="none"))
    highest = np.where(bank.peaks > 0, bank.peaks, 1)[:, None, None]
    rows: dict[str, list[Any]] = {name: [] for name in ("heatmaps", "scores", "boxes", "mask_boxes", "loss")}
    for i, image in enumerate(found.images):
        rows["heatmaps"].append(upsample(found.heat_map(i), image.input.height, image.input.width) / highest)
        rows["scores"].append([one.score for one in image.concepts])
        rows["loss"].append(image.loss)
        boxes = [one.box for one in image.concepts]
        rows["boxes"].append([[box.x0, box.y0, box.x1, box.y1] if box else [0] * 4 for box in boxes])
        rows["mask_boxes"].append([_tight(mask) for mask in found.masks(i)])
    return {name: np.asarray(values) for name, values in rows.items()}


def ran(session: Session, folder: Path, batch: int) -> Outputs:
    """What a compiled file makes of the same pictures, in batches."""
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())])
    names = [one.name for one in session.get_outputs()]
    parts = [session.run(None, {"image": pixels[i : i + batch]}) for i in range(0, len(pixels), batch)]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}


def assert_alike(found: Outputs, expected: Outputs, bank: Bank, tolerance: float = 1e-4) -> None:
    """Heat maps, scores and losses within the tolerance; boxes equal but where a value lies at the threshold."""
    for name in ("heatmaps", "scores", "loss"):
        if name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance, err_msg=name)
    [boxes] = [name for name in found if name.endswith("boxes")]
    thresholds = (bank.thresholds / np.where(bank.peaks > 0, bank.peaks, 1))[:, None, None]
    decided = (np.abs(expected["heatmaps"] - thresholds) >= 1e-5).all(axis=(2, 3))
    same = (found[boxes] == expected[boxes]).all(axis=-1)
    assert (same | ~decided).all() and same.mean() > 0.9


def _tight(mask: NDArray[np.bool_]) -> list[int]:
    y, x = np.nonzero(mask)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1] if len(x) else [0, 0, 0, 0]
