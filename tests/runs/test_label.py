"""Names for concepts: which pictures are shown, what is written, and what no name may be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from mutations import mutated
from PIL import Image
from torture_tier import each, tiers

import dff_onnx.runs.label as module
from dff_onnx.concepts.bank import read_bank
from dff_onnx.errors import OutputError, RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf
from dff_onnx.report.contact_sheet import tile_side
from dff_onnx.report.found import ConceptFound
from dff_onnx.report.labels_file import Labels, checked_parts, labels_json, read_labels
from dff_onnx.runs.claim import claimed
from dff_onnx.runs.discover import discover
from dff_onnx.runs.label import ask_names, labels_of, spanning, write_names, write_sheet, write_template
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run
from dff_onnx.runs.write import write

SMALL = Settings(k=3, resize=Resize("square", 64), overlays=2)
NAMED = Labels((("head", "neck"), (), ("=torso <b>",)))


@pytest.fixture
def home(folder: Path, tmp_path: Path) -> Path:
    run(folder, tmp_path / "out", Colours(), SMALL)
    return tmp_path / "out"


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def named(home: Path, labels: Labels) -> None:
    with read_run(home) as stored:
        write_names(stored, labels)


@pytest.mark.parametrize(
    ("scores", "many", "places"),
    [
        ([0.9, 0.1, 0.5, 0.7, 0.3], 5, (0, 3, 2, 4, 1)),
        ([0.9, 0.1, 0.5, 0.7, 0.3], 2, (0, 1)),
        ([0.9, 0.1, 0.5, 0.7, 0.3], 1, (0,)),
        ([0.0, 0.2, 0.0], 5, (1,)),
        ([0.0, 0.0], 5, ()),
        ([0.5] * 9, 3, (0, 4, 8)),
    ],
)
def test_the_pictures_span_the_scores_above_zero(scores: list[float], many: int, places: tuple[int, ...]) -> None:
    assert spanning(scores, many) == places


def test_from_many_pictures_each_is_chosen_once_with_the_strongest_and_the_weakest() -> None:
    scores = np.random.default_rng(0).random(140).tolist()
    for many in range(2, 140, 7):
        places = spanning(scores, many)
        assert len(set(places)) == many
        chosen = [scores[place] for place in places]
        assert chosen == sorted(chosen, reverse=True) and (chosen[0], chosen[-1]) == (max(scores), min(scores))


def test_the_sheet_has_a_row_for_each_concept_in_its_colour(home: Path) -> None:
    with read_run(home) as stored:
        sheet = write_sheet(stored, 4)
        before = sheet.path.read_bytes()
        assert write_sheet(stored, 4).path.read_bytes() == before
        colours = [tuple(bytes.fromhex(concept.colour[1:])) for concept in stored.concepts]
    assert sheet.path == home / "label" / "contact.png" and sheet.missing == ()
    assert all(len(set(places)) == 4 for places in sheet.chosen)
    with Image.open(sheet.path) as image:
        shown = image.convert("RGB")
    assert shown.width < 4 * 320 + 200
    swatches = [shown.getpixel((20, shown.height * row // 3 + 15)) for row in range(3)]
    assert swatches == colours


def test_each_picture_of_the_sheet_has_the_concept_of_its_row_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, str, tuple[int, int, int]]] = []
    true = module.overlay

    def noted(picture: Any, heat: Any, colours: Any, labels: Any, scale: str) -> Any:
        assert heat.shape[0] == len(colours) == len(labels) == 1
        seen.append((float(heat.max()), scale, colours[0]))
        return true(picture, heat, colours, labels, scale)

    monkeypatch.setattr(module, "overlay", noted)
    with read_run(home) as stored:
        sheet = write_sheet(stored)
        wanted = [
            (stored.images[i].concepts[j].score, Path(stored.images[i].path).name, stored.concepts[j].colour)
            for j, places in enumerate(sheet.chosen)
            for i in places
        ]
    assert [(scale, "#" + bytes(c).hex()) for _, scale, c in seen] == [(name, colour) for _, name, colour in wanted]
    assert [heat for heat, _, _ in seen] == pytest.approx([score for score, _, _ in wanted], rel=1e-5)


def test_a_sheet_of_sharpened_maps_can_be_drawn(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", Colours(), replace(SMALL, crf=Crf()))
    with read_run(tmp_path / "out") as stored:
        assert write_sheet(stored).path.is_file()


def test_pictures_stay_between_320_and_128_pixels() -> None:
    assert [tile_side(k) for k in (1, 20, 40, 50, 5000)] == [320, 320, 160, 128, 128]


def test_pictures_that_are_gone_are_not_chosen_and_are_said(home: Path, folder: Path) -> None:
    for name in ("0.png", "1.png"):
        (folder / name).unlink()
    (folder / "2.png").write_bytes(b"no picture")
    with read_run(home) as stored:
        sheet = write_sheet(stored, 5)
    assert set(sheet.missing) == {"0.png", "1.png", "2.png"}
    assert not {0, 1} & {place for places in sheet.chosen for place in places}
    folder.rename(folder.with_name("elsewhere"))
    with read_run(home) as stored, pytest.raises(UsageError, match="the pictures of the run are gone"):
        write_sheet(stored)


def test_names_go_into_every_file_and_change_nothing_else(folder: Path, home: Path, tmp_path: Path) -> None:
    """The files are, byte for byte, those of a run whose concepts had these names from the start."""
    found = discover(folder, Colours(), SMALL)
    concepts = tuple(replace(c, name=n) for c, n in zip(found.found.concepts, NAMED.names, strict=True))
    identity = {"folder": str(folder), "settings": SMALL.to_dict(), "fingerprint": Colours.fingerprint.to_dict()}
    with claimed(tmp_path / "want", folder, identity, False):
        write(replace(found, found=replace(found.found, concepts=concepts)), tmp_path / "want", identity)
    named(home, NAMED)
    wanted, got = contents(tmp_path / "want"), contents(home)
    assert json.loads(got.pop("labels.json")) == {
        "dff-onnx": "labels/1", "concepts": {"0": ["head", "neck"], "1": [], "2": ["=torso <b>"]},
    }  # fmt: skip
    pictures = {name for name in wanted if name.startswith("overlays/")}  # their legends keep the numbers
    assert {n: d for n, d in got.items() if n not in pictures} == {n: d for n, d in wanted.items() if n not in pictures}
    assert read_bank(home / "bank.npz").names == ("head + neck", None, "=torso <b>")
    assert b",'=torso <b>," in got["boxes.csv"] and b"head + neck" in got["coco.json"]


def test_naming_again_replaces_the_names_and_no_names_give_the_old_files(home: Path) -> None:
    before = contents(home)
    named(home, NAMED)
    named(home, Labels((("wing",), ("wing",), ())))
    with read_run(home) as stored:
        assert [concept.name for concept in stored.concepts] == ["wing", "wing", None]
        assert labels_of(stored).parts == (("wing",), ("wing",), ())
    named(home, Labels(((), (), ())))
    after = contents(home)
    del after["labels.json"]
    assert after == before


def test_fields_that_this_version_does_not_know_are_kept(home: Path) -> None:
    results = json.loads((home / "results.json").read_text())
    results["later"] = {"x": 0.1}
    results["concepts"][1]["later"] = [1e-30]
    (home / "results.json").write_text(json.dumps(results))
    named(home, NAMED)
    again = json.loads((home / "results.json").read_text())
    for concept in (*again["concepts"], *results["concepts"]):
        concept.pop("name")
    assert again == results


@pytest.mark.parametrize("failing", ["labels.json", "results.json", "boxes.csv", "coco.json", "bank.npz"])
def test_a_file_that_cannot_be_opened_leaves_the_old_state(
    failing: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = module.open_atomically

    def opened(path: Path) -> Any:
        if path.name == failing:
            raise OutputError(f"{path}: cannot be written")
        return true(path)

    before = contents(home)
    monkeypatch.setattr(module, "open_atomically", opened)
    with pytest.raises(OutputError):
        named(home, NAMED)
    assert contents(home) == before


def test_a_person_is_asked_for_each_concept_until_the_answer_can_be_used(home: Path) -> None:
    answers = iter(["head , neck,head", "x" * 61, "new\nline", "", "größe, 象"])
    asked: list[tuple[int, str | None]] = []

    def ask(concept: ConceptFound, complaint: str | None) -> str:
        asked.append((concept.number, complaint))
        return next(answers)

    with read_run(home) as stored:
        labels = ask_names(stored, ask)
    assert labels.parts == (("head", "neck"), (), ("größe", "象"))
    assert [number for number, _ in asked] == [0, 1, 1, 1, 2]
    said = [complaint or "" for _, complaint in asked]
    assert "61 characters" in said[2] and "control character" in said[3] and said[4] == ""


def test_an_interrupted_person_leaves_everything_as_it_was(home: Path) -> None:
    named(home, NAMED)
    before = contents(home)

    def ask(concept: ConceptFound, _: str | None) -> str:
        if concept.number == 1:
            raise KeyboardInterrupt
        return "head"

    with read_run(home) as stored, pytest.raises(KeyboardInterrupt):
        write_names(stored, ask_names(stored, ask))
    assert contents(home) == before


BAD_NAMES = ["new\nline", "\x1b[2J", "nul\0", "\u202egpj", "a\u2028b", "\ud800", "x" * 61, "\x7f", "\u2066a"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_with_control_characters_is_refused_in_plain_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        checked_parts([name])
    assert str(caught.value).isprintable()
    (tmp_path / "labels.json").write_text(json.dumps({"0": [name]}))
    with pytest.raises(RefusedError, match=r"labels\.json: concept 0: ") as refused:
        read_labels(tmp_path / "labels.json", 1)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["../x", 'a "quote"', "<script>alert(1)</script>", "=1+1", "עברית", "a, b", "x" * 60])
def test_other_hostile_names_are_names(name: str, home: Path) -> None:
    named(home, Labels(((name,), (), ())))
    with read_run(home) as stored:
        assert stored.concepts[0].name == name and labels_of(stored).parts[0] == (name,)


def test_both_forms_of_the_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    for text in (
        '{"dff-onnx": "labels/1", "concepts": {"0": ["head", " neck "], "2": ["torso"]}}',
        '{"0": ["head", "neck", ""], "1": null, "2": "torso"}',
    ):
        path.write_text(text)
        assert read_labels(path, 3).parts == (("head", "neck"), (), ("torso",))
    path.write_bytes(labels_json(NAMED))
    assert read_labels(path, 3) == NAMED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[]", "no table"),
        ('{"dff-onnx": "labels/2", "concepts": {}}', "labels/2"),
        ('{"dff-onnx": "labels/1"}', "no table"),
        ('{"3": "a"}', "0 to 2"),
        ('{"-1": "a"}', "0 to 2"),
        ('{"00": "a"}', "0 to 2"),
        ('{"²": "a"}', "0 to 2"),
        ('{"head": 0}', "0 to 2"),
        ('{"0": 7}', "list of texts"),
        ('{"0": [["a"]]}', "list of texts"),
        ('{"0": "a", "0": "b"}', "twice"),
        (json.dumps({"0": [f"part {n}" for n in range(17)]}), "too many"),
    ],
)
def test_a_file_that_is_no_labels_is_refused_with_its_path(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(RefusedError, match=said) as caught:
        read_labels(tmp_path / "labels.json", 3)
    assert "labels.json: " in str(caught.value)
    with pytest.raises(UsageError, match="no such file"):
        read_labels(tmp_path / "none.json", 3)


@tiers("mutated labels")
def test_of_mutated_files_of_labels_none_gives_another_error(cases: range, tmp_path: Path) -> None:
    good, path = labels_json(NAMED), tmp_path / "labels.json"

    def judge(_: int, rng: np.random.Generator) -> str:
        path.write_bytes(mutated(good, rng))
        try:
            assert len(read_labels(path, 3).parts) == 3
        except RefusedError as error:
            assert "labels.json" in str(error) and str(error).isprintable()
            return "refused"
        return "read"

    found = each(cases, judge)
    assert found["refused"] > len(cases) / 3 and found["read"]


def test_names_of_a_run_that_was_made_again_are_not_believed(folder: Path, home: Path) -> None:
    named(home, NAMED)
    run(folder, home, Colours(), SMALL)
    with read_run(home) as stored, pytest.raises(UsageError, match=r"other names than results\.json.*--from"):
        labels_of(stored)
    named(home, read_labels(home / "labels.json", 3))
    with read_run(home) as stored:
        assert labels_of(stored) == NAMED


def test_a_template_has_the_present_names_and_is_never_overwritten(home: Path) -> None:
    named(home, NAMED)
    with read_run(home) as stored:
        template = write_template(stored)
        assert template == home / "label" / "labels.json" and read_labels(template, 3) == NAMED
        template.write_text('{"0": "half a')
        assert write_template(stored).read_text() == '{"0": "half a'


def test_concepts_that_are_not_shared_cannot_be_named(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "own", Colours(), replace(SMALL, k=1, per_image=True))
    with read_run(tmp_path / "own") as stored:
        with pytest.raises(UsageError, match="concepts are not shared"):
            write_sheet(stored)
        with pytest.raises(UsageError, match="concepts are not shared"):
            write_names(stored, Labels(()))


def test_a_bank_of_another_run_is_refused(folder: Path, home: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "two", Colours(), replace(SMALL, k=2))
    (home / "bank.npz").write_bytes((tmp_path / "two" / "bank.npz").read_bytes())
    before = contents(home)
    with pytest.raises(RefusedError, match=r"bank\.npz: has 2 concepts"):
        named(home, NAMED)
    assert contents(home) == before


@pytest.mark.parametrize("show", [0, -1])
def test_at_least_one_picture_is_shown(show: int, home: Path) -> None:
    with read_run(home) as stored, pytest.raises(UsageError, match="--show"):
        write_sheet(stored, show)
