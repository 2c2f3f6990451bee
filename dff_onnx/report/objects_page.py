"""`objects.html`: the objects of a collection on one page that needs no other file, no script and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dff_onnx.datasets.dataset import counted
from dff_onnx.report.objects_found import FoundObject, ObjectsFound
from dff_onnx.report.plain_page import plain_page, safe, tile_item
from dff_onnx.report.search_tiles import Tile


@dataclass(frozen=True, slots=True, eq=False)
class ShownObject:
    """An object with its pictures.

    Attributes:
        found: the object.
        whole: the picture of its most central region, and the same with its object saliency.
        crops: what is in its regions, the first of them.
    """

    found: FoundObject
    whole: tuple[Tile, ...]
    crops: tuple[Tile, ...]


def objects_page(found: ObjectsFound, folder: str, shown: Sequence[ShownObject]) -> bytes:
    """The page.

    Args:
        found: the objects.
        folder: of the pictures, its name.
        shown: the objects with their pictures.
    """
    neighbours = min(found.settings.get("neighbours", 0), found.regions)
    facts = [
        ("Searched", f"{counted(found.images, 'image')}, {counted(found.regions, 'region')}"),
        ("Found", f"{counted(len(found.objects), 'object')} in at least two images"),
        ("Graph", f"{counted(neighbours, 'neighbour')} of each region, mutual"),
    ]
    facts += [("Could not be read", path) for path, _ in found.failures]
    main = "\n".join(map(_section, shown)) or "<p>No region comes back in another image.</p>"
    return plain_page(f"{folder} - dff-onnx objects", "dff-onnx objects", folder, facts, main)


def _section(one: ShownObject) -> str:
    number, regions = one.found.number, one.found.regions
    more = len(regions) - len(one.crops)
    told = f"{len(regions)} images, centrality {regions[0].centrality:#.3g}"
    told += f"; the first {len(one.crops)} are shown" if more else ""
    return (
        f'<section aria-labelledby="object-{number}"><h2 id="object-{number}">Object {number}</h2>'
        f'<p class="muted">{safe(told)}</p><ul class="grid">'
        f"{''.join(map(tile_item, one.whole + one.crops))}</ul></section>"
    )
