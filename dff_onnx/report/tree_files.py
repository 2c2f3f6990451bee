"""`tree.json`: how concepts split as k grows, for other programs. `docs/tree.md` describes every field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dff_onnx.concepts.tree import Link, Node, Tree
from dff_onnx.report.found import ConceptFound, Found
from dff_onnx.report.results import nine_digits, strict_json

SCHEMA = "dff-onnx/tree/1"


def level_folder(k: int) -> str:
    """Where a level lies as a run of its own, below the tree's folder.

    >>> level_folder(4)
    'k4'
    """
    return f"k{k}"


def tree_json(tree: Tree, levels: Sequence[Found]) -> bytes:
    """A tree as strict JSON with a versioned schema.

    Args:
        tree: its nodes and links.
        levels: what was found on each level, on the same pictures.
    """
    first = levels[0]
    return strict_json(
        {
            "schema": SCHEMA,
            "fingerprint": first.fingerprint.to_dict(),
            "device": first.device,
            "pictures": [image.path for image in first.images],
            "levels": [_level(found, nodes) for found, nodes in zip(levels, tree.nodes, strict=True)],
            "links": [_link(link, tree) for link in tree.links],
            "failures": [{"path": failure.path, "reason": failure.reason} for failure in first.failures],
        }
    )


def _level(found: Found, nodes: Sequence[Node]) -> dict[str, Any]:
    k = len(found.concepts)
    return {
        "k": k,
        "run": level_folder(k),
        "explained": nine_digits(1 - found.fit.loss) if found.fit else None,
        "concepts": [_concept(concept, node) for concept, node in zip(found.concepts, nodes, strict=True)],
    }


def _concept(concept: ConceptFound, node: Node) -> dict[str, Any]:
    return {
        "number": concept.number,
        "name": concept.name,
        "colour": concept.colour,
        "energy": None if concept.energy is None else nine_digits(concept.energy),
        "threshold": nine_digits(concept.threshold),
        "peak": nine_digits(concept.peak),
        "parent": node.parent,
        "children": list(node.children),
    }


def _link(link: Link, tree: Tree) -> dict[str, Any]:
    """A level is called by its number of concepts."""
    return {
        "level": tree.ks[link.level],
        "child": link.child,
        "parent": link.parent,
        "overlap": nine_digits(link.overlap),
        "weight": nine_digits(link.weight),
    }
