"""Graphs beside an index: built by a command, asked by a search, refused once they are old."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from made_index import made_index
from PIL import Image

from dff_onnx.cli import main
from dff_onnx.errors import StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.report.search_found import Part
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.index_info import index_info
from dff_onnx.runs.prepare_index import prepare_index
from dff_onnx.runs.search import SearchSettings, search
from dff_onnx.store import Entry, Identity, Stamp, VectorStore, write_store
from dff_onnx.store.faiss_side import FaissSide, beside, file_beside, recall

DESCRIBER = Describer(Colours(), DescriptorSettings(k=3))
needs_faiss = pytest.mark.usefixtures("faiss_here")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        pixels = np.zeros((64, 96, 3), np.uint8)
        for _ in range(3):
            y, x = rng.integers(0, 32), rng.integers(0, 64)
            pixels[y : y + 32, x : x + 32] = rng.integers(0, 256, 3)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def where(tmp_path: Path, pictures: Path) -> Path:
    made_index(tmp_path / "index.db", pictures, DESCRIBER).close()
    return tmp_path / "index.db"


@pytest.fixture
def store(where: Path) -> Iterator[VectorStore]:
    from dff_onnx.store import open_store

    with open_store(where) as opened:
        yield opened


def random_index(where: Path, n: int, d: int = 24) -> None:
    rng = np.random.default_rng(1)
    with write_store(where, Identity(Colours.fingerprint, "dff", d, {}, "float32")) as made:
        vectors = rng.standard_normal((n, d)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        made.put([Entry(f"{i}.png", Stamp(1, f"{i}"), row) for i, row in enumerate(vectors)])


@needs_faiss
def test_the_recall_is_that_of_the_stored_vectors_compared_with_all(tmp_path: Path) -> None:
    random_index(tmp_path / "r.db", 900)
    (built,) = prepare_index(tmp_path / "r.db")
    assert (built.kind, built.vectors, built.neighbours, built.asked) == ("images", 900, 10, 200)
    assert built.file_bytes == built.path.stat().st_size and built.path == beside(tmp_path / "r.db")
    from dff_onnx.store import open_store

    with open_store(tmp_path / "r.db") as store:
        rows = np.concatenate([block.vectors for block in store.blocks("images")])
        ids = np.concatenate([block.ids for block in store.blocks("images")])
        places = np.unique(np.linspace(0, 899, 200).astype(int))
        exact = np.argsort(-(rows[places] @ rows.T), axis=1, kind="stable")[:, 1:11]
        found = FaissSide.open(store, built.path)(rows[places], 11)
        others = np.stack([row[row != one][:10] for row, one in zip(found, ids[places], strict=True)])
    assert built.recall == pytest.approx(recall(others, ids[exact]))
    assert built.recall > 0.9


@needs_faiss
@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("exclude", [False, True])
def test_an_approximate_search_of_few_pictures_is_the_exact_one(
    where: Path, store: VectorStore, pictures: Path, regions: bool, exclude: bool
) -> None:
    assert [one.kind for one in prepare_index(where)] == ["images", "regions"]
    for name in ("03.png", "17.png", "39.png"):
        exact, near = (
            search(
                store,
                DESCRIBER,
                Part(pictures / name, Box(0, 0, 64, 64)),
                SearchSettings(5, regions, exclude_self=exclude, approximate=approximate),
                folder=pictures,
            )
            for approximate in (False, True)
        )
        assert near.results == exact.results
        assert near.settings["approximate"] and "approximate" not in exact.settings


@needs_faiss
def test_parts_that_are_wanted_and_not_are_compared_exactly(where: Path, store: VectorStore, pictures: Path) -> None:
    prepare_index(where)
    words = {"also": [Part(pictures / "05.png")], "without": [Part(pictures / "09.png")]}
    exact, near = (
        search(store, DESCRIBER, Part(pictures / "01.png"), SearchSettings(3, approximate=approximate), **words)
        for approximate in (False, True)
    )
    assert near.results == exact.results


@needs_faiss
def test_a_missing_or_old_graph_names_the_command(where: Path, pictures: Path) -> None:
    query, settings = Part(pictures / "01.png"), SearchSettings(approximate=True)
    from dff_onnx.store import open_store

    with open_store(where) as store:
        with pytest.raises(UsageError, match=r"build it first: `dff-onnx index-prepare .*index\.db --faiss`"):
            search(store, DESCRIBER, query, settings)
        assert dict(index_info(where).graphs) == {"images": "none", "regions": "none"}
        prepare_index(where)
        assert dict(index_info(where).graphs) == {"images": "fresh", "regions": "fresh"}
        identity = store.identity
    with write_store(where, identity) as store:
        store.delete(["00.png"])
    assert dict(index_info(where).graphs) == {"images": "stale", "regions": "stale"}
    with (
        open_store(where) as store,
        pytest.raises(StoreError, match=r"build it anew: `dff-onnx index-prepare .*index\.db --faiss`"),
    ):
        search(store, DESCRIBER, query, settings)


def test_an_index_on_a_server_has_no_graph_beside_it() -> None:
    class Server:
        where = "postgresql://ann@db.example:5432/pictures?schema=dff_onnx"

    with pytest.raises(UsageError, match="is on a server"):
        file_beside(Server())  # type: ignore[arg-type]


def test_without_faiss_it_is_said_what_to_install(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'dff-onnx\[ann\]'"):
        prepare_index(where)


def ended(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, words)])
    with pytest.raises(SystemExit) as found:
        main()
    return found.value.code


@needs_faiss
def test_the_command_says_size_seconds_and_recall(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "index-prepare", where) == 2
    assert "--faiss" in capsys.readouterr().err
    assert ended(monkeypatch, "index-prepare", where, "--faiss", "--json") == 0
    seen = capsys.readouterr()
    assert "index.db.images.faiss: 40 images, " in seen.err and "% of the 10 nearest of 40 vectors" in seen.err
    assert '"kind": "regions"' in seen.out and '"recall": 1.0' in seen.out
    assert ended(monkeypatch, "index-info", where) == 0
    assert "graphs     images fresh, regions fresh" in capsys.readouterr().out
