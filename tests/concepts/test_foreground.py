from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scenes import Scene, iou, scene, view

import dff_onnx.concepts.foreground as foreground_file
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.foreground import Foreground, ForegroundModel, Trial, find_foreground, project, refine
from dff_onnx.images import Resize
from dff_onnx.records import Grid
from dff_onnx.runs.discover import discover
from dff_onnx.runs.settings import Settings

CENTRED = [scene(seed) for seed in range(8)]


def found_in(scenes: list[Scene], *more: list[Scene]) -> Foreground:
    views = [view(scenes), *(view(one, 224) for one in more)]
    return find_foreground(views, [one.picture for one in scenes])


def mean_iou(found: Foreground, scenes: list[Scene]) -> float:
    return float(np.mean([iou(maps, one.truth) for maps, one in zip(found.maps, scenes, strict=True)]))


def test_the_planted_object_is_found() -> None:
    found = found_in(CENTRED, CENTRED)
    assert mean_iou(found, CENTRED) > 0.95
    assert found.sure == "high" and found.agreement > 0.95
    assert [(trial.view, trial.prior) for trial in found.trials] == [(0, "centre"), (0, "border"), (1, "centre")]


def test_an_object_that_is_never_in_the_middle_is_found() -> None:
    rng = np.random.default_rng(0)
    places = [(rng.choice([0.3, 0.7]), rng.choice([0.25, 0.75])) for _ in range(12)]
    scenes = [scene(seed, place, 18) for seed, place in enumerate(places)]
    assert mean_iou(found_in(scenes), scenes) > 0.9


def test_surroundings_that_hold_the_borders_are_turned_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def hollow(grid: Grid, width: float) -> np.ndarray:
        return 1 - true(grid, width)

    true = foreground_file.centre_prior
    for name in ("centre_prior", "border_prior"):  # priors that point to the surroundings
        monkeypatch.setattr(foreground_file, name, hollow)
    found = found_in(CENTRED)
    assert mean_iou(found, CENTRED) > 0.9
    assert max(trial.contact for trial in found.trials) < 0.1


def test_pictures_that_come_later_are_projected() -> None:
    model = found_in(CENTRED).model
    others = [scene(seed) for seed in range(20, 24)]
    maps = project(model, view(others), [one.picture for one in others])
    assert np.mean([iou(one, other.truth) for one, other in zip(maps, others, strict=True)]) > 0.95
    alone = project(model, view(others[:1]), [others[0].picture])
    assert iou(alone[0], others[0].truth) > 0.95


def test_any_number_of_threads_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(foreground_file, "available_cores", lambda cores=cores: cores)
        results.append(found_in(CENTRED))
    assert all((a == b).all() for a, b in zip(results[0].maps, results[1].maps, strict=True))
    assert results[0].trials == results[1].trials
    assert results[0].model.direction.tobytes() == results[1].model.direction.tobytes()


def test_a_set_of_which_not_all_pictures_are_kept_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = found_in(CENTRED)
    monkeypatch.setattr(foreground_file, "KEPT", 3)
    again = found_in(CENTRED)
    assert all((a == b).all() for a, b in zip(kept.maps, again.maps, strict=True))


def test_one_picture_is_enough_but_nobody_is_sure() -> None:
    found = found_in(CENTRED[:1])
    assert found.maps[0].shape == CENTRED[0].picture.shape[:2]
    assert found.trials[0].halves == 0.0 and found.sure == "low"


def test_pictures_of_nothing_are_no_trouble() -> None:
    blank = [
        replace(one, picture=np.full_like(one.picture, 90), activations=np.zeros_like(one.activations))
        for one in CENTRED[:2]
    ]
    found = found_in(blank)
    assert len(found.maps) == 2 and np.isfinite(found.agreement) and found.sure == "low"


def test_a_plain_picture_in_a_set_is_no_trouble() -> None:
    for level in (0.0, 0.3, 0.7):
        plain = replace(
            CENTRED[0],
            picture=np.full_like(CENTRED[0].picture, 40),
            activations=np.full_like(CENTRED[0].activations, level),
        )
        found = found_in([*CENTRED[:5], plain])
        assert mean_iou(replace(found, maps=found.maps[:5]), CENTRED[:5]) > 0.9


def test_nobody_is_sure_where_a_picture_is_all_foreground() -> None:
    found = found_in(CENTRED, CENTRED)
    full = replace(found, maps=(*found.maps[:-1], np.full_like(found.maps[-1], 255)))
    assert (found.sure, full.sure) == ("high", "medium") and full.unlike == (False,) * 7 + (True,)


def test_a_pictures_own_threshold_counts_beside_the_sets() -> None:
    model = ForegroundModel(np.ones(1, np.float32), np.zeros(1, np.float32), 1.0, 0.0, 1.0, Resize())
    values = np.where(np.arange(20) < 10, 2.0, 4.0).astype(np.float32)[None].repeat(20, axis=0)
    soft = model.soft(values, Grid(20, 20))
    border = 2.0 - np.log(soft[0, 0] / (1 - soft[0, 0]))  # the value at which it would be one half
    assert 1.4 < border < 2.6  # the middle of 1 and of what parts 2 from 4


def test_agreement_is_with_the_other_trials_only(monkeypatch: pytest.MonkeyPatch) -> None:
    true, answers = foreground_file._try, iter([255, 0, 255])

    def other(*arguments: Any) -> Any:
        ended, full = true(*arguments), next(answers)
        return replace(ended, fields=[np.full_like(field, full) for field in ended.fields])

    monkeypatch.setattr(foreground_file, "_try", other)
    monkeypatch.setattr(foreground_file, "_choose", lambda _: 0)
    assert found_in(CENTRED[:3], CENTRED[:3]).agreement == 0.5  # none with the second, all with the third


def test_three_kinds_of_value_have_the_upper_threshold() -> None:
    """A bright object on a grey curtain before a black hall: two classes would take the curtain along."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(m, 0.2, n) for m, n in ((-2, 150), (0, 700), (2, 150))]).astype(np.float32)
    A = np.stack([(values + 6) ** 2, np.ones_like(values)], axis=1)
    one = foreground_file.View(A, [Grid(25, 40)], Resize())
    halves = foreground_file.moments(A, one.grids, [values.reshape(25, 40)])
    made = foreground_file.sum_of(halves)
    model, explained = foreground_file._model(one, made, foreground_file.covariance_direction(made))
    soft = model.soft(model.values(A).reshape(25, 40), Grid(25, 40)).ravel()
    assert model.upper > 0.5 and explained < 2 / np.pi
    assert soft[-150:].mean() > 0.6 and soft[150:850].mean() < 0.4


def test_a_trial_at_another_size_needs_to_be_clearly_better() -> None:
    first = Trial(0, "centre", 0.7, 0.3, 0.8, 0.1)
    slightly, clearly = Trial(1, "centre", 0.75, 0.3, 0.8, 0.1), Trial(1, "centre", 0.82, 0.3, 0.8, 0.1)
    assert foreground_file._choose([first, slightly]) == 0
    assert foreground_file._choose([first, clearly]) == 1
    assert foreground_file._choose([slightly, replace(first, prior="border", overlap=0.2)]) == 1


@pytest.mark.parametrize(
    ("trial", "agreement", "sure"),
    [
        (Trial(0, "centre", 0.8, 0.2, 0.85, 0.1), 0.9, "high"),
        (Trial(0, "centre", 0.8, 0.2, 0.85, 0.1), 0.8, "medium"),
        (Trial(0, "centre", 0.8, 0.2, 0.85, 0.1), 0.5, "low"),
        (Trial(0, "centre", 0.8, 0.2, 0.85, 0.45), 0.9, "low"),
        (Trial(0, "centre", 0.7, 0.5, 0.8, 0.1), 0.9, "low"),
    ],
)
def test_sureness_needs_quality_agreement_and_free_borders(trial: Trial, agreement: float, sure: str) -> None:
    model = ForegroundModel(np.zeros(1, np.float32), np.zeros(1, np.float32), 0.0, 0.0, 1.0, Resize())
    assert Foreground((), model, (trial,), 0, agreement).sure == sure


def test_refining_uses_the_colours_of_the_whole_set() -> None:
    """The last picture's map says nothing; what the others' foreground looks like does."""
    softs = [np.where(one.truth, 0.9, 0.1).astype(np.float32) for one in CENTRED]
    softs[-1] = np.full_like(softs[-1], 0.5)
    together = refine(softs, [one.picture for one in CENTRED])[-1]
    alone = refine(softs[-1:], [CENTRED[-1].picture])[0]
    ours = [iou(np.rint(field * 255).astype(np.uint8), CENTRED[-1].truth) for field in (together, alone)]
    assert ours[0] > 0.9 > ours[1] + 0.3


@pytest.mark.parametrize(("group", "least"), [("036 Gymnastics-1", 0.6), ("brown_bear", 0.85)])
def test_objects_of_real_sets_are_found(real_data: Path, group: str, least: float) -> None:
    home = real_data / "icoseg"
    made = discover(home / "images" / group, Backbone.open(), Settings(foreground=True, resize=Resize("square", 448)))
    sums = np.zeros(2, int)
    for index, path in enumerate(made.paths):
        with Image.open(home / "ground_truth" / group / f"{path.stem}.png") as image:
            truth = np.asarray(image.convert("L")) > 0
        ours = made.masks(index)[0]
        sums += (ours & truth).sum(), (ours | truth).sum()
    assert sums[0] / sums[1] > least
