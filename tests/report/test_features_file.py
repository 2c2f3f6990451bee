"""Files of features: what is written comes back, and nothing else is taken."""

from __future__ import annotations

import resource
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import mutated
from torture_tier import each, tiers

sys.path.insert(0, str(Path(__file__).parent.parent / "concepts"))

from banks import archive_of, entries
from npz_attacks import attacks, packed_otherwise, replaced, told

from dff_onnx.errors import OutputError, RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.report import features_file as module
from dff_onnx.report.features_file import Features, read_features, read_settings, write_features


def features(**changes: Any) -> Features:
    values = np.random.default_rng(0).normal(0, 1, (3, 5)).astype(np.float32)
    fields: dict[str, Any] = {
        "values": values,
        "paths": ("cats/1.jpg", "dogs/ä 2.jpg", "3\\xff.png"),
        "fingerprint": Fingerprint("ab" * 32, "relu5_4", Preprocessing(layout="NCHW", dtype="float32")),
        "pool": "mean",
        "resize": Resize("long", 300),
        "folder": "/pictures",
    }
    return Features(**fields | changes)


def written(tmp_path: Path, one: Features | None = None) -> Path:
    write_features(tmp_path / "x.npz", one or features())
    return tmp_path / "x.npz"


def test_features_come_back_as_they_were(tmp_path: Path) -> None:
    kept = features()
    found = read_features(written(tmp_path))
    assert found.values.tobytes() == kept.values.tobytes() and found.values.flags.writeable
    assert (found.paths, found.fingerprint, found.pool) == (kept.paths, kept.fingerprint, kept.pool)
    assert found.settings() == kept.settings() == read_settings(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["features"], kept.values)


def test_equal_features_have_equal_bytes_whatever_their_order_in_memory(tmp_path: Path) -> None:
    first = written(tmp_path).read_bytes()
    assert written(tmp_path, features(values=np.asfortranarray(features().values))).read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": np.zeros((0, 5), np.float32)}, "float32"),
        ({"values": np.zeros((3, 5))}, "float64"),
        ({"paths": ("a", "b")}, "2 paths"),
        ({"pool": "min"}, "pool"),
        ({"values": np.full((3, 5), np.nan, np.float32)}, "not finite"),
    ],
)
def test_features_that_cannot_be_are_refused_when_they_are_made(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        features(**changes)


HOSTILE = attacks("features", features().values) | {
    "paths in one text": told(paths="abc"),
    "a path less": told(paths=["a", "b"]),
    "a path that is a number": told(paths=["a", "b", 3]),
    "an empty path": told(paths=["a", "b", ""]),
    "a path outside": told(paths=["a", "b", "c/../../d"]),
    "an absolute path": told(paths=["a", "b", "/etc/passwd"]),
    "a path with NUL": told(paths=["a", "b", "c\0"]),
    "half a character": told(paths=["a", "b", "\ud800"]),
    "a folder of numbers": told(folder=7),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_path_and_what_to_do(case: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(archive_of(HOSTILE[case](entries(path.read_bytes()))))
    with pytest.raises(RefusedError, match=r"x\.npz: .*`dff-onnx features` wrote") as caught:
        read_features(path)
    assert len(str(caught.value)) < 400 + len(str(path)) and str(caught.value).isprintable()


def test_the_archive_that_the_hostile_ones_are_made_of_is_itself_good(tmp_path: Path) -> None:
    path = written(tmp_path)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path.write_bytes(archive_of(entries(path.read_bytes()), method))
        assert read_features(path).paths == features().paths


def test_a_missing_file_is_a_wrong_argument_and_others_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(UsageError, match=r"there is no such file|is a folder"):
            read_features(path)
    path = written(tmp_path)
    good = path.read_bytes()
    for data in (b"", b"PK", b"\x93NUMPY", b"<html>", packed_otherwise(good)):
        path.write_bytes(data)
        with pytest.raises(RefusedError, match=r"x\.npz: "):
            read_features(path)


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = path.read_bytes()
    for size in range(0, len(data), 13):
        path.write_bytes(data[:size])
        with pytest.raises(RefusedError):
            read_features(path)


@pytest.mark.parametrize("limit", [2**20, 2**40])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(module, "FORM", replace(module.FORM, largest=limit))
    path = written(tmp_path)
    contents = replaced(features=bytes(64 * 2**20))(entries(path.read_bytes()))
    path.write_bytes(archive_of(contents, zipfile.ZIP_DEFLATED))
    del contents
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match=r"unpacks to|no array"):
        read_features(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024, "KiB"


def test_an_entry_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    contents = entries(path.read_bytes())
    size = len(contents["features.npy"])
    long = contents["features.npy"] + bytes(2**20)
    data = archive_of(contents | {"features.npy": long}, zipfile.ZIP_DEFLATED)
    path.write_bytes(data.replace(len(long).to_bytes(4, "little"), size.to_bytes(4, "little")))
    with pytest.raises(RefusedError):
        read_features(path)


@tiers("mutated features")
def test_of_mutated_files_each_is_refused_or_unchanged(cases: range, tmp_path: Path) -> None:
    path = written(tmp_path)
    good, kept = path.read_bytes(), features()

    def judge(_: int, rng: np.random.Generator) -> str:
        path.write_bytes(mutated(good, rng))
        try:
            found = read_features(path)
        except RefusedError:
            return "refused"
        assert found.settings() == kept.settings() and found.values.tobytes() == kept.values.tobytes()
        return "unchanged"

    assert each(cases, judge)["refused"] > len(cases) / 2


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_features(tmp_path / "file" / "x.npz", features())
