"""The maps of a run: what is written comes back, and nothing else is taken."""

from __future__ import annotations

import io
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import mutated
from numpy.typing import NDArray
from torture_tier import each, tiers

from dff_onnx.errors import OutputError, RefusedError
from dff_onnx.maps.levels import as_float
from dff_onnx.report import maps_file as module
from dff_onnx.report.maps_file import open_maps, write_maps

K = 3


def some(number: int, dtype: Any = np.float32) -> NDArray[Any]:
    rng = np.random.default_rng(number)
    maps = rng.random((K, 4 + number, 7), np.float32)
    return maps if dtype == np.float32 else np.rint(maps * 255).astype(np.uint8)


def written(tmp_path: Path, *maps: NDArray[Any]) -> Path:
    write_maps(tmp_path / "maps.npz", iter(maps))
    return tmp_path / "maps.npz"


def read_all(path: Path, pictures: int, k: int = K) -> list[NDArray[Any]]:
    with open_maps(path, pictures) as file:
        return [file.read(number, k) for number in range(pictures)]


def npy(array: Any, **options: Any) -> bytes:
    data = io.BytesIO()
    np.save(data, array, **options)
    return data.getvalue()


def archive(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_maps_come_back_as_they_were(tmp_path: Path, dtype: Any) -> None:
    kept = [some(number, dtype) for number in range(12)]
    path = written(tmp_path, *kept)
    for one, found in zip(kept, read_all(path, 12), strict=True):
        assert found.dtype == one.dtype and found.tobytes() == one.tobytes() and found.flags.writeable
    with np.load(path, allow_pickle=False) as stored:
        assert stored.files == [str(number) for number in range(12)]
        np.testing.assert_array_equal(stored["11"], kept[11])


def test_equal_maps_give_equal_bytes_whatever_their_order_in_memory(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first = written(tmp_path, some(0), some(1, np.uint8)).read_bytes()
    again = written(tmp_path / "b", np.asfortranarray(some(0)), some(1, np.uint8)).read_bytes()
    assert first == again
    with zipfile.ZipFile(tmp_path / "maps.npz") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        methods = [entry.compress_type for entry in file.infolist()]
    assert methods == [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


def test_a_run_without_pictures_has_an_empty_file(tmp_path: Path) -> None:
    assert read_all(written(tmp_path), 0) == []


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path, some(0))
    before = path.read_bytes()

    def broken() -> Any:
        yield some(1)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_maps(path, broken())
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["maps.npz"]
    with pytest.raises(OutputError, match="cannot be written"):
        write_maps(path / "below", iter([some(0)]))


def test_sharpened_maps_become_shares() -> None:
    assert as_float(np.array([[[0, 51, 255]]], np.uint8)).tolist() == [[[0.0, np.float32(0.2), 1.0]]]
    maps = some(0)
    assert as_float(maps) is maps


GOOD = npy(some(0))
HOSTILE = {
    "another k": npy(some(0)[:2]),
    "two sides": npy(some(0)[0]),
    "four sides": npy(some(0)[None]),
    "no cells": npy(some(0)[:, :0]),
    "numbers of 64 bits": npy(some(0).astype(np.float64)),
    "columns first": npy(np.asfortranarray(some(0))),
    "truth values": npy(some(0) > 0.5),
    "objects": npy(np.array([[[{}]]] * 3, object), allow_pickle=True),
    "a pickle": pickle.dumps([1]),
    "nothing": b"",
    "a shape of petabytes": GOOD.replace(b"(3, 4, 7), }", b"(3, 999999999, 999999999), }"),
    "a shape that is code": GOOD.replace(b"(3, 4, 7), }", b"(exit(), 4, 7), }"),
    "bytes too many": GOOD + b"\0",
    "bytes too few": GOOD[:-1],
    "a value that is no number": npy(np.full((3, 4, 7), np.nan, np.float32)),
    "an endless value": npy(np.full((3, 4, 7), np.inf, np.float32)),
    "a negative value": npy(np.full((3, 4, 7), -1, np.float32)),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_is_no_array_of_maps_is_refused_with_its_file(case: str, method: int, tmp_path: Path) -> None:
    path = archive(tmp_path / "maps.npz", {"0.npy": HOSTILE[case]}, method)
    with pytest.raises(RefusedError, match=r"maps\.npz: .*make the run again") as caught:
        read_all(path, 1)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_the_entries_are_exactly_the_pictures(tmp_path: Path) -> None:
    for names in (["0.npy"], ["0.npy", "2.npy"], ["0.npy", "1.npy", "../x.npy"], ["0.npy", "01.npy"]):
        path = archive(tmp_path / "maps.npz", dict.fromkeys(names, GOOD))
        with pytest.raises(RefusedError, match="entries, and 2 are needed"):
            read_all(path, 2)
    path = archive(tmp_path / "maps.npz", {"0.npy": GOOD}, zipfile.ZIP_LZMA)
    with pytest.raises(RefusedError, match="packed"):
        read_all(path, 1)


def test_a_missing_file_and_what_is_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="there is no such file"):
        read_all(tmp_path / "maps.npz", 0)
    (tmp_path / "maps.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(RefusedError, match="cannot be read as maps"):
        read_all(tmp_path / "maps.npz", 0)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 64 * 2**20
    head = npy(np.zeros((3, 4, 7), np.uint8))[:-84].replace(b"(3, 4, 7), }        ", b"(3, 4096, 8192), }  ")
    path = archive(tmp_path / "maps.npz", {"0.npy": head + bytes(3 * 4096 * 8192)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(module, "LARGEST", size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match="which cannot be"):
        read_all(path, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024, "KiB"


@tiers("mutated maps of a run", 0.5)
def test_of_mutated_files_each_is_refused_or_unchanged(cases: range, tmp_path: Path) -> None:
    kept = [some(0), some(1, np.uint8)]
    path = written(tmp_path, *kept)
    good = path.read_bytes()

    def judge(_: int, rng: np.random.Generator) -> str:
        (tmp_path / "maps.npz").write_bytes(mutated(good, rng))
        try:
            found = read_all(tmp_path / "maps.npz", 2)
        except RefusedError:
            return "refused"
        assert all(a.tobytes() == b.tobytes() for a, b in zip(kept, found, strict=True))
        return "unchanged"

    found = each(cases, judge)
    assert 0 < found["unchanged"] < found["refused"]


@tiers("mutated maps of a run", 0.5)
def test_of_entries_mutated_below_the_checksums_none_gives_another_error(cases: range, tmp_path: Path) -> None:
    def judge(number: int, rng: np.random.Generator) -> str:
        data = mutated(GOOD[:128], rng) + GOOD[128:] if number % 2 else mutated(GOOD, rng)
        archive(tmp_path / "maps.npz", {"0.npy": data})
        try:
            assert read_all(tmp_path / "maps.npz", 1)[0].shape[0] == K
        except RefusedError as error:
            assert "maps.npz" in str(error)
            return "refused"
        return "read"

    assert each(cases, judge)["refused"] > len(cases) / 4
