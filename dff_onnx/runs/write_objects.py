"""The folder of a collection's objects: objects.json, objects.html, contact_sheet.png, crops and overlays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError
from dff_onnx.files import output_names, printable, write_atomically
from dff_onnx.images import read_original, read_size
from dff_onnx.progress import Progress
from dff_onnx.report.objects_found import FoundObject, ObjectRegion, ObjectsFound, objects_json
from dff_onnx.report.objects_page import ShownObject, objects_page
from dff_onnx.report.overlays import LONG_SIDE, Pixels, encode_png, overlay, painted
from dff_onnx.report.palette import colour
from dff_onnx.report.panels import shown_box, within
from dff_onnx.report.search_page import SIDE
from dff_onnx.report.search_tiles import Tile, search_sheet
from dff_onnx.runs.collect import checked_activations
from dff_onnx.runs.descriptors import Describer
from dff_onnx.runs.object_votes import ObjectVotes
from dff_onnx.runs.salient_parts import saliency_map

OVERLAYS, CROPS = "overlays", "objects"
SHOWN = 12  # regions of an object


@dataclass(slots=True)
class _Writer:
    """Draws what is found.

    Attributes:
        folder: of the pictures.
        out: where files go.
        describer: reads pictures as the index looks at them.
        votes: of the collection, for object saliency.
        failures: pictures that could not be read, each once.
    """

    folder: Path
    out: Path
    describer: Describer
    votes: ObjectVotes
    failures: dict[str, str] = field(default_factory=dict)

    def shown(self, one: FoundObject) -> ShownObject:
        """An object for the page; its files are written."""
        regions = one.regions[:SHOWN]
        names = [Path(f"{one.number:04}-{place:02}-{Path(r.path).name}") for place, r in enumerate(regions, 1)]
        files = output_names(names, ".png")
        crops = [self._crop(region, self.out / CROPS / file) for region, file in zip(regions, files, strict=True)]
        name = output_names([Path(f"{one.number:04}-{Path(regions[0].path).name}")], ".png")[0]
        return ShownObject(one, self._whole(one, self.out / OVERLAYS / name), tuple(crops))

    def _read(self, region: ObjectRegion) -> tuple[Pixels, tuple[int, int]] | None:
        path = self.folder / region.path
        try:
            size = read_size(path)
            return read_original(path, LONG_SIDE), (size.height, size.width)
        except ImageError as error:
            self.failures[region.path] = error.reason
            return None

    def _crop(self, region: ObjectRegion, file: Path) -> Tile:
        """What is inside the box."""
        name, heading = printable(Path(region.path)), f"similarity {region.similarity:.3f}"
        read = self._read(region)
        if read is None:
            return Tile(name, heading, None, (1, 1))
        box = shown_box(region.box, read[1], read[0])
        if box is None:  # the file is another than was indexed
            self.failures[region.path] = "is smaller than it was when it was indexed"
            return Tile(name, heading, None, (1, 1))
        pixels = read[0][box.y0 : box.y1, box.x0 : box.x1].copy()  # a view would keep all of the picture
        write_atomically(file, encode_png(pixels))
        return Tile(name, heading, within(pixels, SIDE), pixels.shape[:2])

    def _whole(self, one: FoundObject, file: Path) -> tuple[Tile, ...]:
        """The picture of the most central region, with its box, and with its object saliency."""
        region = one.regions[0]
        name, heading = printable(Path(region.path)), "most central region"
        read = self._read(region)
        if read is None:
            return (Tile(name, heading, None, (1, 1)),)
        picture, original = read
        heat = self._heat(region)[None]
        box = shown_box(region.box, original, picture)
        drawn = overlay(picture, heat, [colour(0)], [f"object {one.number}"], "scale: this picture", [box])
        write_atomically(file, encode_png(drawn))
        small = within(picture, SIDE)  # as the page shows it: there may be a thousand objects
        salient = painted(small, heat, [colour(0)])
        return (
            Tile(name, heading, small, original, (region.box,)),
            Tile(name, "object saliency", salient, salient.shape[:2]),
        )

    def _heat(self, region: ObjectRegion) -> NDArray[np.float32]:
        """Object saliency, 1 at the peak; zeros where nobody votes."""
        picture = self.describer.read(self.folder / region.path)
        X = checked_activations(picture.pixels[None], self.describer.activations)
        own = self.votes.number_of(region.path)
        heat = np.asarray(to_numpy(saliency_map(X, self.votes, self.describer.whitening, own)), np.float64)
        return (heat / (heat.max() or 1.0)).astype(np.float32)


def write_objects(
    found: ObjectsFound, folder: Path, out: Path, describer: Describer, votes: ObjectVotes, progress: Progress
) -> ObjectsFound:
    """Writes the files of the objects of a collection.

    Args:
        found: the objects.
        folder: of the index's pictures.
        out: a folder that is claimed.
        describer: of the index.
        votes: of its regions.
        progress: follows the objects.

    Returns:
        what was found, with the pictures that could not be read.

    Raises:
        OutputError: when a file cannot be written.
    """
    writer = _Writer(folder, out, describer, votes)
    progress.start("drawing", len(found.objects))
    shown = list[ShownObject]()
    with single_threaded_blas():
        for one in found.objects:
            shown.append(writer.shown(one))
            progress.advance()
    told = replace(found, failures=tuple(sorted(writer.failures.items())))
    if shown:
        write_atomically(out / "contact_sheet.png", encode_png(search_sheet(_sheet(shown))))
    write_atomically(out / "objects.html", objects_page(told, folder.name, shown))
    write_atomically(out / "objects.json", objects_json(told))
    return told


def _sheet(shown: Sequence[ShownObject]) -> list[Tile]:
    """The most central region of every object."""
    return [
        replace(one.crops[0], heading=f"object {one.found.number}: {len(one.found.regions)} images") for one in shown
    ]
