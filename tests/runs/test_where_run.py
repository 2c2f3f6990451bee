"""Where a query is in the pictures that were found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from made_index import made_index
from numpy.typing import NDArray
from PIL import Image
from test_search import BLUE, GREEN, RED, overlap, scene

from dff_onnx.errors import ImageError, UsageError
from dff_onnx.records import Box, Grid
from dff_onnx.report.search_found import Part, SearchFound, search_json
from dff_onnx.retrieval.where import By
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.search import search
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.where import WhereSettings, asked_box, centre, inside, located, where
from dff_onnx.store import VectorStore

DESCRIBER = Describer(Colours(), DescriptorSettings(k=3))
RED_AT = {"r.png": Box(8, 8, 48, 48), "rg.png": Box(0, 0, 40, 40), "rgb.png": Box(0, 56, 40, 96)}
QUERY = Box(64, 48, 104, 88)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    folder.mkdir()
    scene(folder / "r.png", (RED, 8, 8))
    scene(folder / "rg.png", (RED, 0, 0), (GREEN, 64, 0))
    scene(folder / "rgb.png", (RED, 0, 56), (GREEN, 40, 0), (BLUE, 80, 56))
    scene(folder / "b.png", (BLUE, 80, 48))
    scene(tmp_path / "query.png", (RED, 64, 48), (GREEN, 0, 0))
    return folder


@pytest.fixture
def store(tmp_path: Path, scenes: Path) -> Iterator[VectorStore]:
    with made_index(tmp_path / "index.db", scenes, DESCRIBER) as made:
        yield made


def boxes(found: SearchFound) -> dict[str, Box | None]:
    return {one.path: one.box for one in found.results}


@pytest.mark.parametrize("by", ["share", "mean"])
def test_what_was_boxed_is_found_where_it_is(store: VectorStore, scenes: Path, by: By) -> None:
    query = Part(scenes.parent / "query.png", QUERY)
    found, made = where(search(store, DESCRIBER, query), scenes, DESCRIBER, WhereSettings(3, by))
    told = boxes(found)
    for name, box in RED_AT.items():
        assert told[name] is not None and overlap(told[name], box) > 0.6, name
    assert told["b.png"] is None
    assert found.query_box is not None and overlap(found.query_box, QUERY) > 0.6
    assert len(made.heats) == 5 and made.heats[0].shape == (12, 16) and made.peak > made.threshold >= 0
    assert made.peak == max(heat.max() for heat in made.heats)
    assert found.settings["where"] == {"k": 3, "by": by} and not found.failures


def test_another_box_of_the_same_picture_is_another_concept(store: VectorStore, scenes: Path) -> None:
    query = Part(scenes.parent / "query.png", Box(0, 0, 40, 40))
    found, _ = where(search(store, DESCRIBER, query), scenes, DESCRIBER, WhereSettings(3))
    told = boxes(found)
    assert told["rg.png"] is not None and overlap(told["rg.png"], Box(64, 0, 104, 40)) > 0.6
    assert told["r.png"] is None


def test_a_concept_is_where_its_box_is(store: VectorStore, scenes: Path) -> None:
    picture = scenes.parent / "query.png"
    described = DESCRIBER.describe(DESCRIBER.read(picture))
    red = int(np.argmax([overlap(box, QUERY) for box in described.boxes]))
    assert asked_box(Part(picture, concept=red), DESCRIBER) == described.boxes[red]
    found, _ = where(search(store, DESCRIBER, Part(picture, concept=red)), scenes, DESCRIBER, WhereSettings(3))
    assert overlap(boxes(found)["r.png"], RED_AT["r.png"]) > 0.6  # type: ignore[arg-type]
    crop = Box(56, 40, 128, 96)
    inner = asked_box(Part(picture, crop, 0), DESCRIBER)
    assert inner is not None and overlap(inner, QUERY) > 0.6


def test_boxes_are_in_pixels_of_the_file(tmp_path: Path, scenes: Path) -> None:
    for name in ("rgb.png", "b.png"):  # the usual two concepts are then red and green
        (scenes / name).unlink()
    big = Image.open(scenes / "r.png").resize((1280, 960), Image.Resampling.NEAREST)
    big.save(scenes / "big.png")
    with made_index(tmp_path / "i.db", scenes, DESCRIBER) as store:
        query = Part(scenes.parent / "query.png", QUERY)
        found, _ = where(search(store, DESCRIBER, query), scenes, DESCRIBER)
    box = boxes(found)["big.png"]
    assert box is not None and overlap(box, Box(80, 80, 480, 480)) > 0.6


def test_results_that_cannot_be_read_are_told_and_the_others_located(store: VectorStore, scenes: Path) -> None:
    query = Part(scenes.parent / "query.png", QUERY)
    searched = search(store, DESCRIBER, query)
    (scenes / "r.png").write_bytes(b"nothing")
    (scenes / "b.png").unlink()
    found, made = where(searched, scenes, DESCRIBER)
    assert sorted(path for path, _ in found.failures) == ["b.png", "r.png"] and len(made.seen) == 3
    assert boxes(found)["r.png"] is None and boxes(found)["rg.png"] is not None
    assert {one["path"] for one in json.loads(search_json(found))["failures"]} == {"b.png", "r.png"}
    with pytest.raises(UsageError, match="not one result"):
        where(searched, scenes.parent, DESCRIBER)
    (scenes.parent / "query.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"query\.png"):
        where(searched, scenes, DESCRIBER)


class Whole(Colours):
    """One figure of a whole picture for each colour, as a classifier's scores are."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(super().__call__(pixels).mean(axis=(2, 3), keepdims=True), np.float32)


def test_a_layer_without_a_grid_says_no_place(tmp_path: Path, scenes: Path) -> None:
    describer = Describer(Whole(), DescriptorSettings("codes", 64))
    with made_index(tmp_path / "codes.db", scenes, describer) as made:
        found = search(made, describer, Part(scenes.parent / "query.png"))
        with pytest.raises(UsageError, match=r"'colours' says one thing of a whole picture .* a layer with a grid"):
            where(found, scenes, describer)


def test_a_query_among_its_results_is_located_like_them(store: VectorStore, scenes: Path) -> None:
    query = Part(scenes / "rg.png", Box(0, 0, 40, 40))
    found, made = where(search(store, DESCRIBER, query), scenes, DESCRIBER)
    assert boxes(found)["rg.png"] == found.query_box is not None and len(made.seen) == 5
    alone, made = where(replace(found, results=()), scenes, DESCRIBER)
    assert alone.results == () and len(made.seen) == 1 and alone.query_box is not None


def test_without_files_rows_and_grids_are_enough() -> None:
    """One picture of two cells, one of one: the first channel is the query's first cell, and is in the second."""
    query = Seen(Path("q"), Grid(8, 16), Grid(8, 16), Grid(1, 2))
    seen = [query, Seen(Path("a"), Grid(80, 80), Grid(8, 8), Grid(1, 1))]
    A = np.array([[4.0, 0], [0, 4], [5, 0]], np.float32)
    for cell, expected in ((0, Box(0, 0, 80, 80)), (1, None)):
        asked = np.zeros((1, 2), np.bool_)
        asked[0, cell] = True
        made = located(A, seen, asked, WhereSettings(2))
        assert made.boxes[1] == expected
        assert made.heats[0].argmax() == cell


def test_thresholds_count_pictures_as_the_network_saw_them() -> None:
    """A large file has no more weight: here its cell would be most of the set, and above its own percentile."""
    query = Seen(Path("q"), Grid(8, 16), Grid(8, 16), Grid(1, 2))
    seen = [query, Seen(Path("a"), Grid(80, 80), Grid(8, 8), Grid(1, 1))]
    A = np.array([[4.0, 0], [0, 4], [2.5, 0]], np.float32)
    assert located(A, seen, np.array([[True, False]]), WhereSettings(2)).boxes[1] is None


def test_a_box_is_the_cells_inside_and_no_box_the_centre() -> None:
    seen = Seen(Path("q"), Grid(100, 200), Grid(50, 100), Grid(2, 4))
    assert inside(Box(0, 0, 100, 50), seen).tolist() == [[True, True, False, False], [False] * 4]
    assert inside(None, seen).tolist() == [[False, True, True, False]] * 2
    assert [centre(Grid(*size)).area > 0 for size in ((1, 1), (1, 9), (2, 2))] == [True] * 3


def test_of_a_whole_picture_its_middle_is_looked_for(store: VectorStore, scenes: Path) -> None:
    scene(scenes.parent / "query.png", (RED, 44, 28), (GREEN, 0, 0), (GREEN, 88, 56))
    searched = search(store, DESCRIBER, Part(scenes.parent / "query.png"))
    found, _ = where(searched, scenes, DESCRIBER, WhereSettings(3))
    assert overlap(boxes(found)["rg.png"], RED_AT["rg.png"]) > 0.6  # type: ignore[arg-type]


def test_one_concept_tells_nothing_apart() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        WhereSettings(1)
