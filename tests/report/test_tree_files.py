"""`tree.json` and `tree.svg`: whatever names and paths a set has, they stay text."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from findings import FIT, HOSTILE_PATHS, concept, found
from PIL import Image

from dff_onnx.concepts.tree import Level, Tree, grow
from dff_onnx.report.found import Found
from dff_onnx.report.svg import plain
from dff_onnx.report.tree_files import tree_json
from dff_onnx.report.tree_layout import orders
from dff_onnx.report.tree_svg import Tile, tree_svg

DOCS = Path(__file__).parents[2] / "docs" / "tree.md"
SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</text><script>alert(1)</script>\x00\x1b\"'&"


def small() -> Tree:
    """1 -> 2 -> 4: in the last step one is new, and one comes from both."""
    a, b, c = np.eye(6)[0] + np.eye(6)[1], np.eye(6)[2] + np.eye(6)[3], np.eye(6)[4]
    columns = [[a + b], [a, b], [a + 0.1 * b, np.eye(6)[2], a + b, c]]
    weights = [np.eye(4)[:1], np.eye(4)[:2], np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.7, 0.7, 0, 0], [0, 0, 0, 1]])]
    return grow([Level(W, np.stack(H, axis=1)) for W, H in zip(weights, columns, strict=True)])


def levels(tree: Tree, **changes: Any) -> list[Found]:
    return [
        found(fit=replace(FIT, k=k), concepts=tuple(concept(number, **changes) for number in range(k))) for k in tree.ks
    ]


def tiles(tree: Tree, path: str = "a.jpg") -> dict[tuple[int, int], list[Tile]]:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 60, 3), np.uint8)
    return {
        (level, number): [Tile(pixels, path, 0.5), Tile(pixels.transpose(1, 0, 2), path, 0.25)]
        for level, k in enumerate(tree.ks)
        for number in range(k)
    }


def drawn(path: str = "a.jpg", **changes: Any) -> ElementTree.Element:
    tree = small()
    return ElementTree.fromstring(tree_svg(tree, levels(tree, **changes), tiles(tree, path), f"title {path}"))


def test_the_json_has_every_node_and_link() -> None:
    tree = small()
    document = json.loads(tree_json(tree, levels(tree)))
    assert document["schema"] == "dff-onnx/tree/1"
    assert [level["k"] for level in document["levels"]] == [1, 2, 4]
    assert [level["run"] for level in document["levels"]] == ["k1", "k2", "k4"]
    assert document["levels"][0]["explained"] == pytest.approx(1 - FIT.loss)
    for level, nodes in zip(document["levels"], tree.nodes, strict=True):
        assert [one["parent"] for one in level["concepts"]] == [node.parent for node in nodes]
        assert [one["children"] for one in level["concepts"]] == [list(node.children) for node in nodes]
    links = [(one["level"], one["child"], one["parent"]) for one in document["links"]]
    assert links == [(tree.ks[one.level], one.child, one.parent) for one in tree.links]
    assert [one["overlap"] for one in document["links"]] == pytest.approx([one.overlap for one in tree.links])
    assert len(document["pictures"]) == len(HOSTILE_PATHS) and len(document["failures"]) == 2


def test_the_page_describes_every_field_of_the_json() -> None:
    tree, text = small(), DOCS.read_text(encoding="utf-8")

    def keys(value: Any) -> set[str]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return set(value if isinstance(value, dict) else ()).union(*map(keys, inner))

    document = json.loads(tree_json(tree, levels(tree)))
    del document["fingerprint"]  # as in results.json
    assert {key for key in keys(document) if f"`{key}`" not in text} == set()


def test_the_picture_has_a_card_for_each_concept_and_a_line_for_each_link() -> None:
    tree, root = small(), drawn()
    assert len(root.findall(f"{SVG}g")) == sum(tree.ks)
    lines = [one for one in root.iter(f"{SVG}path") if one.find(f"{SVG}title") is not None]
    assert len(lines) == len(tree.links)
    assert sum("stroke-dasharray" in line.attrib for line in lines) == 1
    texts = " ".join("".join(one.itertext()) for one in root.iter(f"{SVG}text"))
    assert "k = 4" in texts and texts.count("87.7% explained") == 3
    assert texts.count("energy 50.0%") == 7 and texts.count("energy 50.0%, new") == 1


def test_cards_lie_beside_each_other_within_the_picture() -> None:
    root = drawn()
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = []
    for card in root.findall(f"{SVG}g"):
        x, y = map(float, re.findall(r"[\d.]+", card.attrib["transform"]))
        frame = card.find(f"{SVG}rect")
        assert frame is not None
        boxes.append((x, y, x + float(frame.attrib["width"]), y + float(frame.attrib["height"])))
    assert all(x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height for x0, y0, x1, y1 in boxes)
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_tiles_are_jpegs_of_their_pictures_aspect() -> None:
    images = list(drawn().iter(f"{SVG}image"))
    assert len(images) == 14
    for image, aspect in zip(images[:2], (2, 0.5), strict=True):
        assert float(image.attrib["width"]) / float(image.attrib["height"]) == pytest.approx(aspect, rel=0.01)
        kind, data = image.attrib["href"].split(",")
        assert kind == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).format == "JPEG"


@pytest.mark.parametrize("path", [*HOSTILE_PATHS, EVIL])
def test_hostile_names_and_paths_stay_text(path: str) -> None:
    root = drawn(path, name=path, colour="#123456")
    assert {one.tag.removeprefix(SVG) for one in root.iter()} == {"svg", "rect", "text", "title", "path", "g", "image"}
    assert not [key for one in root.iter() for key in one.attrib if key.startswith("on")]
    assert all(one.attrib["href"].startswith("data:image/jpeg;base64,") for one in root.iter(f"{SVG}image"))
    told = {one.text for one in root.iter(f"{SVG}title")}
    shown = ElementTree.fromstring(f"<a>{plain(path)}</a>").text
    assert shown in told and f"{shown}, score 0.50" in told


def test_a_hostile_colour_stays_an_attribute() -> None:
    root = drawn(colour='"/><script>')
    assert not list(root.iter(f"{SVG}script"))


def test_equal_trees_have_equal_bytes() -> None:
    tree = small()
    assert tree_json(tree, levels(tree)) == tree_json(small(), levels(tree))
    assert tree_svg(tree, levels(tree), tiles(tree), "t") == tree_svg(small(), levels(tree), tiles(tree), "t")


def test_a_tree_without_tiles_is_drawn() -> None:
    tree = small()
    assert not list(ElementTree.fromstring(tree_svg(tree, levels(tree), {}, "t")).iter(f"{SVG}image"))


@pytest.mark.parametrize("seed", range(20))
def test_no_two_lines_to_a_parent_cross(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = sorted(rng.choice(np.arange(1, 9), 4, replace=False).tolist())
    tree = grow([Level(rng.random((k, 9)), rng.random((20, k)) * (rng.random((20, k)) < 0.6)) for k in sizes])
    found = orders(tree)
    assert [sorted(order) for order in found] == [list(range(k)) for k in sizes]
    for level in range(1, 4):
        parents = [tree.nodes[level][number].parent for number in found[level]]
        places = [found[level - 1].index(parent) for parent in parents if parent is not None]
        new = [place for place, parent in enumerate(parents) if parent is None]
        assert places == sorted(places), new
