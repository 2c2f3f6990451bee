"""From a run's rows to the figures of faithfulness: heads, tails, real networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from classifier_networks import HIDDEN, POOLED, RECTIFIED, TAIL, saved

from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.behind import AnyScores, HeadScores
from dff_onnx.errors import UsageError
from dff_onnx.factorization import nonnegative_least_squares
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead
from dff_onnx.progress import Silent
from dff_onnx.records import Grid
from dff_onnx.report.figures import FaithfulnessFound
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.faithful import MOST_PICTURES, faithfulness_of, scores_behind
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings

GRID = Grid(2, 3)


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.stages: list[list[Any]] = []

    def start(self, stage: str, total: int | None = None) -> None:
        self.stages.append([stage, total, 0])

    def advance(self, steps: int = 1) -> None:
        self.stages[-1][2] += steps


def collected(count: int) -> tuple[Collected, np.ndarray, np.ndarray]:
    H = np.random.default_rng(0).random((count * GRID.cells, 2)).astype(np.float32)
    W = np.eye(2, 5, dtype=np.float32)
    seen = tuple(Seen(Path(f"{i:03}.png"), Grid(8, 8), Grid(8, 8), GRID) for i in range(count))
    return Collected(H @ W, seen, ()), H, W


def first_only() -> HeadScores:
    """Class 0 reads channel 0, class 1 says nothing."""
    return HeadScores(LinearHead(np.array([[9, 0, 0, 0, 0], [0] * 5], np.float32), np.zeros(2, np.float32)))


@pytest.mark.parametrize("nodes", [POOLED, RECTIFIED, HIDDEN], ids=["pooled", "rectified", "hidden"])
def test_the_scores_behind_a_layer_are_the_files_own(tmp_path: Path, nodes: Any) -> None:
    path = saved(nodes, tmp_path)
    scores = scores_behind(Backbone.open(path, "relu2", device="cpu"))
    assert isinstance(scores, AnyScores if nodes is HIDDEN else HeadScores) and scores.classes == 5
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    features = np.asarray(Backbone.open(path, "relu2", device="cpu")(pixels))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    image = ((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    (expected,) = session.run(["logits"], {"image": np.ascontiguousarray(image)})
    assert scores(features) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_an_earlier_layer_is_asked_through_the_rest_of_the_network(tmp_path: Path) -> None:
    scores = scores_behind(Backbone.open(saved(POOLED, tmp_path), "relu1", device="cpu"))
    assert isinstance(scores, AnyScores) and scores.classes == 5


def test_a_network_without_scores_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--faithfulness") as raised:
        scores_behind(Backbone.open(device="cpu"))  # the embedded one is no classifier
    assert "leave --faithfulness out" in str(raised.value)
    split = Backbone.open(saved(TAIL, tmp_path), "relu2", device="cpu", sign="split")
    with pytest.raises(UsageError, match="--faithfulness"):
        scores_behind(split)


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    backbone = Backbone.open(saved(POOLED, tmp_path), "relu2", device="cpu")
    assert backbone.head is not None
    object.__setattr__(backbone, "head", backbone.head.only([2]))
    with pytest.raises(UsageError, match="one score"):
        scores_behind(backbone)


def test_figures_are_those_of_the_planted_concepts() -> None:
    rows, H, W = collected(7)
    found = faithfulness_of(rows, H, W, first_only())
    assert (found.images, found.designs, found.score) == (7, 32, "probability")
    assert found.concepts.fidelity.estimate == 1
    first, second = found.concepts.importance
    assert first.estimate == pytest.approx(1, abs=0.1) and second.estimate == 0
    scores = np.stack([H[i * 6 : (i + 1) * 6, 0].mean() * 9 for i in range(7)])
    share = 7 / 2 / (1 / (1 + np.exp(-scores))).sum()  # nothing gives each class a half
    assert [one.estimate for one in found.concepts.deletion] == pytest.approx([1, share, share], rel=1e-4)
    assert [one.estimate for one in found.concepts.insertion] == pytest.approx([share, 1, 1], rel=1e-4)
    for one in (*found.concepts.deletion, *found.concepts.importance, found.control.fidelity):
        assert one.low <= one.estimate + 1e-9 and one.estimate <= one.high + 1e-9


def test_equal_seeds_give_equal_figures() -> None:
    rows, H, W = collected(5)
    found = faithfulness_of(rows, H, W, first_only(), seed=3)
    assert found == faithfulness_of(rows, H, W, first_only(), seed=3)
    assert found != faithfulness_of(rows, H, W, first_only(), seed=4)


def test_of_many_pictures_64_are_asked_evenly_with_their_own_rows() -> None:
    rows, H, W = collected(150)
    asked, scores = [], first_only()

    def heard(features: np.ndarray) -> np.ndarray:
        asked.append(features.sum())
        return scores(features)

    told = Told()
    found = faithfulness_of(rows, H, W, AnyScores(heard, 2), progress=told)
    assert found.images == MOST_PICTURES and told.stages[0][1:] == [2 * MOST_PICTURES] * 2
    totals = rows.A.reshape(150, -1).sum(axis=1)
    taken = {int(np.abs(totals - one).argmin()) for one in asked if np.abs(totals - one).min() < 1e-4}
    assert {0, 149, *np.linspace(0, 149, 64).round().astype(int).tolist()} <= taken
    assert found.concepts.fidelity.estimate == 1  # H and A are of the same pictures


def on_group(real_data: Path, group: str, model: str, layer: str | None, k: int) -> FaithfulnessFound:
    backbone = Backbone.open(real_data / "models" / model, layer, device="cpu", threads=1)
    folder = real_data / "icoseg" / "images" / group
    rows = collect(folder, walk_pictures(folder), backbone, Resize(), Silent())
    found = discover_in(rows, folder, backbone, Settings(k=k))
    assert found.W is not None
    assert np.allclose(found.H, nonnegative_least_squares(rows.A, found.W), atol=0.02 * found.H.max())
    return faithfulness_of(rows, found.H, found.W, scores_behind(backbone))


@pytest.mark.parametrize(("model", "layer"), [("squeezenet1_1.onnx", None), ("mobilenetv2-cam.onnx", "features")])
def test_on_real_pictures_the_concepts_beat_random_ones(real_data: Path, model: str, layer: str | None) -> None:
    found = on_group(real_data, "036 Gymnastics-1", model, layer, 4)
    ours, theirs = found.concepts, found.control
    assert ours.fidelity.estimate > 0.8 and ours.fidelity.estimate > theirs.fidelity.estimate

    def under(curve: Any) -> float:
        return float(np.trapezoid([one.estimate for one in curve], dx=1 / (len(curve) - 1)))

    assert under(ours.insertion) > under(theirs.insertion) + 0.2
    assert under(ours.insertion) > under(ours.deletion) + 0.3
    assert ours.deletion[0].estimate == pytest.approx(1, abs=0.2)
