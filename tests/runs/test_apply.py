"""A bank on new pictures: coefficients are optimal, all else is the bank's, and the run reads back like any other."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import nnls

from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank, bank_bytes, limit_of, read_bank
from dff_onnx.concepts.foreground import View, project
from dff_onnx.concepts.matching import match
from dff_onnx.errors import BankError, NoImagesError, RefusedError, UsageError
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_original
from dff_onnx.maps import Crf, heat_map, offsets
from dff_onnx.progress import Silent
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.report.labels_file import Labels
from dff_onnx.report.results import results_json
from dff_onnx.runs.apply import ApplySettings, apply, project_folder
from dff_onnx.runs.collect import collect
from dff_onnx.runs.discover import discover, discover_in
from dff_onnx.runs.export_masks import export_masks
from dff_onnx.runs.foreground import WORKING_SIDE
from dff_onnx.runs.label import write_names
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run

SIZE = Resize("square", 64)
PLAIN = Settings(k=3, resize=SIZE)
QUIET = ApplySettings(overlays="none", report="none")


class Workers(Colours):
    """The same with so many workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers


def squares(seed: int, width: int, height: int) -> Image.Image:
    """As in the pictures of `folder`: red, green and blue on black."""
    rng, pixels = np.random.default_rng(seed), np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        pixels[y : y + 40, x : x + 40] = np.eye(3)[channel] * 200 + 20
    return Image.fromarray(pixels)


@pytest.fixture
def bank(folder: Path) -> Bank:
    """Of the folder, with one name, and a colour that no palette would give it."""
    found = discover(folder, Colours(), PLAIN).bank()
    assert found is not None
    return replace(found, names=(None, "left wing", None), colours=("#123456", *found.colours[1:]))


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Pictures that the bank has not seen, the last of them unlike the others."""
    made = tmp_path / "later"
    made.mkdir()
    for seed in range(10, 15):
        squares(seed, 100 + seed, 80).save(made / f"{seed}.png")
    Image.new("RGB", (90, 90), (200, 200, 200)).save(made / "grey.png")
    return made


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def rows_of(folder: Path) -> NDArray[np.float64]:
    return np.asarray(collect(folder, walk_pictures(folder), Colours(), SIZE, Silent()).A, np.float64)


def test_coefficients_are_those_of_scipys_solver_and_losses_those_of_the_definition(bank: Bank, later: Path) -> None:
    found, A = project_folder(bank, later, Colours(), QUIET), rows_of(later)
    H = np.array([nnls(bank.W.T.astype(np.float64), row)[0] for row in A])
    np.testing.assert_allclose(found.H, H, atol=1e-5)
    cells = A.shape[0] // 6
    for index, image in enumerate(found.images):
        part = slice(index * cells, (index + 1) * cells)
        loss = ((A[part] - H[part] @ bank.W) ** 2).sum() / (A[part] ** 2).sum()
        assert image.loss == pytest.approx(loss, abs=1e-5)


def test_on_its_own_pictures_a_bank_gives_what_the_fit_gave(folder: Path) -> None:
    fitted = discover(folder, Colours(), PLAIN)
    bank = fitted.bank()
    assert bank is not None
    found = project_folder(bank, folder, Colours(), QUIET)
    assert found.found.fit is None and found.found.scale == "set"
    for index in range(7):
        ours, theirs = found.masks(index), fitted.masks(index)
        assert (ours != theirs).mean() < 0.002
        for one, other in zip(found.images[index].concepts, fitted.images[index].concepts, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
        assert found.images[index].loss == pytest.approx(fitted.images[index].loss, abs=1e-4)
    assert found.found.unexplained == ()


def test_numbers_names_colours_thresholds_and_peaks_stay_the_banks(bank: Bank, later: Path, tmp_path: Path) -> None:
    found = apply(bank, later, tmp_path / "out", Colours(), QUIET).found
    assert [one.name for one in found.concepts] == [None, "left wing", None]
    assert [one.colour for one in found.concepts] == list(bank.colours)
    for name in ("threshold", "peak", "energy"):
        stored = getattr(bank, {"threshold": "thresholds", "peak": "peaks", "energy": "energy"}[name])
        assert [getattr(one, name) for one in found.concepts] == stored.tolist()
    assert (tmp_path / "out" / "bank.npz").read_bytes() == bank_bytes(bank)


def test_a_picture_is_scored_by_the_banks_peaks_whatever_lies_beside_it(bank: Bank, later: Path) -> None:
    together = project_folder(bank, later, Colours(), QUIET)
    for index, path in enumerate(together.paths):
        alone = project_folder(bank, later / path, Colours(), QUIET)
        assert np.allclose(alone.heat_map(0), together.heat_map(index), atol=1e-5)
        expected = np.minimum(together.heat_map(index).max(axis=(1, 2)) / bank.peaks, 1)
        scores = [one.score for one in alone.images[0].concepts]
        assert np.allclose(scores, expected, atol=1e-5)
        assert np.array_equal(alone.masks(0), together.masks(index))
        shares = [one.share for one in alone.images[0].concepts]
        assert np.allclose(shares, alone.masks(0).mean(axis=(1, 2)))


def test_a_picture_that_shows_a_concept_more_strongly_than_the_banks_own_scores_1(bank: Bank, later: Path) -> None:
    weak = replace(bank, peaks=bank.peaks / 4)
    found = project_folder(weak, later, Colours(), QUIET)
    scores = np.array([[one.score for one in image.concepts] for image in found.images])
    assert scores.max() == 1 and (found.image_peaks > weak.peaks).any()
    gone = replace(bank, peaks=np.zeros(3, np.float32))
    assert project_folder(gone, later, Colours(), QUIET).images[0].concepts[0].score <= 1


@pytest.mark.parametrize("settings", [ApplySettings(), ApplySettings(crf=Crf(), resize=Resize("short", 72))])
def test_any_number_of_workers_writes_the_same_bytes(
    bank: Bank, later: Path, tmp_path: Path, settings: ApplySettings
) -> None:
    for workers in (1, 2, 5):
        apply(bank, later, tmp_path / f"out{workers}", Workers(workers), settings)
    first = contents(tmp_path / "out1")
    assert "report.html" in first and "overlays/grey.png" in first
    assert contents(tmp_path / "out2") == first and contents(tmp_path / "out5") == first
    apply(bank, later, tmp_path / "out1", Colours(), settings)  # again
    assert contents(tmp_path / "out1") == first


def test_pictures_that_a_bank_does_not_explain_are_listed_worst_first(bank: Bank, later: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 1), np.uint8)
    Image.fromarray(noise.repeat(3, axis=2)).save(later / "noise.png")
    found = apply(bank, later, tmp_path / "out", Colours(), QUIET).found
    assert {image.path for image in found.unexplained} == {"grey.png", "noise.png"}
    assert found.applied is not None and found.applied.usual == bank.losses[2]
    losses = [image.loss for image in found.unexplained]
    assert losses == sorted(losses, reverse=True)  # type: ignore[type-var]
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["applied"]["unexplained"] == [image.path for image in found.unexplained]
    assert [("loss" in image) for image in document["images"]] == [True] * 7


def test_the_limit_follows_the_upper_quartile(bank: Bank) -> None:
    known = replace(bank, losses=(0.1, 0.2, 0.3, 0.4, 0.9))
    assert limit_of(known) == pytest.approx(1 - 2 / 3 * 0.6)  # two thirds of the 60 % that it explains there
    assert limit_of(replace(bank, losses=(1.0, 1.0, 1.0, 1.5, 2.0))) == 1
    assert limit_of(replace(bank, losses=())) is None


def test_a_bank_without_losses_lists_no_picture(bank: Bank, later: Path, tmp_path: Path) -> None:
    found = apply(replace(bank, losses=()), later, tmp_path / "out", Colours(), QUIET).found
    assert found.applied is not None and found.applied.usual is None and found.unexplained == ()
    with read_run(tmp_path / "out") as stored:
        assert stored.found.applied == found.applied and stored.found.unexplained == ()


@pytest.mark.parametrize("settings", [QUIET, replace(QUIET, crf=Crf()), replace(QUIET, resize=Resize("short", 72))])
def test_an_applied_run_reads_back_bit_for_bit_and_takes_names_and_masks(
    bank: Bank, later: Path, tmp_path: Path, settings: ApplySettings
) -> None:
    made, out = apply(bank, later, tmp_path / "out", Colours(), settings), tmp_path / "out"
    with read_run(out) as stored:
        assert results_json(stored.found) == (out / "results.json").read_bytes()
        assert [one.path for one in stored.found.unexplained] == [one.path for one in made.found.unexplained]
        for index in range(6):
            assert stored.masks(index).tobytes() == made.masks(index).tobytes()
            assert stored.picture(index) == later / made.paths[index]
        write_names(stored, Labels((("red",), ("green",), ("blue",))))
    with read_run(out) as stored:
        assert [one.name for one in stored.concepts] == ["red", "green", "blue"]
        assert stored.found.applied is not None and made.found.applied is not None
        assert stored.found.applied.bank_sha256 == made.found.applied.bank_sha256
        assert stored.found.applied.limit == pytest.approx(made.found.applied.limit)
    assert read_bank(out / "bank.npz").names == ("red", "green", "blue")
    with read_run(out) as stored:
        export_masks(stored, tmp_path / "masks", ("coco",))
    assert {one["name"] for one in json.loads((tmp_path / "masks" / "instances.json").read_text())["categories"]} == {
        "red", "green", "blue",
    }  # fmt: skip


def test_a_damaged_table_of_the_bank_is_refused(bank: Bank, later: Path, tmp_path: Path) -> None:
    apply(bank, later, tmp_path / "out", Colours(), QUIET)
    path = tmp_path / "out" / "results.json"
    whole = json.loads(path.read_text())
    hostile: list[Callable[[dict[str, Any]], Any]] = [
        lambda r: r.update(applied=[]),
        lambda r: r["applied"].pop("limit"),
        lambda r: r["applied"].update(limit="0.5"),
        lambda r: r["applied"].update(usual=-1),
        lambda r: r["applied"].update(bank_sha256="../../x"),
    ]
    for change in hostile:
        document = json.loads(json.dumps(whole))
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(RefusedError, match="is damaged"), read_run(tmp_path / "out"):
            pass


def test_a_folder_of_another_bank_or_another_kind_is_kept(
    bank: Bank, folder: Path, later: Path, tmp_path: Path
) -> None:
    apply(bank, later, tmp_path / "out", Colours(), QUIET)
    before = contents(tmp_path / "out")
    assert "bank" in tomllib.loads(before["run.toml"].decode())
    other = replace(bank, names=("a", "b", "c"))
    with pytest.raises(UsageError, match=r"other settings \(bank\.sha256"):
        apply(other, later, tmp_path / "out", Colours(), QUIET)
    with pytest.raises(UsageError, match="other settings"):
        run(later, tmp_path / "out", Colours(), PLAIN)
    assert contents(tmp_path / "out") == before
    apply(other, later, tmp_path / "out", Colours(), QUIET, overwrite=True)
    run(folder, tmp_path / "fitted", Colours(), PLAIN)
    with pytest.raises(UsageError, match="other settings"):
        apply(bank, folder, tmp_path / "fitted", Colours(), QUIET)


def test_a_bank_of_another_network_is_refused_and_leaves_no_folder(bank: Bank, later: Path, tmp_path: Path) -> None:
    other = replace(bank, fingerprint=Fingerprint("ab" * 32, "conv5", Preprocessing()))
    with pytest.raises(BankError, match=r"abababababab, layer 'conv5'.*000000000000, layer 'colours'"):
        apply(other, later, tmp_path / "out", Colours(), QUIET)
    wide = np.pad(bank.W, ((0, 0), (0, 1)))
    with pytest.raises(BankError, match="5 channels, and its network gives 4"):
        apply(replace(bank, W=wide), later, tmp_path / "out", Colours(), QUIET)
    assert not (tmp_path / "out").exists()


def test_pictures_that_cannot_be_read_are_listed(bank: Bank, later: Path, tmp_path: Path) -> None:
    (later / "11.png").write_bytes(b"\x89PNG nothing more")
    found = apply(bank, later, tmp_path / "out", Colours(), QUIET).found
    assert [one.path for one in found.failures] == ["11.png"] and len(found.images) == 5
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(NoImagesError, match="not one of 1 pictures"):
        apply(bank, tmp_path / "bad", tmp_path / "none", Colours(), QUIET)
    assert not (tmp_path / "none").exists()


def disc(seed: int) -> Image.Image:
    """Red on noisy green, somewhere in the middle."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :160]
    inside = (x - rng.uniform(64, 96)) ** 2 + (y - rng.uniform(48, 72)) ** 2 < 900
    pixels = np.where(inside[..., None], (210, 40, 40), (60, 140, 60)) + rng.normal(0, 10, (120, 160, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture
def foreground(tmp_path: Path) -> Bank:
    """Of five discs; three others lie in `discs`."""
    for name, seeds in (("learned", range(5)), ("discs", range(5, 8))):
        (tmp_path / name).mkdir()
        for seed in seeds:
            disc(seed).save(tmp_path / name / f"{seed}.png")
    settings = Settings(foreground=True, resize=Resize("square", 256))
    found = discover(tmp_path / "learned", Colours(), settings).bank()
    assert found is not None
    return found


def test_a_foreground_is_found_again_as_project_finds_it(foreground: Bank, tmp_path: Path) -> None:
    folder, model = tmp_path / "discs", foreground.foreground
    made = apply(foreground, folder, tmp_path / "out", Colours(), QUIET)
    assert model is not None and [one.name for one in made.found.concepts] == ["foreground"]
    rows = collect(folder, walk_pictures(folder), Colours(), model.resize, Silent())
    pictures = [read_original(folder / path, WORKING_SIDE) for path in made.paths]
    expected = project(model, View(rows.A, rows.grids, model.resize), pictures)
    for index, one in enumerate(expected):
        assert np.abs(made.sharp[index][0].astype(int) - one).max() <= 1
        pixels = np.asarray(Image.open(folder / made.paths[index]).convert("RGB")).astype(int)
        truth = pixels[..., 0] > pixels[..., 1]
        ours = made.masks(index)[0]
        assert (ours & truth).sum() / (ours | truth).sum() > 0.95
        assert made.images[index].loss is None and made.images[index].concepts[0].score > 0.9
    assert made.found.foreground is None and (tmp_path / "out" / "bank.npz").read_bytes() == bank_bytes(foreground)


def test_an_applied_foreground_reads_back_and_has_one_size(foreground: Bank, tmp_path: Path) -> None:
    for settings in (QUIET, replace(QUIET, crf=Crf(), resize=Resize("square", 256))):
        made = apply(foreground, tmp_path / "discs", tmp_path / "out", Colours(), settings, overwrite=True)
        with read_run(tmp_path / "out") as stored:
            assert results_json(stored.found) == (tmp_path / "out" / "results.json").read_bytes()
            assert all(stored.masks(index).tobytes() == made.masks(index).tobytes() for index in range(3))
    with pytest.raises(UsageError, match="square 256 pixels, and is found at that size alone"):
        apply(foreground, tmp_path / "discs", tmp_path / "other", Colours(), ApplySettings(resize=SIZE))
    model, wide = foreground.foreground, np.ones(5, np.float32)
    assert model is not None
    empty = replace(foreground, W=np.zeros((0, 5), np.float32), foreground=replace(model, direction=wide, mean=wide))
    with pytest.raises(BankError, match="5 channels, and its network gives 4"):
        project_folder(empty, tmp_path / "discs", Colours(), QUIET)


def test_a_bank_with_concepts_and_a_foreground_gives_its_concepts(bank: Bank, foreground: Bank, later: Path) -> None:
    both = replace(bank, foreground=foreground.foreground)
    found = project_folder(both, later, Colours(), QUIET)
    assert len(found.found.concepts) == 3 and found.images[0].loss is not None


def iou(ours: list[NDArray[np.bool_]], theirs: list[NDArray[np.bool_]]) -> float:
    union = sum(int((a | b).sum()) for a, b in zip(ours, theirs, strict=True))
    return sum(int((a & b).sum()) for a, b in zip(ours, theirs, strict=True)) / union if union else 1.0


@pytest.mark.slow
def test_held_back_pictures_get_what_a_joint_fit_gives_them(real_data: Path, tmp_path: Path) -> None:
    network, gaps, banks = Backbone.open(threads=1), list[float](), dict[str, Bank]()
    settings = Settings(k=4, resize=Resize())
    for name in ("028 Cheetah", "042 Statue of Liberty", "021 Elephants"):
        (folder,) = (real_data / "icoseg" / "images").glob(f"{name}*")
        paths = walk_pictures(folder)
        rows = collect(folder, paths, network, Resize(), Silent())
        half = collect(folder, paths[::2], network, Resize(), Silent())
        joint, bank = (discover_in(one, folder, network, settings) for one in (rows, half))
        learned = bank.bank()
        assert learned is not None and joint.W is not None
        (tmp_path / name).mkdir()
        for path in paths[1::2]:
            (tmp_path / name / path.name).symlink_to(folder / path)
        held = project_folder(learned, tmp_path / name, network, QUIET)
        pairs = [one.theirs for one in match(joint.W, learned.W)]
        ours = [held.masks(i)[pairs] for i in range(len(held.paths))]
        theirs = [joint.masks(i) for i in range(1, len(paths), 2)]
        truth = [
            np.asarray(Image.open(real_data / "icoseg" / "ground_truth" / folder.name / f"{path.stem}.png")) > 0
            for path in paths[1::2]
        ]
        unions = [list(some) for many in range(1, 5) for some in combinations(range(4), many)]
        best = [max(iou([one[some].any(axis=0) for one in side], truth) for some in unions) for side in (ours, theirs)]
        gaps.append(best[0] - best[1])
        banks[name] = learned
    own, others = list[bool](), list[bool]()
    for (name, learned), folder in product(banks.items(), sorted(tmp_path.iterdir())):
        found = project_folder(learned, folder, network, QUIET).found
        judged = own if folder.name == name else others
        judged += [image in found.unexplained for image in found.images]
    assert np.abs(gaps).mean() < 0.02
    assert np.mean(own) <= 0.05 and np.mean(others) >= 0.9


def test_heat_maps_are_rows_of_H_on_their_grids(bank: Bank, later: Path) -> None:
    found = project_folder(bank, later, Colours(), replace(QUIET, resize=Resize("long", 100)))
    grids = [image.grid for image in found.images]
    assert len(set(grids)) > 1
    for index, (start, grid) in enumerate(zip(offsets(grids), grids, strict=False)):
        assert np.array_equal(found.heat_map(index), heat_map(found.H, start, grid))
        A = collect(later, [found.paths[index]], Colours(), Resize("long", 100), Silent()).A
        H = np.array([nnls(bank.W.T.astype(np.float64), row.astype(np.float64))[0] for row in A])
        assert np.allclose(found.heat_map(index).reshape(3, -1).T, H, atol=1e-5)
