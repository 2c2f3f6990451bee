"""Evaluations of several passes over the pictures that were ended go on where they were."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import bird_scenes
import numpy as np
import pytest
import retrieval_scenes
from counting_backbone import Counting
from PIL import Image
from square_trees import SIDE, square, write_group

from dff_onnx.datasets import RetrievalSet, read_class_folders
from dff_onnx.datasets.cub import LabelledSet, read_cub
from dff_onnx.errors import ImageError, OutputError
from dff_onnx.evaluation import (
    Opened,
    Reranking,
    RetrievalPlan,
    WherePlan,
    claimed,
    evaluate_retrieval,
    evaluate_where,
    finegrained,
    open_masks,
    retrieval,
    retrieval_json,
    retrieval_systems,
    retrieval_tables,
    where_json,
)
from dff_onnx.evaluation.finegrained import FineSettings, evaluate_finegrained
from dff_onnx.evaluation.finegrained_text import finegrained_json
from dff_onnx.images import Resize
from dff_onnx.records import Box
from dff_onnx.retrieval import Whitening
from dff_onnx.runs import descriptors, keep
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.workplace import RESUME

# Evaluates into a folder, which may be none: the text of all figures.
Evaluated = Callable[[Path | None, Counting], str]

FINE = FineSettings(Resize("long", 96))
MAC = DescriptorSettings("mac", size=SIDE)


@dataclass(frozen=True)
class Case:
    """An evaluation.

    Attributes:
        evaluated: does it.
        parts: pictures that the network sees in each part of each pass, in order.
        second: a picture in the second part of the first pass.
        reader: where its function to read pictures is called.
        name: of that function.
    """

    evaluated: Evaluated
    parts: Sequence[int]
    second: Path
    reader: Any
    name: str


def birds_of(tmp_path: Path) -> LabelledSet:
    """Twelve pictures, the third one damaged."""
    found = read_cub(bird_scenes.write_scenes(tmp_path / "birds", 4))
    found.pictures[2].path.write_bytes(b"nothing")
    return found


def fine(dataset: LabelledSet, settings: FineSettings = FINE) -> Evaluated:
    def evaluated(out: Path | None, backbone: Counting) -> str:
        with claimed(out, {}, False) as resume:
            return finegrained_json(evaluate_finegrained(dataset, backbone, settings, None, resume))

    return evaluated


def scenes_of(tmp_path: Path) -> RetrievalSet:
    """Twelve pictures; six queries are parts of pictures, one is a whole one."""
    found = read_class_folders(retrieval_scenes.write_scenes(tmp_path / "scenes", 4))
    boxes = [*(Box(8 * i, 0, 32, 40) for i in range(3)), None, *(Box(0, 8 * i, 56, 48) for i in range(3))]
    return replace(
        found, queries=tuple(replace(one, box=box) for one, box in zip(found.queries[:7], boxes, strict=True))
    )


def searched(
    dataset: RetrievalSet,
    others: Path | None,
    size: int = retrieval_scenes.SIZE,
    dimensions: int | None = None,
    rerank: tuple[Reranking, ...] = (Reranking(), Reranking("rmatch")),
) -> Evaluated:
    plan = RetrievalPlan(retrieval_systems(["rmac"], size=size), others, (dimensions,), rerank=rerank)

    def evaluated(out: Path | None, backbone: Counting) -> str:
        with claimed(out, {}, False) as resume:
            figures = evaluate_retrieval(dataset, backbone, plan, None, resume)
        return retrieval_json(figures, retrieval_tables(figures))

    return evaluated


def squares_of(tmp_path: Path) -> Opened:
    """Six pictures of a red square, six of a green one."""
    write_group(tmp_path / "set", "red", [square()] * 6)
    for path in write_group(tmp_path / "set", "green", [square(0)] * 6, corner=0):
        Image.fromarray(np.roll(np.asarray(Image.open(path)), 1, axis=2)).save(path)
    return open_masks(tmp_path / "set", None, None, (), False)


def located(
    opened: Opened, settings: DescriptorSettings = MAC, whitening: Whitening | None = None, top: int = 4
) -> Evaluated:
    def evaluated(out: Path | None, backbone: Counting) -> str:
        describer = Describer(backbone, settings, whitening)
        with claimed(out, {}, False) as resume:
            return where_json(evaluate_where(opened, describer, WherePlan(top, 2), None, resume))

    return evaluated


@pytest.fixture(params=["finegrained", "retrieval", "where"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "finegrained":
        birds = birds_of(tmp_path)
        parts = [3, 4, 4] + 3 * [4, 4, 3]
        return Case(fine(birds), parts, birds.pictures[5].path, finegrained, "read_picture")
    if request.param == "retrieval":
        others = retrieval_scenes.write_scenes(tmp_path / "others", 5, seed=1)
        parts = [4, 4, 4, 3, 4, 4, 4, 4, 2]
        evaluated = searched(scenes_of(tmp_path), others)
        return Case(evaluated, parts, sorted(others.rglob("*.png"))[5], retrieval, "read_as_described")
    squares = squares_of(tmp_path)
    second = squares.dataset.groups[0].pictures[5].picture
    # Each query, asked for in two ways, is described and looked at.
    return Case(located(squares), [*2 * [4, 4, 4], 4 * 4, 2 * 4], second, descriptors, "read_as_described")


def cut_off(evaluated: Evaluated, out: Path, most: int) -> None:
    with pytest.raises(OutputError):
        evaluated(out, Counting(most))
    assert list((out / RESUME).glob("*.journal"))


def test_no_part_of_any_pass_goes_through_the_network_again(case: Case, tmp_path: Path) -> None:
    whole, out = Counting(), tmp_path / "out"
    expected = case.evaluated(None, whole)
    assert whole.seen == sum(case.parts)
    for most in range(5, whole.seen, 4):
        cut_off(case.evaluated, out, most)
        rest = Counting()
        assert case.evaluated(out, rest) == expected
        assert rest.seen == whole.seen - max(done for done in accumulate(case.parts) if done <= most)
        assert not list(out.iterdir())


def test_rows_that_memory_would_not_hold_give_the_same(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = case.evaluated(None, Counting())
    monkeypatch.setattr(keep, "machine_memory", lambda: 0)
    assert case.evaluated(tmp_path / "out", Counting()) == expected


def test_a_picture_that_changed_is_made_again_with_what_comes_behind_it(case: Case, tmp_path: Path) -> None:
    cut_off(case.evaluated, tmp_path / "out", sum(case.parts[:3]))
    Image.fromarray(255 - np.asarray(Image.open(case.second))).save(case.second)
    rest = Counting()
    assert case.evaluated(tmp_path / "out", rest) == case.evaluated(None, Counting())
    assert rest.seen == sum(case.parts[1:])


def test_a_picture_that_the_system_kept_from_us_is_tried_again(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, read = case.evaluated(None, Counting()), getattr(case.reader, case.name)

    def denied(path: Path, *others: Any) -> Any:
        if path == case.second:
            raise ImageError(path, "cannot be opened") from PermissionError(errno.EACCES, "Permission denied")
        return read(path, *others)

    with monkeypatch.context() as patched:
        patched.setattr(case.reader, case.name, denied)
        cut_off(case.evaluated, tmp_path / "out", sum(case.parts[:3]))
    rest = Counting()
    assert case.evaluated(tmp_path / "out", rest) == expected
    assert rest.seen == sum(case.parts[1:])


def test_features_of_other_settings_and_crops_by_other_boxes_are_made_anew(tmp_path: Path) -> None:
    birds, out = birds_of(tmp_path), tmp_path / "out"
    moved = replace(birds.pictures[0], box=Box(0, 0, 40, 40))
    for other, left in (
        (fine(birds, replace(FINE, pool="max")), 44),
        (fine(birds, replace(FINE, resize=Resize("long", 64))), 44),
        (fine(birds, replace(FINE, C=100.0)), 2 * 11 + 3),  # maps of another machine, and what they cut out
        (fine(replace(birds, pictures=(moved, *birds.pictures[1:]))), 11),
        (fine(birds), 3),
    ):
        cut_off(fine(birds), out, 43)
        rest = Counting()
        assert other(out, rest) == other(None, Counting())
        assert rest.seen == left


def test_vectors_of_other_settings_and_queries_with_other_boxes_are_made_anew(tmp_path: Path) -> None:
    scenes, out = scenes_of(tmp_path), tmp_path / "out"
    others = retrieval_scenes.write_scenes(tmp_path / "others", 5, seed=1)
    smaller = replace(scenes.queries[0], box=Box(0, 0, 32, 32))
    for other, left in (
        (searched(scenes, others, size=48), 15 + 18),
        (searched(scenes, others, dimensions=2), 18),
        (searched(scenes, others / "wood"), 5 + 18),
        (searched(replace(scenes, queries=(smaller, *scenes.queries[1:])), others), 6),
        (searched(scenes, others), 2),
    ):
        cut_off(searched(scenes, others), out, 32)
        rest = Counting()
        assert other(out, rest) == other(None, Counting())
        assert rest.seen == left


def test_vectors_of_another_size_or_without_their_parts_are_made_anew(tmp_path: Path) -> None:
    scenes, out = scenes_of(tmp_path), tmp_path / "out"
    for other, left in (
        (searched(scenes, None, size=48), 18),
        (searched(scenes, None, rerank=(Reranking(),)), 18),
        (searched(scenes, None), 2),
    ):
        cut_off(searched(scenes, None), out, 17)
        rest = Counting()
        assert other(out, rest) == other(None, Counting())
        assert rest.seen == left


def test_activations_of_other_settings_are_made_anew(tmp_path: Path) -> None:
    squares, out = squares_of(tmp_path), tmp_path / "out"
    for other, left in (
        (located(squares, replace(MAC, kind="gem")), 48),
        (located(squares, replace(MAC, size=48)), 48),
        (located(squares, MAC, Whitening(np.zeros(4), np.eye(4)[:2])), 48),
        (located(squares, top=3), 24),
        (located(squares), 8),
    ):
        cut_off(located(squares), out, 47)
        rest = Counting()
        assert other(out, rest) == other(None, Counting())
        assert rest.seen == left


def test_vectors_by_another_whitening_are_made_anew(tmp_path: Path) -> None:
    scenes, out = scenes_of(tmp_path), tmp_path / "out"
    others = retrieval_scenes.write_scenes(tmp_path / "others", 5, seed=1)
    cut_off(searched(scenes, others), out, 32)
    changed = sorted(others.rglob("*.png"))[5]
    Image.fromarray(255 - np.asarray(Image.open(changed))).save(changed)
    rest = Counting()
    assert searched(scenes, others)(out, rest) == searched(scenes, others)(None, Counting())
    assert rest.seen == 11 + 18


def test_queries_are_asked_again_where_a_mask_changed(tmp_path: Path) -> None:
    squares, out = squares_of(tmp_path), tmp_path / "out"
    cut_off(located(squares), out, 47)
    Image.fromarray(square(0).astype(np.uint8) * 255).save(tmp_path / "set" / "ground_truth" / "red" / "1.png")
    rest = Counting()
    assert located(squares)(out, rest) == located(squares)(None, Counting())
    assert rest.seen == 16 + 8


def test_a_file_of_several_pictures_is_kept_for_each(tmp_path: Path) -> None:
    squares, out = squares_of(tmp_path), tmp_path / "out"
    one, other = squares.dataset.groups
    both = replace(one, pictures=(*one.pictures, *other.pictures[:3]))
    shared = replace(squares, dataset=replace(squares.dataset, groups=(both, other)))
    whole = Counting()
    expected = located(shared)(None, whole)
    cut_off(located(shared), out, 29)
    rest = Counting()
    assert located(shared)(out, rest) == expected and json.loads(expected)["pictures"] == 15
    assert rest.seen == whole.seen - 27
