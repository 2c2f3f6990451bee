"""A folder's tree: planted families split, every level is a run, and the same call gives the same bytes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

import dff_onnx.runs.tree as tree_file
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank, read_bank
from dff_onnx.errors import BankError, NoImagesError, OutputError, UsageError
from dff_onnx.images import Resize
from dff_onnx.records import Fingerprint
from dff_onnx.report.found import ConceptFound
from dff_onnx.report.labels_file import Labels
from dff_onnx.runs.label import write_names
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run
from dff_onnx.runs.tree import TreeRun, grow_tree
from dff_onnx.runs.tree_tiles import best, tiles_of
from dff_onnx.runs.write_tree import run_tree

SMALL = Settings(resize=Resize("square", 64), overlays="none", report="none")
WARM, COLD = ((230, 20, 20), (230, 130, 20)), (20, 20, 220)  # the two warm ones are nearly one direction


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """Five pictures of a red, an orange and a blue square, each brighter than the one before."""
    made = tmp_path / "family"
    made.mkdir()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        pixels = np.zeros((64, 96, 3), np.uint8)
        for place, colour in enumerate((*WARM, COLD)):
            x, y = 32 * place, 8 * int(rng.integers(0, 5))
            pixels[y : y + 24 + 8 * (place == 2), x : x + 32] = colour
        Image.fromarray((pixels * (0.6 + 0.1 * seed)).astype(np.uint8)).save(made / f"{seed}.png")
    return made


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def cold(made: TreeRun, level: int) -> list[bool]:
    """Of each concept, whether it is of the blue squares."""
    W = made.levels[level].W
    assert W is not None
    return [int(channel) == 2 for channel in W.argmax(axis=1)]


def named(made: TreeRun, level: int) -> list[str | None]:
    return [one.name for one in made.found[level].concepts]


def colours(concepts: Sequence[ConceptFound]) -> list[str]:
    return [concept.colour for concept in concepts]


def test_the_planted_family_splits(family: Path) -> None:
    made = grow_tree(family, Colours(), (2, 3), SMALL)
    assert sorted(cold(made, 0)) == [False, True] and sorted(cold(made, 1)) == [False, False, True]
    warm = cold(made, 0).index(False)
    assert len(made.tree.nodes[0][warm].children) == 2
    for node, blue in zip(made.tree.nodes[1], cold(made, 1), strict=True):
        assert node.parent is not None and cold(made, 0)[node.parent] == blue
    above, here = (colours(level.concepts) for level in made.found)
    assert all(here[node.children[0]] == above[node.number] for node in made.tree.nodes[0])
    assert len({*above, *here}) == 3


def test_pictures_are_read_once_for_all_levels(family: Path) -> None:
    seen = 0

    class Counting(Colours):
        def __call__(self, pixels: Any) -> Any:
            nonlocal seen
            seen += len(pixels)
            return super().__call__(pixels)

    grow_tree(family, Counting(), (1, 2, 3, 4), SMALL)
    assert seen == 5


def test_a_tree_has_its_files_and_each_level_is_a_run(family: Path, tmp_path: Path) -> None:
    made = run_tree(family, tmp_path / "out", Colours(), (1, 2, 3), SMALL)
    names = contents(tmp_path / "out")
    of_run = {"bank.npz", "boxes.csv", "coco.json", "failures.json", "maps.npz", "results.json", "run.toml"}
    assert set(names) == {
        "tree.json", "tree.svg", "failures.json", "run.toml", *(f"k{k}/{name}" for k in (1, 2, 3) for name in of_run)
    }  # fmt: skip
    assert tomllib.loads(names["run.toml"].decode())["settings"]["levels"] == [1, 2, 3]
    document = json.loads(names["tree.json"])
    for k, level, entry in zip((1, 2, 3), made.levels, document["levels"], strict=True):
        bank = read_bank(tmp_path / "out" / f"k{k}" / "bank.npz")
        assert level.W is not None and bank.W.tobytes() == level.W.tobytes()
        assert list(bank.colours) == colours(level.found.concepts) == [one["colour"] for one in entry["concepts"]]
        with read_run(tmp_path / "out" / entry["run"]) as stored:
            assert [one.colour for one in stored.concepts] == list(bank.colours)
            np.testing.assert_array_equal(stored.masks(0), level.masks(0))
    assert "script" not in {one.tag.rpartition("}")[2] for one in ElementTree.fromstring(names["tree.svg"]).iter()}


def test_the_same_call_gives_the_same_bytes_with_any_number_of_workers(family: Path, tmp_path: Path) -> None:
    for workers in (1, 3):
        backbone = Colours()
        backbone.workers = workers
        run_tree(family, tmp_path / str(workers), backbone, (1, 3), SMALL)
    first = contents(tmp_path / "1")
    assert first == contents(tmp_path / "3")
    run_tree(family, tmp_path / "1", Colours(), (1, 3), SMALL)
    assert first == contents(tmp_path / "1")


@pytest.fixture
def bank(family: Path, tmp_path: Path) -> Bank:
    """Of two concepts with names and colours of their own."""
    run(family, tmp_path / "two", Colours(), replace(SMALL, k=2))
    with read_run(tmp_path / "two") as stored:
        write_names(stored, Labels((("first",), ("second",))))
    return replace(read_bank(tmp_path / "two" / "bank.npz"), colours=("#123456", "#fedcba"))


def test_names_and_colours_of_a_bank_flow_from_its_level(family: Path, tmp_path: Path, bank: Bank) -> None:
    made = run_tree(family, tmp_path / "out", Colours(), (1, 2, 3), SMALL, like=bank)
    assert named(made, 0) == [None] and named(made, 1) == ["first", "second"]
    assert colours(made.found[1].concepts) == ["#123456", "#fedcba"]
    assert [one.like is not None and one.like.concept for one in made.found[1].concepts] == [0, 1]
    splits, stays = ("first", "second") if cold(made, 1) == [False, True] else ("second", "first")
    assert sorted(name or "" for name in named(made, 2)) == sorted([splits, f"{splits} 2", stays])
    assert colours(made.found[0].concepts)[0] in ("#123456", "#fedcba")
    stored = read_bank(tmp_path / "out" / "k3" / "bank.npz")
    assert list(stored.names) == named(made, 2)
    with pytest.raises(UsageError, match=r"settings\.like: '[0-9a-f]{12}\.\.\.' there, nothing now"):
        run_tree(family, tmp_path / "out", Colours(), (1, 2, 3), SMALL)


def test_a_bank_without_a_level_or_of_another_network_is_refused(family: Path, tmp_path: Path, bank: Bank) -> None:
    with pytest.raises(UsageError, match=r"--like: the bank has 2 concepts, and no level has as many; .* 1, 3"):
        run_tree(family, tmp_path / "out", Colours(), (1, 3), SMALL, like=bank)
    other = replace(bank, fingerprint=Fingerprint("1" * 64, "other", bank.fingerprint.preprocessing))
    with pytest.raises(BankError, match="other"):
        run_tree(family, tmp_path / "out", Colours(), (2, 3), SMALL, like=other)
    assert not (tmp_path / "out").exists()


def test_names_can_be_given_to_a_level_and_the_tree_is_no_run(family: Path, tmp_path: Path) -> None:
    run_tree(family, tmp_path / "out", Colours(), (2, 3), SMALL)
    with read_run(tmp_path / "out" / "k2") as stored:
        write_names(stored, Labels((("a",), ("b",))))
    assert read_bank(tmp_path / "out" / "k2" / "bank.npz").names == ("a", "b")
    with (
        pytest.raises(UsageError, match="is a tree of several runs; give one of them: k1, k2"),
        read_run(tmp_path / "out"),
    ):
        pass


def test_other_levels_are_refused_and_overwriting_removes_what_is_no_longer_there(family: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(family, out, Colours(), replace(SMALL, k=2))
    with pytest.raises(UsageError, match=r"settings\.k: 2 there, nothing now"):
        run_tree(family, out, Colours(), (1, 2), SMALL)
    run_tree(family, out, Colours(), (1, 2), SMALL, overwrite=True)
    assert not (out / "results.json").exists() and not (out / "bank.npz").exists()
    (out / "k9").mkdir()
    (out / "k9" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"settings\.levels: \[1, 2\] there, \[2, 3\] now"):
        run_tree(family, out, Colours(), (2, 3), SMALL)
    run_tree(family, out, Colours(), (2, 3), SMALL, overwrite=True)
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["k2", "k3", "k9"]
    with pytest.raises(UsageError, match="levels"):  # a level has the tree's names and colours: it is not this run
        run(family, out / "k2", Colours(), replace(SMALL, k=2))


def test_a_bad_picture_costs_a_line_and_nothing_else(family: Path, tmp_path: Path) -> None:
    (family / "bad.jpg").write_bytes(b"no picture")
    run_tree(family, tmp_path / "out", Colours(), (1, 2), SMALL)
    for name in ("failures.json", "k1/failures.json"):
        assert [one["path"] for one in json.loads((tmp_path / "out" / name).read_text())] == ["bad.jpg"]
    assert json.loads((tmp_path / "out" / "tree.json").read_text())["failures"][0]["path"] == "bad.jpg"


def test_a_hostile_file_name_stays_text_in_the_picture(family: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(family.iterdir())):
        path.rename(family / f"{number}<script>alert(1)&\"'\n.png")
    run_tree(family, tmp_path / "out", Colours(), (1, 2), SMALL)
    root = ElementTree.fromstring((tmp_path / "out" / "tree.svg").read_bytes())
    assert not [one for one in root.iter() if one.tag.rpartition("}")[2] == "script"]
    assert any("<script>alert(1)" in (one.text or "") for one in root.iter())


@pytest.mark.parametrize(
    ("ks", "message"),
    [
        ((2,), "two numbers of concepts or more"),
        ((), "two numbers"),
        ((3, 2), "ascend"),
        ((0, 1), "at least 1"),
        ((1, 5), "5 concepts are more than 320 rows and 4 channels"),
    ],
)
def test_impossible_levels_are_refused(family: Path, tmp_path: Path, ks: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_tree(family, tmp_path / "out", Colours(), ks, SMALL)
    assert not (tmp_path / "out").exists()


def test_the_largest_level_is_judged_before_the_smaller_ones_are_computed(
    family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_file, "discover_in", None)
    with pytest.raises(UsageError, match="5 concepts are more"):
        grow_tree(family, Colours(), (1, 2, 5), SMALL)


@pytest.mark.parametrize("mode", [{"foreground": True}, {"per_image": True}])
def test_a_tree_needs_shared_concepts(family: Path, mode: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="all pictures share"):
        grow_tree(family, Colours(), (1, 2), replace(SMALL, **mode))


def test_a_mistake_does_not_take_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImagesError):
        run_tree(tmp_path / "empty", tmp_path / "out", Colours(), (1, 2), SMALL)
    assert not (tmp_path / "out").exists()


def test_a_level_that_is_something_else_is_left_alone(family: Path, tmp_path: Path) -> None:
    run_tree(family, tmp_path / "out", Colours(), (1, 2), SMALL)
    (tmp_path / "out" / "k3").mkdir()
    (tmp_path / "out" / "k3" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="k3: is not empty and holds no run"):
        run_tree(family, tmp_path / "out", Colours(), (1, 2, 3), SMALL, overwrite=True)
    assert (tmp_path / "out" / "k3" / "letter.txt").read_text() == "dear"


def test_an_output_that_cannot_be_made_is_said(family: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        run_tree(family, tmp_path / "file" / "out", Colours(), (1, 2), SMALL)


def test_tiles_show_where_a_concept_is_strongest(family: Path) -> None:
    made = grow_tree(family, Colours(), (2, 3), SMALL)
    level = made.levels[1]
    for number in range(3):
        first, second = best(level, number)
        peaks = level.image_peaks[:, number]
        assert (
            peaks.max() > peaks.min()
            and peaks[first] == peaks.max()
            and peaks[first] >= peaks[second] >= np.delete(peaks, [first]).max()
        )
    tiles = tiles_of(made.levels)
    assert set(tiles) == {(place, number) for place, k in enumerate((2, 3)) for number in range(k)}
    number = cold(made, 1).index(True)
    pixels = tiles[1, number][0].pixels.astype(float)
    with Image.open(family / tiles[1, number][0].path) as picture:
        blue = np.asarray(picture)[:, :, 2] > 100
    colour = np.array(list(bytes.fromhex(made.found[1].concepts[number].colour[1:])), float)
    covered = np.corrcoef(pixels[blue].mean(axis=0), colour)[0, 1]
    assert covered > 0.95 and pixels[blue].mean() > 2 * pixels[~blue].mean()


def test_a_picture_that_is_gone_has_no_tile(family: Path) -> None:
    made = grow_tree(family, Colours(), (2, 3), SMALL)
    for path in family.iterdir():
        path.write_bytes(b"")
    assert set(map(len, tiles_of(made.levels).values())) == {0}


def test_a_concept_that_is_nowhere_has_no_tile(family: Path) -> None:
    level = grow_tree(family, Colours(), (2, 3), SMALL).levels[0]
    assert best(replace(level, image_peaks=level.image_peaks * 0), 0) == ()


def test_the_children_of_the_gymnast_are_together_what_the_parent_was(real_data: Path) -> None:
    (group,) = (real_data / "icoseg" / "images").glob("036 Gymnastics-1")
    backbone = Backbone.open(real_data / "models" / "squeezenet1_1.onnx", "/fires.7/Concat_output_0", threads=1)
    made = grow_tree(group, backbone, (3, 4), Settings(overlays="none"))
    (parent,) = (node for node in made.tree.nodes[0] if len(node.children) > 1)
    before, after = made.levels[0].H[:, parent.number], made.levels[1].H[:, list(parent.children)]
    together = after.sum(axis=1)
    overlap = float(before @ together / np.linalg.norm(before) / np.linalg.norm(together))
    alone = [made.tree.overlap(1, child) or 0.0 for child in parent.children]
    assert len(alone) == 2 and min(alone) > 0.6 and overlap > max(alone) + 0.05, (alone, overlap)
    assert [len(node.children) for node in made.tree.nodes[0] if node is not parent] == [1, 1]
