"""`tree.svg`: how concepts split as k grows, as a picture that any browser shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from dff_onnx.concepts.tree import Link, Node, Tree
from dff_onnx.report.found import ConceptFound, Found
from dff_onnx.report.overlays import Pixels
from dff_onnx.report.svg import document, plain
from dff_onnx.report.tree_layout import orders

SIDE = 112  # of the square that a tile fits into
SHARP = 2  # pixels of a tile for each of the picture's: screens are fine, and people look closely
QUALITY = 80
PAD = 6
CARD = 2 * SIDE + 3 * PAD  # wide
BAR = 11  # the swatch
BARE = 2 * PAD + BAR + 40  # height of a card without its tiles
GAP, STEP = 18, 64  # between cards, and between levels
LEFT, TOP = 118, 56
THICK = 9.0  # a line of overlap 1
LETTERS = 24  # of a name
INK = "#333"
LEGEND = (
    "lines: where a concept comes from, as wide as the two heat maps overlap (1: they are the same); "
    "dashed: further concepts that have a part in it"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture with one concept over it.

    Attributes:
        pixels: `(height, width, 3)` uint8.
        path: of the picture.
        score: of the concept there, 0..1.
    """

    pixels: Pixels
    path: str
    score: float


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Where things stand.

    Attributes:
        tree: that is drawn.
        high: the tallest tile.
        places: of the cards, their left upper corners by level and number.
    """

    tree: Tree
    high: float
    places: Mapping[tuple[int, int], tuple[float, float]]

    def bottom(self, level: int) -> float:
        """Of a level's cards."""
        return _top(level, self.high) + self.high + BARE


def tree_svg(tree: Tree, levels: Sequence[Found], tiles: Mapping[tuple[int, int], Sequence[Tile]], title: str) -> bytes:
    """A tree as an SVG file without scripts: equal trees give equal bytes.

    Args:
        tree: its nodes and links.
        levels: what was found on each level.
        tiles: of a concept, by the place of its level and its number; at most two are shown.
        title: above it.
    """
    sheet = _sheet(tree, tiles)
    colours = {(level, one.number): one.colour for level, there in enumerate(levels) for one in there.concepts}
    parts = [part for link in _thin_first(tree) for part in _line(link, sheet, colours)]
    for level, there in enumerate(levels):
        parts += _level_text(there, _top(level, sheet.high))
        for concept, node in zip(there.concepts, tree.nodes[level], strict=True):
            parts += _card(concept, node, sheet, tiles.get((level, node.number), ()))
    bottom = sheet.bottom(len(levels) - 1)
    parts.append(f'<text x="14" y="{bottom + 28:.1f}" fill="#555">{LEGEND}</text>')
    width = LEFT + max(tree.ks) * (CARD + GAP)
    return document(width, round(bottom + 44), title, parts).encode("utf-8", "backslashreplace")


def _sheet(tree: Tree, tiles: Mapping[tuple[int, int], Sequence[Tile]]) -> _Sheet:
    high = max((_fitted(tile)[1] for some in tiles.values() for tile in some[:2]), default=0.0)
    widest = max(tree.ks) * (CARD + GAP)
    places = {
        (level, number): (LEFT + (position + 0.5) * widest / len(order) - CARD / 2, _top(level, high))
        for level, order in enumerate(orders(tree))
        for position, number in enumerate(order)
    }
    return _Sheet(tree, high, places)


def _top(level: int, high: float) -> float:
    return TOP + level * (high + BARE + STEP)


def _thin_first(tree: Tree) -> list[Link]:
    """Lines to parents lie over the others."""
    return sorted(tree.links, key=lambda link: (_is_parent(tree, link), link.overlap))


def _is_parent(tree: Tree, link: Link) -> bool:
    return tree.nodes[link.level][link.child].parent == link.parent


def _line(link: Link, sheet: _Sheet, colours: Mapping[tuple[int, int], str]) -> Iterator[str]:
    """From the parent down to the child, in the child's colour, as wide as the two overlap."""
    x0, x1 = (sheet.places[key][0] + CARD / 2 for key in ((link.level - 1, link.parent), (link.level, link.child)))
    y0, y1 = sheet.bottom(link.level - 1), _top(link.level, sheet.high)
    middle = (y0 + y1) / 2
    d = f'd="M{x0:.1f},{y0:.1f} C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}" fill="none"'
    width, colour = max(1.0, THICK * link.overlap), plain(colours[link.level, link.child])
    says = f"<title>overlap {link.overlap:.2f}, weight {link.weight:.2f}</title>"
    if not _is_parent(sheet.tree, link):
        yield f'<path {d} stroke="#777" stroke-width="1.3" stroke-dasharray="4 4">{says}</path>'
        return
    yield f'<path {d} stroke="{INK}" stroke-width="{width + 1.6:.1f}"/>'  # light colours need an outline on white
    yield f'<path {d} stroke="{colour}" stroke-width="{width:.1f}">{says}</path>'
    side, anchor = (-9, "end") if x1 < x0 else (9, "start")  # where the line does not come from
    place = f'x="{x1 + side:.1f}" y="{y1 - 5:.1f}" text-anchor="{anchor}"'
    yield f'<text {place} fill="#555" font-size="10">{link.overlap:.2f}</text>'


def _card(concept: ConceptFound, node: Node, sheet: _Sheet, tiles: Sequence[Tile]) -> Iterator[str]:
    x, y = sheet.places[node.level, node.number]
    yield f'<g transform="translate({x:.1f},{y:.1f})">'
    yield f'<rect width="{CARD}" height="{sheet.high + BARE:.1f}" rx="6" fill="white" stroke="#999"/>'
    swatch = f'width="{CARD - 2 * PAD}" height="{BAR}" fill="{plain(concept.colour)}" stroke="{INK}"'
    yield f'<rect x="{PAD}" y="{PAD}" {swatch}/>'
    for number, tile in enumerate(tiles[:2]):
        yield _tile(tile, PAD + number * (SIDE + PAD), 2 * PAD + BAR, sheet.high)
    base = 2 * PAD + BAR + sheet.high
    whole = f"<title>{plain(concept.legend)}</title>"
    yield f'<text x="{PAD}" y="{base + 17:.1f}" font-weight="bold">{plain(concept.legend, LETTERS)}{whole}</text>'
    energy = [] if concept.energy is None else [f"energy {concept.energy:.1%}"]
    yield f'<text x="{PAD}" y="{base + 33:.1f}" fill="#555">{", ".join(energy + _fate(node, sheet.tree))}</text>'
    yield "</g>"


def _fate(node: Node, tree: Tree) -> list[str]:
    """What its lines do not say."""
    came = ["new"] if node.level > 0 and node.parent is None else []
    return came + (["ends"] if node.level < len(tree.nodes) - 1 and not node.children else [])


def _tile(tile: Tile, x: float, y: float, high: float) -> str:
    w, h = _fitted(tile)
    size = f'x="{x + (SIDE - w) / 2:.1f}" y="{y + (high - h) / 2:.1f}" width="{w:.1f}" height="{h:.1f}"'
    data = base64.b64encode(_jpeg(tile.pixels)).decode()
    says = f"<title>{plain(tile.path)}, score {tile.score:.2f}</title>"
    return f'<image {size} href="data:image/jpeg;base64,{data}">{says}</image>'


def _fitted(tile: Tile) -> tuple[float, float]:
    """Width and height as shown."""
    height, width = tile.pixels.shape[:2]
    return width * SIDE / max(height, width), height * SIDE / max(height, width)


def _jpeg(pixels: Pixels) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=QUALITY)
    return data.getvalue()


def _level_text(found: Found, top: float) -> Iterator[str]:
    k = len(found.concepts)
    yield f'<text x="14" y="{top + 44:.1f}" font-size="22">k = {k}</text>'
    if found.fit is not None:
        yield f'<text x="14" y="{top + 64:.1f}" fill="#555">{1 - found.fit.loss:.1%}</text>'
        yield f'<text x="14" y="{top + 79:.1f}" fill="#555">explained</text>'
