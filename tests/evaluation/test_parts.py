"""Parts: quality by k, parts by coverage and by labels, on sets whose parts are known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from figures import PARTS, colour_network, make_figures, read_parts
from layouts import Thing, mat_of, part, patch, thing_with_parts, write_mask, write_voc
from PIL import Image
from square_trees import square, write_group

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import DatasetError, NoImagesError, RefusedError, UsageError
from dff_onnx.evaluation import (
    PartFigures,
    PartPlan,
    VocChoice,
    evaluate_parts,
    open_parts,
    parts,
    parts_json,
    parts_markdown,
    parts_plot,
    parts_terminal,
)
from dff_onnx.images import Resize
from dff_onnx.maps import Threshold
from dff_onnx.metrics import PartCounts, best_part_iou
from dff_onnx.runs.settings import Settings

HALVES = (slice(0, 32), slice(32, 64))
# Full red on the left of the square, full green on its right: two concepts, exactly.
SETTINGS = Settings(resize=Resize("square", 64), threshold=Threshold("fraction", fraction=0.5))


def write_two(root: Path, group: str = "flags", pictures: int = 4) -> Path:
    """Pictures, red on the left and green on the right of a square, with both sides as parts."""
    for number in range(pictures):
        pixels = np.zeros((64, 64, 3), np.uint8)
        on = square(8 * number)
        left = on & (np.arange(64) < 8 * number + 16)
        pixels[left], pixels[on & ~left] = (255, 0, 0), (0, 255, 0)
        path = root / "images" / group / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        write_mask(root / "ground_truth" / group / f"{number}.png", on * 255)
        write_mask(root / "parts" / group / str(number) / "left.png", left * 255)
        write_mask(root / "parts" / group / str(number) / "right.png", (on & ~left) * 255)
    return root


def measured(root: Path, plan: PartPlan, groups: tuple[str, ...] = (), **options: Any) -> PartFigures:
    given: dict[str, Any] = {"annotations": None, "mapping": None, "masks": None, "parts": None, "skip": False}
    opened = open_parts(root, groups=groups, voc=VocChoice(), **(given | options))
    return evaluate_parts(opened, lambda _: Colours(), plan)


def plan(*ks: int, seeds: int = 1, **options: Any) -> PartPlan:
    return PartPlan(ks, tuple(range(seeds)), settings=SETTINGS, **options)


@pytest.fixture(scope="module")
def figures_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve articulated figures with their masks, and the network that sees their colours."""
    folder = tmp_path_factory.mktemp("figures")
    make_figures(folder, 12)
    for path in sorted((folder / "pictures").iterdir()):
        write_mask(folder / "masks" / path.name, read_parts(folder, path.stem).any(axis=0) * 255)
    colour_network(folder / "colours.onnx")
    return folder


def test_articulated_figures_are_taken_apart_at_the_right_k(figures_set: Path) -> None:
    opened = open_parts(
        figures_set / "pictures", None, None, figures_set / "masks", figures_set / "parts", (), False, VocChoice()
    )
    settings = Settings(threshold=Threshold("fraction"))
    figures = evaluate_parts(
        opened,
        lambda _: Backbone.open(figures_set / "colours.onnx", threads=1),
        PartPlan((2, 4, 7), (0, 1), settings=settings),
    )
    four, seven = (figures.quality("mixed", k).mean for k in (4, 7))
    assert four > 0.85 and four > seven + 0.05
    mine = [one for one in figures.concepts if one.k == 4]
    assert sorted(one.parts for one in mine) == [(name,) for name in sorted(PARTS)]
    assert min(one.iou or 0 for one in mine) > 0.8
    assert figures.quality("mixed", 4).deviation < 0.05


def test_two_colours_are_two_parts_and_one_concept_has_both(tmp_path: Path) -> None:
    figures = measured(write_two(tmp_path), plan(1, 2))
    both, *two = figures.concepts
    assert (both.k, both.parts) == (1, ("left", "right"))
    assert sorted(one.parts for one in two) == [("left",), ("right",)]
    assert all((one.iou or 0) > 0.8 and (one.per_image or 0) > 0.8 for one in figures.concepts)
    assert figures.quality("colours", 2).mean > 0.8 > 0.6 > figures.quality("colours", 1).mean
    assert math.isnan(figures.quality("colours", 2).deviation)


def test_figures_follow_from_the_counts_in_the_file(tmp_path: Path) -> None:
    write_two(tmp_path, "more", 3)
    figures = measured(write_two(tmp_path), plan(1, 2, 3, seeds=2))
    fields = json.loads(parts_json(figures))
    assert fields["schema"] == "dff-onnx/evaluation/1" and fields["kind"] == "parts" and fields["source"] == "measured"
    assert len(fields["trials"]) == 3 * 2 * 2
    for trial in fields["trials"]:
        counts = PartCounts(*(np.asarray(trial[key]) for key in ("inter", "concepts", "parts")))
        assert best_part_iou(counts) == trial["quality"]
    for one in fields["concepts"]:
        keys = ("group", "k", "concept", "how")
        mine = [image for image in fields["images"] if all(image[key] == one[key] for key in keys)]
        if one["iou"] is None:
            assert not mine and not one["parts"]
        else:
            inter, union = sum(image["inter"] for image in mine), sum(image["union"] for image in mine)
            assert one["iou"] == inter / union
    each = [figures.quality("colours", 2, group).mean for group in ("flags", "more")]
    assert figures.quality("colours", 2).mean == pytest.approx(sum(each) / 2)
    assert parts_json(measured(tmp_path, plan(1, 2, 3, seeds=2))) == parts_json(figures)


def test_a_concept_without_a_part_is_a_dash(tmp_path: Path) -> None:
    write_two(tmp_path)
    for number in range(4):
        (tmp_path / "parts" / "flags" / str(number) / "right.png").unlink()
    figures = measured(tmp_path, plan(2))
    assert sorted(one.parts for one in figures.concepts) == [(), ("left",)]
    shown = parts_terminal(figures)
    assert any(line.split()[-3:] == ["-", "-", "-"] for line in shown.splitlines()) and "1 without" in shown
    assert "| - | - | - |" in parts_markdown(figures)


def test_pictures_without_parts_are_not_scored_and_groups_without_are_whole_objects(tmp_path: Path) -> None:
    root = write_two(tmp_path)
    for side in ("left", "right"):
        (root / "parts" / "flags" / "3" / f"{side}.png").unlink()
    (root / "parts" / "flags" / "3").rmdir()
    write_group(root, "cats", [square()] * 2)
    figures = measured(root, plan(2))
    assert figures.notes == (
        "cats: no part masks, whole objects are taken as one part",
        "flags: 1 picture without part masks, not scored",
    )
    assert figures.parts == {"cats": ("object",), "flags": ("left", "right")}
    assert {image.path for image in figures.images if image.group == "flags"} == {
        f"images/flags/{number}.png" for number in range(3)
    }


def test_void_is_in_no_count(tmp_path: Path) -> None:
    root = write_two(tmp_path, pictures=1)
    low = Settings(resize=Resize("square", 64), threshold=Threshold("fraction", fraction=0.1))  # runs over the border
    before = measured(root, PartPlan((1,), settings=low))
    write_mask(root / "ground_truth" / "flags" / "0.png", np.where(square(0), 1, 255), "P")
    after = measured(root, PartPlan((1,), settings=low))
    assert before.trials[0].counts.concepts[0] > 32 * 32 >= after.trials[0].counts.concepts[0]
    assert before.images[0].union > 32 * 32 >= after.images[0].union


def test_every_seed_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, int]] = []

    def discover_in(rows: Any, folder: Any, activations: Any, settings: Settings) -> Any:
        tried.append((settings.k, settings.seed))
        return discovered(rows, folder, activations, settings)

    discovered = parts.discover_in
    monkeypatch.setattr(parts, "discover_in", discover_in)
    measured(write_two(tmp_path), plan(1, 2, seeds=2))
    assert tried == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_persons_names_are_scored_beside(tmp_path: Path) -> None:
    root = write_two(tmp_path)
    by_coverage = measured(root, plan(2)).concepts
    (tmp_path / "labels.json").write_text(
        json.dumps({"dff-onnx": "labels/1", "concepts": {str(one.concept): list(one.parts) for one in by_coverage}})
    )
    figures = measured(root, plan(2, labels=tmp_path / "labels.json"))
    named = [one for one in figures.concepts if one.how == "labels"]
    assert [(one.parts, one.iou, one.per_image) for one in named] == [
        (one.parts, one.iou, one.per_image) for one in by_coverage
    ]
    (tmp_path / "labels.json").write_text(json.dumps({"1": list(by_coverage[0].parts)}))
    swapped = measured(root, plan(2, labels=tmp_path / "labels.json")).concepts[2:]
    assert [one.iou for one in swapped] == [None, 0.0]
    assert "parts by labels" in parts_terminal(figures)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"0": ["wing"]}', "concept 0 has no part 'wing'; the parts are left, right"),
        ('{"2": ["left"]}', "names the concept '2'"),
        ('{"0": [1]}', "a list of texts is needed"),
        ('{"dff-onnx": "labels/2", "concepts": {}}', "labels/2"),
        ("[1]", "is no table"),
        ("{", "damaged"),
    ],
)
def test_labels_that_cannot_be_name_their_file(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(RefusedError, match=r"labels\.json") as caught:
        measured(write_two(tmp_path), plan(2, labels=tmp_path / "labels.json"))
    assert said in str(caught.value)


def test_labels_are_for_one_factorization(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"0": ["left"]}')
    with pytest.raises(UsageError, match="one k and one layer"):
        plan(1, 2, labels=tmp_path / "labels.json")
    write_two(tmp_path, "more")
    with pytest.raises(UsageError, match="choose one group"):
        measured(write_two(tmp_path), plan(2, labels=tmp_path / "labels.json"))
    assert measured(tmp_path, plan(2, labels=tmp_path / "labels.json"), ("flags",)).groups == ("flags",)
    with pytest.raises(UsageError, match="each once"):
        plan(2, 2)


def test_pascal_part_is_read_by_class(tmp_path: Path) -> None:
    whole = (0, 0, 12, 8)
    objects = [
        thing_with_parts(
            "cow", patch(whole, 1), [part("lhorn", patch((0, 0, 6, 8), 1)), part("torso", patch(whole, 1))]
        )
    ]
    write_voc(tmp_path, {"2008_1": [Thing("cow", (1, 1, 12, 8))], "2008_2": [Thing("cow")]}, "2010", "train")
    (tmp_path / "Annotations_Part").mkdir()
    (tmp_path / "Annotations_Part" / "2008_1.mat").write_bytes(mat_of("2008_1", objects))
    figures = measured(tmp_path, plan(1), annotations=tmp_path)
    assert figures.parts == {"cow": ("horn", "torso")} and "part names: sides merged" in figures.notes
    assert figures.concepts[0].parts == ("horn", "torso") and figures.concepts[0].iou == 1.0
    assert figures.quality("colours", 1).mean == 1.0
    with pytest.raises(UsageError, match="one of --annotations and --masks"):
        measured(tmp_path, plan(1), annotations=tmp_path, masks=tmp_path)


def test_nothing_to_compare_and_nothing_to_read_are_errors(tmp_path: Path) -> None:
    root = write_two(tmp_path / "a", pictures=1)
    for side in ("left", "right"):
        (root / "parts" / "flags" / "0" / f"{side}.png").unlink()
    with pytest.raises(DatasetError, match="not one picture has a part"):
        measured(root, plan(1))
    root = write_two(tmp_path / "b", pictures=2)
    for path in (root / "images" / "flags").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match=r"images/flags/0\.png"):
        measured(root, plan(1))
    with pytest.raises(UsageError, match="needs --masks too"):
        measured(root, plan(1), parts=root)


def test_each_layer_is_a_line_and_what_is_printed_fits(tmp_path: Path) -> None:
    for group in ("漢" * 40, *"abcdef"):
        write_two(tmp_path, group, 2)
    figures = measured(tmp_path, plan(1, 2, seeds=2))
    from rich.cells import cell_len

    assert max(map(cell_len, parts_terminal(figures).splitlines())) <= 80
    assert "colours" in parts_plot(figures) and parts_plot(figures).count("<polyline") == 2
