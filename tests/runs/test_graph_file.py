"""The file of a graph: what was written comes back, and nothing else is taken for it."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours

from dff_onnx.cli.index_text import info_fields, info_lines
from dff_onnx.errors import OutputError, StoreError, UsageError
from dff_onnx.npz_file import read_npz, write_npz
from dff_onnx.records import Box
from dff_onnx.runs.graph_file import FORM, TYPES, check_graph_output, command, read_graph, write_graph
from dff_onnx.runs.graph_parts import GraphParts, graph_beside, made_graph_parts
from dff_onnx.runs.index_info import index_info
from dff_onnx.store import Entry, Identity, Stamp, write_store


@pytest.fixture
def store(tmp_path: Path) -> Any:
    V = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    with write_store(tmp_path / "i.db", Identity(Colours.fingerprint, "dff", 8, {}, "float32")) as made:
        box = [Box(0, 0, 1, 1)] * 2
        made.put([Entry(f"{i}", Stamp(1, ""), V[i], V[[i, -i]], box, [1.0] * 2) for i in range(60)])
        yield made


@pytest.fixture
def path(store: Any) -> Path:
    where = graph_beside(store, "images")
    write_graph(store, where, made_graph_parts(store, k=9, rank=7, offline=True))
    return where


def arrays(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    found, about = read_npz(path, FORM)
    return {name: array.view(TYPES[name]).copy() for name, array in found.items()}, about


def rewrite(path: Path, made: dict[str, Any], about: dict[str, Any]) -> None:
    about = {key: value for key, value in about.items() if key != "format"}
    write_npz(path, FORM, {name: np.ascontiguousarray(array).view("<f4") for name, array in made.items()}, about)


@pytest.mark.parametrize("kind", ["images", "regions"])
def test_what_was_written_comes_back_to_the_bit(store: Any, kind: Any) -> None:
    where = graph_beside(store, kind)
    made = made_graph_parts(store, kind, k=9, rank=7, offline=True)
    write_graph(store, where, made)
    first = where.read_bytes()
    back = read_graph(store, where, kind)
    write_graph(store, where, back)
    assert where.read_bytes() == first and where.name == f"i.db.{kind}.graph"
    assert back.k == 9 and back.spectrum is not None and made.spectrum is not None
    assert back.graph.W.data.tobytes() == made.graph.W.data.tobytes()
    for ours, theirs in zip(back.spectrum.vectors, made.spectrum.vectors, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(back.solutions.toarray(), made.solutions.toarray(), rtol=1e-6)


def test_what_is_said_of_an_index_tells_whether_its_graphs_still_rank(store: Any, path: Path) -> None:
    info = index_info(store.where)
    assert dict(info.to_rank_on) == {"images": "fresh", "regions": "none"}
    assert "  to rank on images fresh" in info_lines(info) and info_fields(info)["to_rank_on"]["regions"] == "none"
    path.with_name("i.db.regions.graph").write_bytes(path.read_bytes()[:-9])
    store.delete(["3"])
    assert dict(index_info(store.where).to_rank_on) == {"images": "stale", "regions": "damaged"}


def test_a_graph_of_images_is_none_of_regions(store: Any, path: Path) -> None:
    with pytest.raises(UsageError, match="is a graph of images, and one of regions is needed"):
        read_graph(store, path, "regions")
    with pytest.raises(UsageError, match="no such file"):
        read_graph(store, path.with_name("x"), "images")


def test_a_command_can_be_given_to_a_shell_whatever_the_files_are_called(tmp_path: Path) -> None:
    where = tmp_path / "it's a $HOME.db"
    with write_store(where, Identity(Colours.fingerprint, "dff", 8, {}, "float32")) as made:
        words = shlex.split(command(made, "images", " --offline", tmp_path / "the graph"))
    assert words[2] == str(where) and words[-2:] == ["--graph", str(tmp_path / "the graph")]


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("indptr", 3, 10**12, "rise from 0"),
        ("indices", 0, 60, "nodes 0 to 59"),
        ("data", 0, 7.0, "the same both ways"),
        ("data", 0, np.nan, "finite"),
        ("roots", 0, np.inf, "finite"),
        ("weights", 0, np.nan, r"weights is beyond 1e\+06"),
        ("components", 0, 10**6, "components are none"),
        ("components", 0, -1, "components are none"),
        ("ranks", 0, 0, "more eigenvalues than nodes, or none"),
        ("ranks", 0, 2**30, "more eigenvalues than nodes, or none"),
        ("values", 0, 1.01, "beyond -1..1"),
        ("values", 0, np.nan, "beyond -1..1"),
        ("vectors", 5, 1e30, "beyond -1..1"),
        ("vectors", 5, np.nan, "beyond -1..1"),
        ("near", (0, 0), 60, "not there"),
        ("near", (0, 0), -1, "not there"),
        ("solved", (0, 0), np.nan, r"beyond 1e\+06"),
        ("solved", (0, 0), 1e30, r"beyond 1e\+06"),
    ],
)
def test_a_hostile_file_is_refused(store: Any, path: Path, name: str, place: Any, value: Any, message: str) -> None:
    made, about = arrays(path)
    made[name][place] = value
    rewrite(path, made, about)
    with pytest.raises(StoreError, match=message):
        read_graph(store, path, "images")


@pytest.mark.parametrize("name", sorted(TYPES))
def test_arrays_of_another_length_are_refused(store: Any, path: Path, name: str) -> None:
    made, about = arrays(path)
    made[name] = made[name][:-1]
    rewrite(path, made, about)
    with pytest.raises(StoreError, match="graph"):
        read_graph(store, path, "images")


def test_numbers_that_end_in_the_middle_and_parts_that_lack_parts_are_refused(store: Any, path: Path) -> None:
    made, about = arrays(path)
    rewrite(path, made | {"roots": made["roots"].view(np.float32)[:-1]}, about)
    with pytest.raises(StoreError, match="middle of a number"):
        read_graph(store, path, "images")
    rewrite(path, {name: array for name, array in made.items() if name != "values"}, about)
    with pytest.raises(StoreError, match="belong together"):
        read_graph(store, path, "images")
    rewrite(path, made, about | {"k": "many"})
    with pytest.raises(StoreError, match="k"):
        read_graph(store, path, "images")


def all_of(parts: GraphParts) -> Any:
    """Every bit of it."""
    assert parts.spectrum is not None and parts.solutions is not None
    W, solved, spectrum = parts.graph.W, parts.solutions, parts.spectrum
    made = (W.data, W.indices, W.indptr, solved.data, solved.indices, parts.weights, spectrum.component)
    return parts.k, parts.rank, [array.tobytes() for array in (*made, *spectrum.values, *spectrum.vectors)]


def test_damage_is_found(store: Any, path: Path) -> None:
    whole = path.read_bytes()
    before, rng = all_of(read_graph(store, path, "images")), np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data)
        try:
            assert all_of(read_graph(store, path, "images")) == before
        except StoreError as error:
            assert "remove it and make it again" in str(error)
            refused += 1
    assert refused > 150  # the rest fell on dates and the like, which nothing depends on
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("indptr.npy", b"\x93NUMPY")
    with pytest.raises(StoreError):
        read_graph(store, path, "images")


def test_a_graph_of_nothing_useful_is_refused(store: Any) -> None:
    with pytest.raises(UsageError, match="at least 2 are needed"):
        made_graph_parts(store, k=1)
    with pytest.raises(UsageError, match="--rank: eigenvalues from 1"):
        made_graph_parts(store, rank=-1)


def test_more_copies_than_a_solution_has_nodes_keep_their_own(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dff_onnx.runs import graph_parts

    monkeypatch.setattr(graph_parts, "TRUNCATED", 3)
    V = np.ones(8, np.float32) / np.sqrt(8)
    store.put([Entry(f"copy{i}", Stamp(1, ""), V) for i in range(9)])
    made = made_graph_parts(store, k=5, offline=True)
    assert made.solutions is not None and (made.solutions.diagonal() >= 1).all()


def test_an_index_on_a_server_needs_a_name() -> None:
    class Server:
        where = "postgresql://host/index"

    with pytest.raises(UsageError, match="name the graph's file with --graph"):
        graph_beside(Server(), "images")  # type: ignore[arg-type]
    assert graph_beside(Server(), "images", Path("x")) == Path("x")  # type: ignore[arg-type]


def test_a_graph_is_written_over_nothing_but_a_graph(store: Any, path: Path, tmp_path: Path) -> None:
    check_graph_output(store, path)
    check_graph_output(store, tmp_path / "new.graph")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "alias.db").symlink_to(tmp_path / "i.db")
    for name in ("notes.txt", "i.db", "alias.db", "."):
        with pytest.raises(UsageError, match="with --graph"):
            check_graph_output(store, tmp_path / name)
    with pytest.raises(OutputError, match="with --graph"):
        check_graph_output(store, tmp_path / "notes.txt" / "x")
