"""Where the concepts of a tree stand in its picture: levels from top to bottom, few lines that cross."""

from __future__ import annotations

from collections.abc import Sequence

from dff_onnx.concepts.tree import Node, Tree


def orders(tree: Tree) -> tuple[tuple[int, ...], ...]:
    """The concepts of each level from left to right.

    Children stand in the order of their parents, so that no two lines to a parent cross. What is new, and the children
    of one parent among themselves, stand by the mean place of all that they are linked with (Sugiyama's barycentre).
    """
    found = [tuple(range(tree.ks[0]))]
    for level in range(1, len(tree.nodes)):
        places = {number: place for place, number in enumerate(found[-1])}
        found.append(_sorted(tree, tree.nodes[level], places))
    return tuple(found)


def _sorted(tree: Tree, nodes: Sequence[Node], places: dict[int, int]) -> tuple[int, ...]:
    def key(node: Node) -> tuple[float, float, int]:
        middle = _barycentre(tree, node, places)
        return (middle if node.parent is None else float(places[node.parent]), middle, node.number)

    return tuple(node.number for node in sorted(nodes, key=key))


def _barycentre(tree: Tree, node: Node, places: dict[int, int]) -> float:
    """At the right end where a concept is linked with nothing."""
    links = [link for link in tree.links if (link.level, link.child) == (node.level, node.number) and link.overlap > 0]
    total = sum(link.overlap for link in links)
    return sum(places[link.parent] * link.overlap for link in links) / total if total else float(len(places))
