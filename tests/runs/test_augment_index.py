"""An augmented index: every picture with its neighbours added, and everything else as it was."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from made_index import made_index
from mutations import mutated, mutated_tree
from PIL import Image
from torture_tier import each, tiers

from dff_onnx.cli import main
from dff_onnx.errors import OutputError, StoreError, UsageError
from dff_onnx.report.search_found import Part
from dff_onnx.runs import augment_index as module
from dff_onnx.runs.augment_index import Augmentation, augment_index, moved_to_neighbours
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.index import index_folder, plan_index
from dff_onnx.runs.opened_index import FOLDER, is_augmented, settings_of
from dff_onnx.runs.search import SearchSettings, search
from dff_onnx.store import Entry, Identity, Stamp, VectorStore, open_store, write_store

DESCRIBER = Describer(Colours(), DescriptorSettings(k=3))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = np.zeros((64, 96, 3), np.uint8)
        pixels[16:48, 8:72] = rng.integers(0, 256, 3)
        pixels[:16] = rng.integers(0, 256, 3)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def where(tmp_path: Path, pictures: Path) -> Path:
    with made_index(tmp_path / "index.db", pictures, DESCRIBER) as store:
        store.attach(FOLDER, b"/pictures")
    return tmp_path / "index.db"


def all_vectors(store: VectorStore) -> np.ndarray:
    return np.concatenate([block.vectors for block in store.blocks("images")])


def by_definition(vectors: np.ndarray, neighbours: int, alpha: float) -> np.ndarray:
    made = []
    for own, row in enumerate(vectors.astype(np.float64)):
        scores = vectors @ row
        scores[own] = -np.inf
        near = np.argsort(-scores, kind="stable")[:neighbours]
        total = row + (np.clip(scores[near], 0, None) ** alpha) @ vectors[near]
        made.append(total / np.linalg.norm(total))
    return np.stack(made)


@pytest.mark.parametrize(("neighbours", "alpha"), [(1, 3.0), (5, 3.0), (5, 0.0), (999, 1.0)])
def test_a_vector_is_the_sum_of_itself_and_its_neighbours(
    where: Path, tmp_path: Path, neighbours: int, alpha: float
) -> None:
    assert augment_index(where, tmp_path / "new.db", Augmentation(neighbours, alpha)) == 24
    with open_store(where) as old, open_store(tmp_path / "new.db") as new:
        expected = by_definition(all_vectors(old), neighbours, alpha)
        np.testing.assert_allclose(all_vectors(new), expected, atol=1e-5)
        assert new.identity.settings == {
            **old.identity.settings,
            "augmented_with": neighbours,
            "augmented_alpha": alpha,
        }
        assert settings_of(new.identity, new.where) == settings_of(old.identity, old.where)


def test_all_else_is_as_it_was(where: Path, tmp_path: Path) -> None:
    augment_index(where, tmp_path / "new.db")
    with open_store(where) as old, open_store(tmp_path / "new.db") as new:
        assert new.stamps() == old.stamps() and new.attachment(FOLDER) == b"/pictures"
        assert new.counts() == old.counts() and new.check() == ()
        for path in old.stamps():
            first, second = old.find(path), new.find(path)
            assert first and second and first.label == second.label
            ours, theirs = new.regions_of(second.id), old.regions_of(first.id)
            assert [(one.box, one.score) for one in ours] == [(one.box, one.score) for one in theirs]
            np.testing.assert_array_equal(
                new.vectors("regions", [one.id for one in ours]), old.vectors("regions", [one.id for one in theirs])
            )


def test_many_equal_vectors_crowd_each_other_out_and_nothing_changes() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0] * 9 + [1, 2]]
    vectors[8:] += 0.1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made = moved_to_neighbours(vectors, Augmentation(2, 0.0))
    np.testing.assert_allclose(made, by_definition(vectors, 2, 0.0), atol=1e-6)


def test_queries_are_described_as_before(where: Path, tmp_path: Path, pictures: Path) -> None:
    augment_index(where, tmp_path / "new.db", Augmentation(3))
    with open_store(tmp_path / "new.db") as store:
        found = search(store, DESCRIBER, Part(pictures / "05.png"), SearchSettings(24))
        query = DESCRIBER.describe(DESCRIBER.read(pictures / "05.png")).vector
        scores = np.sort(all_vectors(store) @ query)[::-1]
        np.testing.assert_allclose([one.score for one in found.results], scores, rtol=1e-5)


def test_index_refuses_an_augmented_index_and_so_does_augmenting_it_again(
    where: Path, tmp_path: Path, pictures: Path
) -> None:
    augment_index(where, tmp_path / "new.db")
    with pytest.raises(StoreError, match=r"moved towards their neighbours; .*augment that anew"):
        plan_index(tmp_path / "new.db")
    with pytest.raises(StoreError, match="moved towards their neighbours"):
        index_folder(pictures, tmp_path / "new.db", Colours())
    with pytest.raises(StoreError, match="augment the index that it was made of"):
        augment_index(tmp_path / "new.db", tmp_path / "newer.db")


def test_a_call_that_was_ended_is_taken_up(where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 5)
    augment_index(where, tmp_path / "whole.db")
    entries = module._entries

    def breaks(*of: object):
        for number, entry in enumerate(entries(*of)):
            if number == 13:
                raise OutputError("no space is left")
            yield entry

    monkeypatch.setattr(module, "_entries", breaks)
    with pytest.raises(OutputError):
        augment_index(where, tmp_path / "new.db")
    monkeypatch.setattr(module, "_entries", entries)
    with open_store(tmp_path / "new.db") as half:
        assert half.counts().images == 10
    for _ in range(2):
        assert augment_index(where, tmp_path / "new.db") == 24
    with open_store(tmp_path / "whole.db") as whole, open_store(tmp_path / "new.db") as new:
        assert all_vectors(new).tobytes() == all_vectors(whole).tobytes()


def test_other_things_than_its_own_are_not_written_into(where: Path, tmp_path: Path) -> None:
    augment_index(where, tmp_path / "new.db")
    with open_store(where) as store:
        identity, row = store.identity, all_vectors(store)[0]
    with write_store(where, identity) as store:
        store.put([Entry("more.png", Stamp(1, "x"), row)])
    with pytest.raises(StoreError, match=r"holds other vectors than .* augmented"):
        augment_index(where, tmp_path / "new.db")
    with pytest.raises(StoreError, match="holds other vectors than"):
        augment_index(where, where)
    with pytest.raises(StoreError, match="they cannot be compared"):
        write_store(tmp_path / "new.db", replace(identity, settings={}))


@pytest.mark.parametrize(("neighbours", "alpha"), [(0, 3.0), (1001, 3.0), (3, -1.0), (3, float("nan"))])
def test_an_augmentation_that_cannot_be_is_refused(neighbours: int, alpha: float) -> None:
    with pytest.raises(UsageError, match="1 to 1000 neighbours and an alpha of 0 to 100"):
        Augmentation(neighbours, alpha)


def test_the_command_says_what_it_made(
    where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(*words: object) -> object:
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, words)])
        with pytest.raises(SystemExit) as found:
            main()
        return found.value.code

    assert ended("index-augment", where, "-o", tmp_path / "new.db", "--with", "3") == 0
    assert "new.db: 24 pictures, each with 3 neighbours added" in capsys.readouterr().err
    assert ended("index-augment", where, "-o", tmp_path / "all.db", "--with", "1000") == 0
    assert "all.db: 24 pictures, each with 23 neighbours added" in capsys.readouterr().err
    assert ended("index-info", tmp_path / "new.db") == 0
    assert "augmented_with 3" in capsys.readouterr().out.replace(" = ", " ")


@tiers("mutated identities of indexes")
def test_a_mutated_identity_is_refused_or_of_a_descriptor_that_there_is(cases: range, where: Path) -> None:
    augment_index(where, where.with_name("augmented.db"))
    with open_store(where.with_name("augmented.db")) as store:
        good = store.identity.to_json()

    def judge(number: int, rng: np.random.Generator) -> str:
        tree = json.dumps(mutated_tree(json.loads(good), rng))
        text = tree if number % 2 else mutated(good.encode(), rng, b'{}[]",:0179.e-an').decode("utf-8", "replace")
        try:
            found = Identity.from_json(text)
            settings = settings_of(found, "INDEX")
        except StoreError as error:
            assert "\n" not in str(error)
            return "refused"
        assert Identity.from_json(found.to_json()) == found
        assert DescriptorSettings.from_dict(settings.kind, settings.to_dict()) == settings
        return "augmented" if is_augmented(found) else "plain"

    assert each(cases, judge)["refused"] > len(cases) / 3
