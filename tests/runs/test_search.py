"""Searching an index: the same answer as comparing everything with everything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from made_index import made_index
from PIL import Image

from dff_onnx.errors import ImageError, StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.report.search_found import Part, search_json
from dff_onnx.retrieval.products import exact_products
from dff_onnx.runs import search_regions
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.search import SearchSettings, search, vector_of
from dff_onnx.store import Entry, Identity, Stamp, VectorStore, write_store

RED, GREEN, BLUE, GREY = (230, 20, 20), (20, 200, 20), (30, 30, 220), (90, 90, 90)
DESCRIBER = Describer(Colours(), DescriptorSettings(k=3, weights="root"))


def scene(path: Path, *squares: tuple[tuple[int, int, int], int, int]) -> Path:
    """Squares of 40 pixels on black."""
    pixels = np.zeros((96, 128, 3), np.uint8)
    for colour, x, y in squares:
        pixels[y : y + 40, x : x + 40] = colour
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Pictures named by the colours in them."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    scene(folder / "r.png", (RED, 8, 8))
    scene(folder / "g.png", (GREEN, 48, 16))
    scene(folder / "b.png", (BLUE, 80, 48))
    scene(folder / "rg.png", (RED, 0, 0), (GREEN, 64, 0))
    scene(folder / "rb.png", (RED, 16, 48), (BLUE, 72, 8))
    scene(folder / "rgb.png", (RED, 0, 56), (GREEN, 40, 0), (BLUE, 80, 56))
    return folder


@pytest.fixture
def store(tmp_path: Path, scenes: Path) -> Iterator[VectorStore]:
    with made_index(tmp_path / "index.db", scenes, DESCRIBER) as made:
        yield made


def random_store(path: Path, images: int, regions: int = 3, dtype: str = "float32", d: int = 16) -> VectorStore:
    """Vectors on a coarse grid, so that many are the same and scores tie; images with 0 to `regions` regions."""
    rng = np.random.default_rng(0)
    made = write_store(path, Identity(Colours.fingerprint, "dff", d, {}, dtype))  # type: ignore[arg-type]
    entries = []
    for number in range(images):
        count = int(rng.integers(0, regions + 1))
        vectors = rng.integers(-1, 2, (count + 1, d)) / 4
        boxes = [Box(number, j, number + 1, j + 1) for j in range(count)]
        entries.append(
            Entry(f"{number}.jpg", Stamp(1, f"mtime:{number}"), vectors[0], vectors[1:], boxes, [1.0] * count)
        )
    for start in range(0, images, 7):
        made.put(entries[start : start + 7])
    return made


class Fixed:
    """Describes every picture by given vectors."""

    def __init__(self, parts: np.ndarray[Any, Any]) -> None:
        self.settings, self.parts = DescriptorSettings(), parts.astype(np.float32)

    def read(self, path: Path, _box: Box | None = None) -> Any:
        return path

    def describe(self, _picture: Any, _name: str | None = None) -> Any:
        return self

    @property
    def vector(self) -> Any:
        return self.parts[0]


def every(store: VectorStore, kind: Any) -> tuple[Any, Any, Any]:
    blocks = list(store.blocks(kind))
    return tuple(np.concatenate([getattr(b, name) for b in blocks]) for name in ("ids", "images", "vectors"))  # type: ignore[return-value]


def exact(parts: Any, vectors: Any) -> Any:
    rows, columns = np.indices((len(parts), len(vectors)))
    return exact_products(parts, vectors.astype(np.float32), rows.ravel(), columns.ravel()).reshape(rows.shape)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("top", [1, 5, 60, 100])
def test_images_are_ranked_as_by_brute_force_and_ties_by_id(tmp_path: Path, dtype: str, top: int) -> None:
    query = np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32).round(1)
    with random_store(tmp_path / "i.db", 60, dtype=dtype) as store:
        ids, _, vectors = every(store, "images")
        scores = exact(query, vectors)[0]
        order = np.lexsort((ids, -scores))[:top]
        found = search(store, Fixed(query), Part(Path("q.jpg")), SearchSettings(top))  # type: ignore[arg-type]
    assert [one.id for one in found.results] == ids[order].tolist()
    assert [one.score for one in found.results] == scores[order].tolist()
    assert [one.rank for one in found.results] == list(range(1, min(top, 60) + 1))
    assert all(one.box is None for one in found.results) and (found.images, found.regions) == (60, store_regions(ids))


def store_regions(ids: Any) -> int:
    rng, total = np.random.default_rng(0), 0
    for _ in ids:
        count = int(rng.integers(0, 4))
        rng.integers(-1, 2, (count + 1, 16))
        total += count
    return total


@pytest.mark.parametrize("rows", [1, 4, 8192])
@pytest.mark.parametrize(("wanted", "unwanted"), [(1, 0), (2, 0), (1, 1), (2, 2)])
def test_regions_are_combined_as_by_brute_force_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, wanted: int, unwanted: int
) -> None:
    monkeypatch.setattr(search_regions, "ROWS", rows)
    monkeypatch.setattr(search_regions, "IMAGES", 3)
    parts = np.random.default_rng(2).integers(-2, 3, (wanted + unwanted, 16)).astype(np.float32) / 4
    with random_store(tmp_path / "i.db", 50) as store:
        _, owners, vectors = every(store, "regions")
        products = exact(parts, vectors)
        expected = []
        for image in np.unique(owners):
            best = products[:, owners == image].max(axis=1)
            less = max(0.0, best[wanted:].max()) if unwanted else 0.0
            expected.append((-np.float32(best[:wanted].min() - np.float32(less)), int(image)))
        expected = sorted(expected)[:9]
        found = search_regions.best_images(store, parts[:wanted], parts[wanted:], 9)
        boxes = {image: {region.box for region in store.regions_of(image)} for _, image in expected}
    assert [(-one.score, one.image) for one in found] == expected
    assert all(one.box in boxes[one.image] for one in found)


def test_the_box_is_that_of_the_region_most_like_the_first_part(tmp_path: Path) -> None:
    with write_store(tmp_path / "i.db", Identity(Colours.fingerprint, "dff", 2, {})) as store:
        boxes = [Box(0, 0, 1, 1), Box(5, 5, 9, 9), Box(6, 6, 9, 9)]
        store.put([Entry("a.jpg", Stamp(1, "m"), np.ones(2), np.array([[1.0, 0], [0, 1], [0, 1]]), boxes, [1.0] * 3)])
        parts = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
        [found] = search_regions.best_images(store, parts[:1], parts[:0], 3)
        assert found.box == boxes[1]
        [found] = search_regions.best_images(store, parts, parts[:0], 3)
        assert found.box == boxes[1] and found.score == 1


def test_a_picture_of_the_index_finds_itself_first_and_can_be_left_out(store: VectorStore, scenes: Path) -> None:
    query = Part(scenes / "rg.png")
    found = search(store, DESCRIBER, query, SearchSettings(3))
    assert found.results[0].path == "rg.png" and found.results[0].score == pytest.approx(1)
    assert found.results[0].label == "r"
    others = search(store, DESCRIBER, query, SearchSettings(3, exclude_self=True))
    assert [one.path for one in others.results[:2]] == [one.path for one in found.results[1:]]
    assert [one.rank for one in others.results] == [1, 2, 3]
    elsewhere = scenes.parent / "copy.png"
    shutil.copy(scenes / "rg.png", elsewhere)
    assert search(store, DESCRIBER, Part(elsewhere), SearchSettings(3, exclude_self=True)).results == others.results
    regions = SearchSettings(9, regions=True, exclude_self=True)
    assert {one.path for one in search(store, DESCRIBER, query, regions).results} == {
        "r.png", "g.png", "b.png", "rb.png", "rgb.png"
    }  # fmt: skip


def test_copies_of_the_query_are_left_out_however_many(tmp_path: Path, scenes: Path) -> None:
    for number in range(9):
        shutil.copy(scenes / "r.png", scenes / f"copy{number}.png")
    with made_index(tmp_path / "i.db", scenes, DESCRIBER) as store:
        for regions in (False, True):
            settings = SearchSettings(2, exclude_self=True, regions=regions)
            found = search(store, DESCRIBER, Part(scenes / "r.png"), settings)
            assert len(found.results) == 2 and not any("copy" in one.path for one in found.results)
            settings = replace(settings, top=50)
            assert len(search(store, DESCRIBER, Part(scenes / "r.png"), settings).results) == 5


def test_the_query_is_known_by_its_place_when_its_stamp_is_another(tmp_path: Path, scenes: Path) -> None:
    with made_index(tmp_path / "i.db", scenes, DESCRIBER) as store:
        image = Image.open(scenes / "r.png")
        image.save(scenes / "r.png", compress_level=0)  # the same pixels in another file
        settings = SearchSettings(9, exclude_self=True)
        query = Part(scenes / "r.png")
        assert any(one.path == "r.png" for one in search(store, DESCRIBER, query, settings).results)
        found = search(store, DESCRIBER, query, settings, folder=scenes)
        assert not any(one.path == "r.png" for one in found.results)


def test_time_and_size_alone_make_no_picture_the_query(tmp_path: Path, scenes: Path) -> None:
    stamp = Stamp.of_file(scenes / "r.png")
    vector = vector_of(DESCRIBER, Part(scenes / "r.png"))
    with write_store(tmp_path / "i.db", Identity(Colours.fingerprint, "dff", 4, {})) as store:
        store.put([Entry(name, stamp, vector) for name in ("deep/r.png", "s.png")])
        found = search(store, DESCRIBER, Part(scenes / "r.png"), SearchSettings(exclude_self=True))
    assert [one.path for one in found.results] == ["s.png"]


def test_expansion_asks_again_with_what_was_found(tmp_path: Path) -> None:
    """b is near a and not near the query: only a query that took a along finds it before c."""
    d = {"a": (0.8, 0.6, 0), "b": (0.1, 0.995, 0), "c": (0.3, 0, 0.954)}
    with write_store(tmp_path / "i.db", Identity(Colours.fingerprint, "dff", 3, {}, "float32")) as store:
        store.put([Entry(name, Stamp(1, "m"), np.array(vector)) for name, vector in d.items()])
        describer: Any = Fixed(np.array([[1.0, 0, 0]]))

        def paths(**how: Any) -> str:
            return "".join(one.path for one in search(store, describer, Part(Path("q")), SearchSettings(**how)).results)

        assert paths() == "acb"
        assert paths(rerank="aqe", rerank_with=1) == "abc"
        assert paths(rerank="alpha-qe", rerank_with=1) == "abc"
        found = search(store, describer, Part(Path("q")), SearchSettings(rerank="alpha-qe", rerank_with=1))
        expanded = np.array([1, 0, 0]) + np.float32(0.8) ** 3 * np.array(d["a"])
        assert found.results[0].score == pytest.approx(expanded / np.linalg.norm(expanded) @ d["a"], abs=1e-6)
        with pytest.raises(UsageError, match="--rerank aqe"):
            paths(rerank="aqe", regions=True)


def test_parts_are_searched_among_regions_and_combined(store: VectorStore, scenes: Path) -> None:
    red, green, blue = (Part(scenes / f"{name}.png") for name in "rgb")
    settings = SearchSettings(6, regions=True)
    found = search(store, DESCRIBER, red, settings)
    assert {one.path for one in found.results if one.score > 0.9} == {"r.png", "rg.png", "rb.png", "rgb.png"}
    box = next(one.box for one in found.results if one.path == "rb.png")
    assert box is not None and overlap(box, Box(16, 48, 56, 88)) > 0.5
    both = search(store, DESCRIBER, red, also=[green])
    assert {one.path for one in both.results if one.score > 0.9} == {"rg.png", "rgb.png"} and both.settings["regions"]
    not_blue = search(store, DESCRIBER, red, also=[green], without=[blue])
    assert [one.path for one in not_blue.results if one.score > 0.5] == ["rg.png"]


def test_a_crop_and_a_concept_are_parts_of_the_query(store: VectorStore, scenes: Path) -> None:
    corner = search(store, DESCRIBER, Part(scenes / "rgb.png", Box(80, 56, 120, 96)), SearchSettings(1))
    assert corner.results[0].path == "b.png"
    described = DESCRIBER.describe(DESCRIBER.read(scenes / "rgb.png"))
    blue = int(np.argmax(described.parts @ vector_of(DESCRIBER, Part(scenes / "b.png"))))
    found = search(store, DESCRIBER, Part(scenes / "rgb.png", concept=blue))
    assert {one.path for one in found.results if one.score > 0.9} == {"b.png", "rb.png", "rgb.png"}
    assert all(one.box is not None for one in found.results)
    for number in (3, -1):
        with pytest.raises(UsageError, match=r"--concept .*rgb.png has the parts 0 to 2"):
            search(store, DESCRIBER, Part(scenes / "rgb.png", concept=number))


def test_queries_that_cannot_be_are_refused_in_a_sentence(tmp_path: Path, store: VectorStore, scenes: Path) -> None:
    with pytest.raises(UsageError, match="is not inside its picture"):
        search(store, DESCRIBER, Part(scenes / "r.png", Box(100, 0, 200, 50)))
    (tmp_path / "broken.png").write_bytes((scenes / "r.png").read_bytes()[:60])
    for name in ("broken.png", "nothing.png"):
        with pytest.raises(ImageError, match=name):
            search(store, DESCRIBER, Part(tmp_path / name))
    Image.new("RGB", (80, 80)).save(tmp_path / "black.png")
    with pytest.raises(ImageError, match="shows the network nothing"):
        search(store, DESCRIBER, Part(tmp_path / "black.png"))
    Image.new("RGB", (3, 5), RED).save(tmp_path / "tiny.png")  # less than a cell: enlarged
    assert search(store, DESCRIBER, Part(tmp_path / "tiny.png")).results[0].path == "r.png"
    for wrong in (
        {"top": 0},
        {"top": 10_001},
        {"rerank": "aqe", "rerank_with": 0},
        {"rerank": "all"},
        {"rerank_with": 3},
    ):
        with pytest.raises(UsageError):
            SearchSettings(**wrong)  # type: ignore[arg-type]


def test_an_index_without_images_regions_or_of_another_width_is_refused(tmp_path: Path, scenes: Path) -> None:
    query = Part(scenes / "r.png")
    with write_store(tmp_path / "i.db", Identity(Colours.fingerprint, "dff", 4, {})) as empty:
        with pytest.raises(StoreError, match="holds no images"):
            search(empty, DESCRIBER, query)
        empty.put([Entry("a.jpg", Stamp(1, "m"), np.ones(4))])
        with pytest.raises(StoreError, match="holds no regions"):
            search(empty, DESCRIBER, query, SearchSettings(regions=True))
    with random_store(tmp_path / "wide.db", 3) as wide, pytest.raises(StoreError, match=r"16 dimensions.* has 4"):
        search(wide, DESCRIBER, query)


def test_results_go_into_json_and_come_back(store: VectorStore, scenes: Path) -> None:
    query = Part(scenes / "r.png", Box(0, 0, 60, 60))
    found = search(store, DESCRIBER, query, SearchSettings(2, regions=True), without=[Part(scenes / "b.png")])
    told = json.loads(search_json(found))
    assert told["schema"] == "dff-onnx/search/1" and told["index"] == {"images": 6, "regions": found.regions}
    assert told["query"]["box"] == [0, 0, 60, 60] and told["without"][0]["path"].endswith("b.png")
    assert [one["rank"] for one in told["results"]] == [1, 2] and len(told["results"][0]["box"]) == 4
    assert told["settings"]["top"] == 2 and told["failures"] == []


def overlap(a: Box, b: Box) -> float:
    across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    inter = max(across, 0) * max(down, 0)
    return inter / (a.area + b.area - inter)
