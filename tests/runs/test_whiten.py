"""A folder's pictures become a whitening; what it is of is in the file, and nothing else is taken for it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from mutations import mutated
from torture_tier import each, tiers

sys.path.insert(0, str(Path(__file__).parent.parent / "concepts"))
sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from banks import archive_of, entries
from npz_attacks import attacks, without_field

from dff_onnx.errors import NoImagesError, RefusedError, UsageError
from dff_onnx.report.whitening_file import (
    WhiteningFile,
    read_wanted,
    read_whitening,
    whitening_bytes,
    whitening_of,
    whitening_sha256,
)
from dff_onnx.retrieval import learn_whitening
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.whiten import check_whitening, write_whitening

SETTINGS = DescriptorSettings(size=64, k=3)


def describer(workers: int = 2, **changes: Any) -> Describer:
    backbone = Colours()
    backbone.workers = workers
    return Describer(backbone, replace(SETTINGS, **changes))


def test_it_is_learnt_on_the_parts_of_all_pictures(folder: Path, tmp_path: Path) -> None:
    made = write_whitening(folder, tmp_path / "new" / "w.npz", describer())
    paths = [*sorted(folder.glob("*.png")), folder / "deep" / "6.png"]
    parts = np.concatenate([describer().part_vectors(describer().read(path)) for path in paths])
    expected = learn_whitening(parts)
    found = read_whitening(tmp_path / "new" / "w.npz")
    np.testing.assert_allclose(found.whitening.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(found.whitening.projection, expected.projection, rtol=1e-5)
    assert (found.pictures, found.vectors, found.descriptor, found.settings) == (
        7,
        len(parts),
        "dff",
        SETTINGS.to_dict(),
    )
    assert found.folder == str(folder) and found.fingerprint == Colours.fingerprint and found.dimensions is None
    assert made.device == "cpu" and not made.failures
    assert whitening_sha256(found) == whitening_sha256(made.file)


def test_any_number_of_workers_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    written = []
    for workers in (0, 1, 5):
        write_whitening(folder, tmp_path / f"{workers}.npz", describer(workers))
        written.append((tmp_path / f"{workers}.npz").read_bytes())
    assert written[0] == written[1] == written[2]


def test_the_same_may_be_made_again_and_another_not(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.npz"
    write_whitening(folder, out, describer(), 3)
    first = out.read_bytes()
    write_whitening(folder, out, describer(), 3)
    assert out.read_bytes() == first and read_whitening(out).whitening.dimensions == 3
    others: list[tuple[Describer, int | None, str]] = [
        (describer(k=2), 3, r"settings\.k: 3 there, 2 now"),
        (
            describer(kind="spoc"),
            3,
            r"descriptor: 'dff' there, 'spoc' now; settings\.k: 3 there, nothing now; settings\.weights: .*",
        ),
        (describer(), 2, "dimensions: 3 there, 2 now"),
        (describer(), None, "dimensions: 3 there, None now"),
    ]
    for other, dimensions, what in others:
        with pytest.raises(UsageError, match=rf"holds a whitening of other settings \({what}\); .*--overwrite"):
            write_whitening(folder, out, other, dimensions)
        assert out.read_bytes() == first
    with pytest.raises(UsageError, match=r"folder: .*there"):
        write_whitening(folder / "deep", out, describer(), 3)
    write_whitening(folder, out, describer(), 2, overwrite=True)
    assert read_whitening(out).dimensions == 2
    (tmp_path / "notes.npz").write_text("mine")
    with pytest.raises(UsageError, match="something else than a whitening"):
        write_whitening(folder, tmp_path / "notes.npz", describer(), overwrite=True)
    assert (tmp_path / "notes.npz").read_text() == "mine"


def test_pictures_that_cannot_be_used_are_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "2.png").write_bytes(b"nothing")
    made = write_whitening(folder, tmp_path / "w.npz", describer())
    assert [failure.path for failure in made.failures] == ["2.png"] and made.file.pictures == 6
    for path in folder.rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match="not one of 7 pictures can be used"):
        write_whitening(folder, tmp_path / "x.npz", describer())


def test_dimensions_that_do_not_vary_are_refused(folder: Path, tmp_path: Path) -> None:
    for dimensions in (0, 99):
        with pytest.raises(UsageError, match=r"dimension.*found (0|99)"):
            write_whitening(folder, tmp_path / "w.npz", describer(), dimensions)
    one = write_whitening(folder, tmp_path / "w.npz", describer()).file.whitening
    with pytest.raises(UsageError, match="not whitened yet"):
        write_whitening(folder, tmp_path / "x.npz", replace(describer(), whitening=one))
    assert not (tmp_path / "x.npz").exists()


def test_a_whitening_of_other_descriptors_is_refused_with_what_differs_named(folder: Path, tmp_path: Path) -> None:
    file = write_whitening(folder, tmp_path / "w.npz", describer()).file
    check_whitening(file, Colours.fingerprint, SETTINGS, "w.npz")
    with pytest.raises(RefusedError, match=r"^w\.npz: .*descriptor: 'dff' there, 'rmac' now"):
        check_whitening(file, Colours.fingerprint, replace(SETTINGS, kind="rmac"), "w.npz")
    with pytest.raises(RefusedError, match=r"other descriptors \(settings\.k: 3 there, 4 now\); "):
        check_whitening(file, Colours.fingerprint, replace(SETTINGS, k=4), "w.npz")
    with pytest.raises(RefusedError, match=r"model_sha256: '0{12}\.\.\.' there, '(ab){6}\.\.\.' now"):
        check_whitening(file, replace(Colours.fingerprint, model_sha256="ab" * 32), SETTINGS, "w.npz")


@pytest.fixture(scope="module")
def kept() -> WhiteningFile:
    whitening = learn_whitening(np.random.default_rng(0).normal(0, 1, (20, 5)).astype(np.float32), 3)
    single = type(whitening)(whitening.mean.astype(np.float32), whitening.projection.astype(np.float32))
    return WhiteningFile(single, Colours.fingerprint, "dff", SETTINGS.to_dict(), "/pictures", 4, 20, 3)


def test_bytes_are_read_as_a_file_is(kept: WhiteningFile, tmp_path: Path) -> None:
    data = whitening_bytes(kept)
    (tmp_path / "w.npz").write_bytes(data)
    for found in (whitening_of(data, "x"), read_whitening(tmp_path / "w.npz")):
        assert whitening_bytes(found) == data and found.wanted() == kept.wanted()
    assert read_wanted(tmp_path / "w.npz") == kept.wanted()


ATTACKS = attacks("projection", np.zeros((3, 5), np.float32))
OF_FEATURES = ("pool", "a size", "a field less")  # what a whitening does not have


@pytest.mark.parametrize("name", sorted(name for name in ATTACKS if not any(word in name for word in OF_FEATURES)))
def test_damaged_bytes_are_refused(name: str, kept: WhiteningFile) -> None:
    attack = attacks("projection", kept.whitening.projection)[name]
    data = archive_of(attack(entries(whitening_bytes(kept))))
    with pytest.raises(RefusedError, match=r"^INDEX: its whitening: "):
        whitening_of(data, "INDEX: its whitening")


@pytest.mark.parametrize(
    "field", ["settings", "descriptor", "folder", "pictures", "vectors", "dimensions", "fingerprint"]
)
def test_bytes_without_one_of_the_fields_are_refused(field: str, kept: WhiteningFile) -> None:
    with pytest.raises(RefusedError, match="cannot be read as a whitening"):
        whitening_of(archive_of(without_field(field)(entries(whitening_bytes(kept)))), "x")


def test_every_cut_is_refused(kept: WhiteningFile) -> None:
    data = whitening_bytes(kept)
    for length in range(0, len(data), 97):
        with pytest.raises(RefusedError):
            whitening_of(data[:length], "x")


@tiers("mutated whitenings")
def test_mutated_bytes_are_refused_or_harmless(cases: range, kept: WhiteningFile) -> None:
    data = whitening_bytes(kept)

    def judge(_: int, rng: np.random.Generator) -> str:
        try:
            found = whitening_of(mutated(data, rng), "x")
        except RefusedError:
            return "refused"
        assert whitening_bytes(found) == data
        return "harmless"

    found = each(cases, judge)
    assert 0 < found["harmless"] < found["refused"]


@pytest.mark.parametrize("changes", [{"pictures": 0}, {"vectors": True}, {"dimensions": 2}, {"settings": None}])
def test_what_cannot_be_is_refused(kept: WhiteningFile, changes: Any) -> None:
    with pytest.raises(RefusedError):
        replace(kept, **changes)


def test_shrinkage_is_learnt_with_and_said_by_the_file(folder: Path, tmp_path: Path) -> None:
    write_whitening(folder, tmp_path / "w.npz", describer(), shrinkage=0.01)
    found = read_whitening(tmp_path / "w.npz")
    paths = [*sorted(folder.glob("*.png")), folder / "deep" / "6.png"]
    parts = np.concatenate([describer().part_vectors(describer().read(path)) for path in paths])
    np.testing.assert_allclose(found.whitening.projection, learn_whitening(parts, shrinkage=0.01).projection, rtol=1e-5)
    assert found.shrinkage == 0.01
    with pytest.raises(UsageError, match=r"shrinkage: .* there, .* now"):
        write_whitening(folder, tmp_path / "w.npz", describer())
    write_whitening(folder, tmp_path / "w.npz", describer(), overwrite=True)
    assert read_whitening(tmp_path / "w.npz").shrinkage == 0.0


def test_without_shrinkage_a_file_is_as_it_was_before_there_was_any(folder: Path, tmp_path: Path) -> None:
    made = write_whitening(folder, tmp_path / "w.npz", describer())
    with np.load(tmp_path / "w.npz", allow_pickle=False) as held:
        texts = [held[name].tobytes() for name in held.files if held[name].dtype == np.uint8]
    assert b'"dimensions"' in texts[0] and b'"shrinkage"' not in texts[0]
    assert read_whitening(tmp_path / "w.npz").shrinkage == read_wanted(tmp_path / "w.npz")["shrinkage"] == 0.0
    shrunk = replace(made.file, shrinkage=0.5)
    assert whitening_of(whitening_bytes(shrunk), "it").shrinkage == 0.5
    assert whitening_sha256(shrunk) != whitening_sha256(made.file)


@pytest.mark.parametrize("shrinkage", [-1, 2.0, "0.1", True, None])
def test_a_file_of_a_shrinkage_that_cannot_be_is_refused(folder: Path, tmp_path: Path, shrinkage: Any) -> None:
    made = write_whitening(folder, tmp_path / "w.npz", describer())
    with pytest.raises(RefusedError, match="its shrinkage is"):
        replace(made.file, shrinkage=shrinkage)
