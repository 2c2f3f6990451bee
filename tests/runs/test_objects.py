"""Objects of a collection: what comes back is found, and pictures are indexed anew by it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.report.search_found import Part
from dff_onnx.report.whitening_file import read_whitening
from dff_onnx.retrieval import normalized, region_vectors
from dff_onnx.retrieval.graphs import graph_of, katz_centrality
from dff_onnx.retrieval.saliency import RegionVotes, cell_vectors, feature_saliency, object_saliency, salient_regions
from dff_onnx.runs import object_votes, write_objects
from dff_onnx.runs.augment_index import Augmentation, augment_index
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.index import index_folder, plan_index
from dff_onnx.runs.object_votes import VOTES, ObjectVotes, stored_votes, votes_bytes, votes_sha256
from dff_onnx.runs.objects import collection_votes, objects
from dff_onnx.runs.opened_index import settings_of
from dff_onnx.runs.search import search
from dff_onnx.runs.where import asked_box
from dff_onnx.runs.whiten import write_whitening
from dff_onnx.store import VectorStore, open_store, write_store

RED, GREEN, BLUE = (230, 20, 20), (20, 200, 20), (30, 30, 220)
SETTINGS = DescriptorSettings("fs-egm", 160)


def scene(path: Path, *squares: tuple[tuple[int, int, int], int, int]) -> None:
    """Squares of 32 pixels on black."""
    pixels = np.zeros((96, 160, 3), np.uint8)
    for colour, x, y in squares:
        pixels[y : y + 32, x : x + 32] = colour
    Image.fromarray(pixels).save(path)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Red squares come back, twice beside a green one; one blue square does not."""
    made = tmp_path / "scenes"
    made.mkdir()
    scene(made / "0.png", (RED, 8, 8))
    scene(made / "1.png", (RED, 96, 40), (GREEN, 8, 8))
    scene(made / "2.png", (RED, 16, 56))
    scene(made / "3.png", (GREEN, 120, 0))
    scene(made / "4.png", (RED, 120, 56), (BLUE, 8, 16))
    return made


def opened(scenes: Path, where: Path) -> VectorStore:
    index_folder(scenes, where, Colours(), plan_index(where, {"kind": "fs-egm", "size": 160}))
    return open_store(where)


def found_in(scenes: Path, out: Path, **options: Any) -> Any:
    with opened(scenes, out.parent / "index.db") as store:
        return objects(store, Describer(Colours(), SETTINGS), out, **options)


def test_objects_are_what_comes_back_in_other_pictures(scenes: Path, tmp_path: Path) -> None:
    found = found_in(scenes, tmp_path / "out").found
    red, green = sorted(found.objects, key=lambda one: -len(one.regions))
    assert (found.images, found.regions) == (5, 7)
    assert sorted(one.path for one in red.regions) == ["0.png", "1.png", "2.png", "4.png"]
    assert sorted(one.path for one in green.regions) == ["1.png", "3.png"]
    boxes = {one.path: one.box for one in red.regions}
    for path, (x, y) in {"0.png": (8, 8), "1.png": (96, 40), "2.png": (16, 56), "4.png": (120, 56)}.items():
        box = boxes[path]
        assert box.x0 <= x + 8 and box.y0 <= y + 8 and box.x1 >= x + 24 and box.y1 >= y + 24
    # Alone in its picture, a region ends where the square does, to a cell; beside others it may expand.
    for path, (x, y) in {"0.png": (8, 8), "2.png": (16, 56)}.items():
        box = boxes[path]
        np.testing.assert_allclose((box.x0, box.y0, box.x1, box.y1), (x, y, x + 32, y + 32), atol=8)
    assert [one.number for one in found.objects] == [1, 2]
    assert found.objects[0].regions[0].centrality >= found.objects[1].regions[0].centrality
    assert red.regions[0].similarity == 1 and all(one.similarity > 0.99 for one in red.regions)


def test_a_folder_has_the_page_the_crops_and_the_overlays_of_all_objects(scenes: Path, tmp_path: Path) -> None:
    found = found_in(scenes, tmp_path / "out").found
    out = tmp_path / "out"
    assert json.loads((out / "objects.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    assert len(list((out / "objects").iterdir())) == 6 and len(list((out / "overlays").iterdir())) == 2
    first = max(found.objects, key=lambda one: len(one.regions))
    number, first = first.number, first.regions[0]
    with Image.open(out / "objects" / f"{number:04}-01-{Path(first.path).stem}.png") as crop:
        assert crop.size == (first.box.x1 - first.box.x0, first.box.y1 - first.box.y0)
        assert crop.convert("RGB").getpixel((crop.width // 2, crop.height // 2)) == RED
    assert (out / "objects.html").read_text().count("<img ") == 2 * 2 + 6


def test_only_what_the_page_shows_is_kept_until_the_end(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[np.ndarray[Any, Any]] = []

    def page(_found: Any, _folder: str, shown: Any) -> bytes:
        kept.extend(tile.picture for one in shown for tile in one.whole + one.crops)
        return b""

    monkeypatch.setattr(write_objects, "SIDE", 16)
    monkeypatch.setattr(write_objects, "objects_page", page)
    found_in(scenes, tmp_path / "out")
    assert len(kept) == 10 and max(max(one.shape) for one in kept) == 16
    for file in (tmp_path / "out" / "objects").iterdir():
        with Image.open(file) as crop:
            assert max(crop.size) > 16


def test_the_same_command_writes_the_same_bytes_and_other_settings_are_refused(scenes: Path, tmp_path: Path) -> None:
    found_in(scenes, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    found_in(scenes, tmp_path / "out")
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(UsageError, match="other settings"):
        found_in(scenes, tmp_path / "out", top=1)
    found_in(scenes, tmp_path / "out", top=1, overwrite=True)
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 1


def test_an_index_of_other_descriptors_is_refused(scenes: Path, tmp_path: Path) -> None:
    where = tmp_path / "rmac.db"
    index_folder(scenes, where, Colours(), plan_index(where, {"kind": "rmac", "size": 160}))
    with open_store(where) as store, pytest.raises(UsageError, match=r"rmac\.db: .*'rmac'.*--descriptor fs-egm"):
        objects(store, Describer(Colours(), replace(SETTINGS, kind="rmac")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("top", [0, 1001])
def test_numbers_that_cannot_be_are_refused(scenes: Path, tmp_path: Path, top: int) -> None:
    with pytest.raises(UsageError, match="--top"):
        found_in(scenes, tmp_path / "out", top=top)


def test_pictures_that_are_gone_are_told_and_the_others_shown(scenes: Path, tmp_path: Path) -> None:
    with opened(scenes, tmp_path / "index.db") as store:
        (scenes / "3.png").unlink()
        found = objects(store, Describer(Colours(), SETTINGS), tmp_path / "out").found
    assert [path for path, _ in found.failures] == ["3.png"]
    assert "cannot be read" in (tmp_path / "out" / "objects.html").read_text()
    assert len(list((tmp_path / "out" / "objects").iterdir())) == 5


@pytest.mark.parametrize("size", [(20, 12), (110, 60)])
def test_pictures_that_became_smaller_are_told_and_the_others_shown(
    scenes: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    with opened(scenes, tmp_path / "index.db") as store:
        for name in ("0.png", "1.png", "2.png", "3.png", "4.png"):
            Image.new("RGB", size, RED).save(scenes / name)
        found = objects(store, Describer(Colours(), SETTINGS), tmp_path / "out").found
    assert dict(found.failures)["3.png"] == "is smaller than it was when it was indexed"
    assert "cannot be read" in (tmp_path / "out" / "objects.html").read_text()


def test_votes_are_the_regions_of_the_index_with_their_saliency_and_centrality(scenes: Path, tmp_path: Path) -> None:
    with opened(scenes, tmp_path / "index.db") as store:
        votes = collection_votes(store)
        state = store.state()
    X = [Colours()(np.asarray(Image.open(scenes / f"{i}.png"))[None]) for i in range(5)]
    regions = [salient_regions(feature_saliency(one)[0]) for one in X]
    vectors = np.concatenate([region_vectors(one, of.windows)[0] for one, of in zip(X, regions, strict=True)])
    assert votes.paths == tuple(f"{i}.png" for i in range(5)) and votes.state == state
    assert votes.regions.owners.tolist() == [i for i, of in enumerate(regions) for _ in of.windows]
    np.testing.assert_allclose(votes.regions.vectors, vectors, atol=1e-3)  # the index has halves
    np.testing.assert_allclose(votes.regions.scores, [score for of in regions for score in of.scores], rtol=1e-6)
    expected = katz_centrality(graph_of(votes.regions.vectors, votes.neighbours))
    np.testing.assert_allclose(votes.regions.centralities, expected)


def by_hand(votes: ObjectVotes, path: Path) -> tuple[Any, tuple[float, ...]]:
    """The descriptor of a picture of the collection and the scores of its regions, its own without a vote."""
    X = Colours()(np.asarray(Image.open(path))[None])
    S = object_saliency(feature_saliency(X)[0], cell_vectors(X)[0], votes.regions, own=votes.number_of(path.name))
    found = salient_regions(S)
    return normalized(region_vectors(X, found.windows).sum(axis=1))[0], found.scores


def test_pictures_are_indexed_anew_by_what_comes_back(scenes: Path, tmp_path: Path) -> None:
    where = tmp_path / "objects.db"
    done = found_in(scenes, tmp_path / "out", index=where)
    assert done.indexed.added == done.indexed.images == 5
    with open_store(where) as store:
        assert store.identity.descriptor == "os-egm" and store.check() == ()
        votes = stored_votes(store, store.identity.settings["votes"])
        assert votes is not None
        (block,) = store.blocks("images")
        for vector, record in zip(block.vectors, store.images(block.ids.tolist()), strict=True):
            expected, scores = by_hand(votes, scenes / record.path)
            np.testing.assert_allclose(vector, expected, atol=2e-3)
            np.testing.assert_allclose([one.score for one in store.regions_of(record.id)], scores, rtol=1e-5)
        # The blue square comes back nowhere: it is no region any more.
        blue = store.find("4.png")
        assert blue is not None and [region.box.x0 >= 100 for region in store.regions_of(blue.id)] == [True]


def test_an_index_of_what_comes_back_is_searched_and_follows_its_folder(scenes: Path, tmp_path: Path) -> None:
    where = tmp_path / "objects.db"
    found_in(scenes, tmp_path / "out", index=where)
    plan = plan_index(where)
    again = index_folder(scenes, where, Colours(), plan)
    assert (again.added, again.unchanged) == (0, 5)
    scene(scenes / "5.png", (RED, 48, 24), (BLUE, 120, 56))
    assert index_folder(scenes, where, Colours(), plan_index(where)).added == 1
    describer = Describer(Colours(), plan.settings, None, plan.votes)
    with open_store(where) as store:
        found = search(store, describer, Part(scenes / "0.png"))
        assert {one.path for one in found.results[:5]} == {"0.png", "1.png", "2.png", "4.png", "5.png"}
        assert found.results[-1].path == "3.png"


def test_what_whitened_the_regions_whitens_what_is_made_of_their_votes(scenes: Path, tmp_path: Path) -> None:
    plain = Describer(Colours(), SETTINGS)
    write_whitening(scenes, tmp_path / "w.npz", plain, 2)
    where, new = tmp_path / "white.db", tmp_path / "new.db"
    index_folder(scenes, where, Colours(), plan_index(where, whitening=tmp_path / "w.npz"))
    with open_store(where) as store:
        whitening = read_whitening(tmp_path / "w.npz").whitening
        objects(store, replace(plain, whitening=whitening), tmp_path / "out", index=new)
        wanted = store.identity
    with open_store(new) as store:
        assert (store.identity.whitening, store.identity.dimensions) == (wanted.whitening, 2)
    assert index_folder(scenes, new, Colours(), plan_index(new)).unchanged == 5


def test_an_augmented_index_of_what_comes_back_keeps_the_votes(scenes: Path, tmp_path: Path) -> None:
    where, moved = tmp_path / "objects.db", tmp_path / "moved.db"
    found_in(scenes, tmp_path / "out", index=where)
    augment_index(where, moved, Augmentation(1))
    with open_store(where) as store, open_store(moved) as made:
        votes = stored_votes(made, settings_of(made.identity, made.where).votes)
        assert votes is not None and made.attachment(VOTES) == store.attachment(VOTES)


def test_more_votes_than_an_index_can_keep_are_drawn_and_refused_only_for_an_index(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_votes, "FORM", replace(object_votes.FORM, largest=2**20 + 16))
    found_in(scenes, tmp_path / "out")
    with pytest.raises(UsageError, match="more than an index of os-egm descriptors can keep"):
        found_in(scenes, tmp_path / "out", top=1, overwrite=True, index=tmp_path / "objects.db")
    assert not (tmp_path / "objects.db").exists()
    assert len(json.loads((tmp_path / "out" / "objects.json").read_text())["objects"]) == 2


def test_votes_that_are_missing_or_others_are_refused(scenes: Path, tmp_path: Path) -> None:
    where = tmp_path / "objects.db"
    found_in(scenes, tmp_path / "out", index=where)
    plan = plan_index(where)
    assert plan.votes is not None
    with write_store(where, plan.identity) as store:  # type: ignore[arg-type]
        store.attach(VOTES, votes_bytes(replace(plan.votes, neighbours=3)))
    with pytest.raises(StoreError, match="keeps other votes than those"):
        plan_index(where)
    other = replace(plan.votes, neighbours=4)
    changed = replace(plan, identity=None, settings=replace(plan.settings, votes=votes_sha256(other)), votes=other)
    with pytest.raises(StoreError, match="cannot be compared"):
        index_folder(scenes, where, Colours(), changed)


def test_a_picture_of_the_collection_has_no_votes_from_its_own_regions_and_a_query_has_all(scenes: Path) -> None:
    red, blue = (normalized(Colours()(np.full((1, 8, 8, 3), one, np.uint8))[:, :, 0, 0])[0] for one in (RED, BLUE))
    regions = RegionVotes(np.stack([blue, red]), np.array([0, 1]), np.ones(2), np.array([100.0, 1.0]))
    votes = ObjectVotes(regions, ("4.png", "0.png"), "none", 2)
    describer = Describer(Colours(), DescriptorSettings("os-egm", 160, votes=votes_sha256(votes)), None, votes)
    picture = describer.read(scenes / "4.png")  # blue on the left, red on the right
    own, query = describer.describe(picture, "4.png"), describer.describe(picture)
    assert all(box.x0 > 60 for box in own.boxes) and all(box.x1 < 100 for box in query.boxes)
    # An index knows its pictures by their names.
    assert describer.describe(picture, "other.png").boxes == query.boxes


@pytest.mark.parametrize("box", [None, Box(0, 0, 160, 96)])
def test_a_query_out_of_the_collection_has_no_votes_from_its_own_regions(
    scenes: Path, tmp_path: Path, box: Box | None
) -> None:
    scene(scenes / "4.png", (RED, 120, 56), (BLUE, 8, 16), (BLUE, 56, 16))  # blue comes back in this picture alone
    where = tmp_path / "objects.db"
    found_in(scenes, tmp_path / "out", index=where)
    plan = plan_index(where)
    assert plan.votes is not None
    describer = Describer(Colours(), plan.settings, None, plan.votes)
    (tmp_path / "link").symlink_to(scenes)
    with open_store(where) as store:
        for folder, picture in ((scenes, tmp_path / "link"), (tmp_path / "link", scenes)):
            found = search(store, describer, Part(picture / "4.png", box), folder=folder)
            assert {one.path: one.score for one in found.results}["4.png"] > 0.9999
        elsewhere = search(store, describer, Part(scenes / "4.png", box))
        assert {one.path: one.score for one in elsewhere.results}["4.png"] < 0.99
    described = describer.describe(describer.read(scenes / "4.png"), "4.png")
    concept = Part(scenes / "4.png", box, concept=0)
    assert asked_box(concept, describer, scenes) == described.boxes[0] != asked_box(concept, describer)


def test_where_nobody_votes_regions_are_those_of_feature_saliency(scenes: Path) -> None:
    votes = ObjectVotes(
        RegionVotes(np.array([[0, 0, 0, 1]], np.float32), np.array([0]), np.ones(1), np.ones(1)), ("x",), "none", 2
    )
    settings = DescriptorSettings("os-egm", 160, votes=votes_sha256(votes))
    plain = Describer(Colours(), SETTINGS)
    described = Describer(Colours(), settings, None, votes).describe(plain.read(scenes / "0.png"))
    expected = plain.describe(plain.read(scenes / "0.png"))
    assert described.boxes == expected.boxes and (described.vector == expected.vector).all()
