"""Colours of a tree: a child is a shade of its parent, and all concepts of one level can be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.tree import Tree
from dff_onnx.report.colour_space import differences, from_oklch, to_oklch
from dff_onnx.report.palette import SAFE, colour

RGB = tuple[int, int, int]

TURN = math.radians(40)  # of the hue at most: farther away lies another colour's name
TURNS = np.linspace(-TURN, TURN, 7)
LIGHTNESS = np.linspace(0.5, 0.95, 21)  # darker ones drown in a darkened picture
CHROMA = np.linspace(0.06, 0.26, 13)  # paler ones look unpainted where there is half the heat
# The ground of an overlay: a picture, grey and darkened.
GREYS = np.repeat(np.arange(0, 168, 8)[:, None], 3, axis=1)
# Lightness counts less than hue and chroma: in an overlay it tells of the heat and of the picture as well.
LIGHTNESS_UNIT = 1.5
# Of the palette beyond its safe colours: the one of so many that stands out most is taken.
CHOICE = 8


def shade(parent: RGB, others: Iterable[RGB]) -> RGB:
    """A colour of nearly the parent's hue, as far as can be from some colours and from an overlay's ground.

    Args:
        parent: whose hue it keeps, to 40 degrees in OKLCh; lightness and chroma are free.
        others: the colours that it must not be taken for.

    >>> shade((191, 68, 31), [(191, 68, 31), (75, 218, 255)])  # of vermilion
    (252, 209, 146)
    """
    return _farthest(_shades(parent), tuple(others))


def tree_colours(tree: Tree, start: int | None = None, given: Sequence[RGB] = ()) -> tuple[tuple[RGB, ...], ...]:
    """Colours flow through a tree.

    Downwards a parent's first child has the parent's colour, the others shades of it, and a concept that is new an
    unused colour of the palette. Upwards a parent has the colour of its first child.

    Args:
        tree: the concepts.
        start: place of the level whose colours are given; without it the first level with more than one concept, in
            colours of the palette.
        given: its colours.

    Returns:
        for each level the colours of its concepts.
    """
    if start is None:
        start, given = _first(tree)
    levels = [tuple(given)]
    used = set(given)
    for level in range(start - 1, -1, -1):
        above = [levels[0][node.children[0]] if node.children else None for node in tree.nodes[level]]
        levels.insert(0, _filled(above, used))
    for level in range(start + 1, len(tree.nodes)):
        levels.append(_below(tree, level, levels[-1], used))
    return tuple(levels)


def _first(tree: Tree) -> tuple[int, tuple[RGB, ...]]:
    """The first level with more than one concept, and its colours: the root's first child has the root's."""
    level = next(place for place, k in enumerate(tree.ks) if k > 1)
    order = list(range(tree.ks[level]))
    if level and (carried := tree.nodes[level - 1][0].children[:1]):
        order.sort(key=lambda number: number != carried[0])
    return level, tuple(colour(order.index(number)) for number in range(tree.ks[level]))


def _below(tree: Tree, level: int, above: Sequence[RGB], used: set[RGB]) -> tuple[RGB, ...]:
    """Of a level, from the colours of the level above."""
    here: list[RGB | None] = [None] * tree.ks[level]
    for parent in tree.nodes[level - 1]:
        if parent.children:
            here[parent.children[0]] = above[parent.number]
    # What goes on comes first, what is new has the palette; shades find their place between them. What ends at the
    # level above counts, too: a colour that came back at once would tell of a wrong parent.
    for node in tree.nodes[level]:
        if node.parent is None:
            here[node.number] = _unused([*here, *above], used)
    for parent in tree.nodes[level - 1]:
        for child in parent.children[1:]:
            here[child] = shade(above[parent.number], _there([*here, *above]))
    used.update(_there(here))
    return _there(here)


def _filled(colours: Sequence[RGB | None], used: set[RGB]) -> tuple[RGB, ...]:
    """Gaps get unused colours of the palette."""
    filled = list(colours)
    for place, one in enumerate(colours):
        filled[place] = one or _unused(filled, used)
    return _there(filled)


def _unused(beside: Sequence[RGB | None], used: set[RGB]) -> RGB:
    """A colour of the palette that nothing in the tree has, far from those of its level; noted as used."""
    safe = [one for one in SAFE if one not in used]
    free = safe or list(islice((colour(number) for number in count() if colour(number) not in used), CHOICE))
    chosen = _farthest(np.asarray(free, np.uint8), _there(beside))
    used.add(chosen)
    return chosen


def _there(colours: Iterable[RGB | None]) -> tuple[RGB, ...]:
    return tuple(one for one in colours if one is not None)


def _farthest(candidates: NDArray[np.uint8], others: Sequence[RGB]) -> RGB:
    """The candidate whose nearest neighbour is farthest away; of equal ones the first."""
    neighbours = np.concatenate([GREYS, np.asarray(others, np.float64).reshape(-1, 3)])
    red, green, blue = candidates[differences(candidates, neighbours, LIGHTNESS_UNIT).min(axis=1).argmax()].tolist()
    return red, green, blue


@lru_cache(maxsize=64)
def _shades(parent: RGB) -> NDArray[np.uint8]:
    """All colours that count as shades of one."""
    hue = float(to_oklch([parent])[0, 2])
    grid = np.meshgrid(LIGHTNESS, CHROMA, hue + TURNS, indexing="ij")
    return np.unique(from_oklch(np.stack(grid, axis=-1).reshape(-1, 3)), axis=0)
