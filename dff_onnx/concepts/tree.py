"""The tree of concepts: which concept of k each concept of the next k comes from.

DFF's authors show that concepts go from coarse to fine as k grows. Two figures say how two concepts of neighbouring
levels belong together: the overlap of their heat maps, which chooses the parent, and the weight of the parent's
direction in the child's, by non-negative regression.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.bank import LONGEST_NAME
from dff_onnx.concepts.matching import cosines
from dff_onnx.errors import UsageError
from dff_onnx.factorization import nonnegative_least_squares

Floats = NDArray[np.floating]

# Overlap from which a concept comes from another. Between concepts of one level, which are different things, 99 of 100
# pairs stay below 0.37 (20 factorizations of iCoseg groups and examples/, two networks, two sizes, k = 2..6).
PARENT = 0.4
# Weight from which a concept that is not the parent has a part in the child.
PART = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One factorization of the pictures.

    Attributes:
        W: `(k, c)` concepts.
        H: `(N, k)` coefficients, of the same rows on every level.
    """

    W: Floats
    H: Floats

    @property
    def k(self) -> int:
        """How many concepts."""
        return len(self.W)


@dataclass(frozen=True, slots=True)
class Link:
    """Two concepts of neighbouring levels that have to do with each other.

    Attributes:
        level: place of the child's level in the tree, from 1.
        child, parent: their numbers, each on its own level.
        overlap: of the heat maps over all pictures, the cosine of two columns of `H`, 0..1.
        weight: of the parent's direction in the child's, 0..1: the concepts of a level are regressed on all of the
            level above, `W_child ~ B W_above` with `B >= 0`.
    """

    level: int
    child: int
    parent: int
    overlap: float
    weight: float


@dataclass(frozen=True, slots=True)
class Node:
    """One concept in the tree.

    Attributes:
        level: place of its level, from 0.
        number: of the concept there.
        parent: the concept of the level above that it comes from; None on the first level, and where it is new.
        children: concepts of the next level that come from it, largest overlap first: the first one carries on its
            name and colour. Empty on the last level, and where it ends.
    """

    level: int
    number: int
    parent: int | None
    children: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """Levels of concepts and how they hang together.

    Attributes:
        nodes: of each level, by number.
        links: every child with its parent, and with further concepts that have a part in it; by level, child, parent.
    """

    nodes: tuple[tuple[Node, ...], ...]
    links: tuple[Link, ...]

    @property
    def ks(self) -> tuple[int, ...]:
        """The number of concepts on each level."""
        return tuple(map(len, self.nodes))

    def overlap(self, level: int, child: int) -> float | None:
        """With its parent; None without one."""
        parent = self.nodes[level][child].parent
        return next(
            (one.overlap for one in self.links if (one.level, one.child, one.parent) == (level, child, parent)), None
        )


def grow(levels: Sequence[Level]) -> Tree:
    """Links the concepts of each level with those of the level above.

    Args:
        levels: factorizations of the same rows, by ascending k.

    Raises:
        UsageError: when there are fewer than two levels, their k does not ascend, or their rows differ.

    >>> import numpy as np
    >>> dog, cat = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> both = Level(np.sqrt(0.5) * (dog + cat), np.array([[1.0], [1.0]]))
    >>> tree = grow([both, Level(np.concatenate([dog, cat]), np.eye(2))])
    >>> [(one.child, one.parent, round(one.overlap, 3), round(one.weight, 3)) for one in tree.links]
    [(0, 0, 0.707, 0.707), (1, 0, 0.707, 0.707)]
    >>> tree.nodes[0][0].children
    (0, 1)
    """
    _check(levels)
    links: list[Link] = []
    parents: list[list[int | None]] = [[None] * levels[0].k]
    for level, (above, here) in enumerate(pairwise(levels), 1):
        found = [_links(level, child, *figures) for child, figures in enumerate(_figures(above, here))]
        links += [link for of_child in found for link in of_child]
        parents.append([_parent(of_child) for of_child in found])
    return Tree(tuple(_nodes(parents, links)), tuple(links))


def family_names(tree: Tree, start: int, names: Sequence[str | None]) -> tuple[tuple[str | None, ...], ...]:
    """Names flow down from one level of a tree.

    A parent's first child goes on under its name, the others have it with the next number that is free in the family:
    `head`, `head 2`, `head 3`. Concepts that come from nothing that has a name have none, nor have those above.

    Args:
        tree: the concepts.
        start: place of the level that has names.
        names: of its concepts, None where there is none.

    Returns:
        for each level the names of its concepts.
    """
    levels: list[list[str | None]] = [[None] * k for k in tree.ks[:start]]
    levels.append(list(names))
    family = {name: name for name in names if name is not None}
    for level in range(start + 1, len(tree.nodes)):
        here: list[str | None] = [None] * tree.ks[level]
        for parent, name in zip(tree.nodes[level - 1], levels[-1], strict=True):
            for place, child in enumerate(parent.children if name is not None else ()):
                here[child] = name if place == 0 else _next_of(str(name), family)
        levels.append(here)
    return tuple(map(tuple, levels))


def _next_of(name: str, family: dict[str, str]) -> str:
    """The next free name of a family, noted there."""
    first = family[name]
    numbered = (f"{first[: LONGEST_NAME - 12]} {n}" for n in count(2))
    free = next(one for one in numbered if one not in family)
    family[free] = first
    return free


def _check(levels: Sequence[Level]) -> None:
    ks = [level.k for level in levels]
    if len(levels) < 2 or any(a >= b for a, b in pairwise(ks)):
        raise UsageError(f"tree: two levels or more of ascending k are needed, found {ks}")
    rows = sorted({len(level.H) for level in levels})
    if len(rows) > 1:
        raise UsageError(f"tree: the levels have {rows[0]} to {rows[-1]} rows, and must be of the same pictures")


def _figures(above: Level, here: Level) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Of each concept: overlaps with those of the level above, and their weights in it."""
    overlaps = cosines(here.H.T, above.H.T)
    weights = nonnegative_least_squares(here.W.astype(np.float64), above.W.astype(np.float64))
    yield from zip(overlaps, np.asarray(weights), strict=True)


def _links(level: int, child: int, overlaps: NDArray[np.float64], weights: NDArray[np.float64]) -> list[Link]:
    """Of one concept: to its parent, and to those that have a part in it."""
    best = int(overlaps.argmax())
    return [
        Link(level, child, parent, float(overlap), float(weight))
        for parent, (overlap, weight) in enumerate(zip(overlaps, weights, strict=True))
        if weight >= PART or (parent == best and overlap >= PARENT)
    ]


def _parent(links: Sequence[Link]) -> int | None:
    """The link of the largest overlap; of equal ones the first."""
    best = max(links, key=lambda link: link.overlap, default=None)
    return best.parent if best is not None and best.overlap >= PARENT else None


def _nodes(parents: Sequence[Sequence[int | None]], links: Sequence[Link]) -> Iterator[tuple[Node, ...]]:
    overlaps = {(link.level, link.child, link.parent): link.overlap for link in links}
    for level, above in enumerate(parents):
        below = parents[level + 1] if level + 1 < len(parents) else ()
        children: list[list[int]] = [[] for _ in above]
        for child, parent in enumerate(below):
            if parent is not None:
                children[parent].append(child)
        for number, own in enumerate(children):
            own.sort(key=lambda child, number=number: (-overlaps[level + 1, child, number], child))  # type: ignore[misc]
        yield tuple(Node(level, j, parent, tuple(children[j])) for j, parent in enumerate(above))
