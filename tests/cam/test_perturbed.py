"""Score-CAM and Ablation-CAM through a tail, beside plain loops over pictures and channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dff_onnx.arrays import namespace_of
from dff_onnx.cam import perturbed
from dff_onnx.cam.ablation import ablation_weights, head_ablation
from dff_onnx.cam.gradient import gradient_map
from dff_onnx.cam.score import score_weights
from dff_onnx.errors import ArrayError
from dff_onnx.linear_head import LinearHead

CLASSES = np.array([[1, 3], [0, 2], [3, 3]])
RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(0, 1, (7, 5)), RNG.normal(0, 1, (4, 7))


def tail(features: Any) -> Any:
    """Two layers with a ReLU, a maximum over the places between them: nothing linear."""
    xp = namespace_of(features)
    hidden = np.einsum("kc,nchw->nkhw", FIRST, features)
    return xp.max(np.maximum(hidden, 0), axis=(2, 3)) @ SECOND.T + 0.5


def activations(seed: int = 0) -> Any:
    A = np.maximum(np.random.default_rng(seed).normal(0.2, 1, (3, 4, 3, 5)), 0)
    A[1, :, :, 2] = 0  # a channel that is silent in one picture
    A[2, :, :, 4] = 0.7  # and one that is the same everywhere
    return A


def one(features: Any, wanted: int) -> float:
    """The score of one picture (h, w, c)."""
    return float(tail(features.transpose(2, 0, 1)[None])[0, wanted])


def by_loops(A: Any, method: str) -> Any:
    found = np.zeros((3, 2, 5))
    for i, picture in enumerate(A):
        for j, wanted in enumerate(CLASSES[i]):
            for k in range(5):
                changed = picture.copy()
                if method == "ablation":
                    changed[:, :, k] = 0
                    found[i, j, k] = (one(picture, wanted) - one(changed, wanted)) / abs(one(picture, wanted))
                else:
                    channel = picture[:, :, k]
                    spread = channel.max() - channel.min()
                    mask = (channel - channel.min()) / spread if spread else 0 * channel
                    found[i, j, k] = one(picture * mask[:, :, None], wanted) - one(0 * picture, wanted)
            if method == "score":
                found[i, j] = np.exp(found[i, j]) / np.exp(found[i, j]).sum()
    return found


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_score_cam_is_a_softmax_over_what_each_masked_picture_gains(batch: int) -> None:
    A = activations()
    found = score_weights(A, tail, CLASSES, batch)
    np.testing.assert_allclose(found, by_loops(A, "score"), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=2), 1)
    assert gradient_map(A, found).shape == (3, 2, 4, 3)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_ablation_cam_is_the_share_of_the_score_that_a_channel_holds(batch: int) -> None:
    A = activations()
    found = ablation_weights(A, tail, CLASSES, batch)
    np.testing.assert_allclose(found, by_loops(A, "ablation"), atol=1e-12)
    assert not found[1, :, 2].any()


def test_all_classes_of_a_picture_share_its_runs_and_silent_channels_are_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def counting(features: Any) -> Any:
        sizes.append(len(features))
        return tail(features)

    monkeypatch.setattr(perturbed, "MOST_NUMBERS", 4 * 3 * 5 * 2)
    ablation_weights(activations(), counting, CLASSES)
    assert sizes == [3, 2, 2, 1, 2, 2, 2, 2, 1]


def test_a_negative_score_does_not_turn_the_weights_around() -> None:
    head, A = LinearHead(np.array([[1.0, -3.0]]), np.zeros(1)), np.array([[[[2.0, 3.0]]]])

    def score(features: Any) -> Any:
        return head.scores(np.moveaxis(features, 1, -1))

    for weights in (head_ablation(A, head, np.array([[0]])), ablation_weights(A, score, np.array([[0]]))):
        np.testing.assert_allclose(weights, [[[2 / 7, -9 / 7]]])


def test_a_score_of_nothing_leaves_finite_weights() -> None:
    A = activations()
    balanced = LinearHead(np.array([[1.0, -1, 0, 0, 0]]), np.zeros(1))
    A[..., 1] = A[..., 0]
    found = head_ablation(A, balanced, np.zeros((3, 1), np.intp))
    assert np.isfinite(found).all() and found[0, 0, 0] > 0 > found[0, 0, 1]
    nothing = ablation_weights(0 * A, lambda features: np.zeros((len(features), 4)), CLASSES)
    assert not nothing.any()


@pytest.mark.parametrize(
    "options",
    [{"pool": "mean"}, {"pool": "sum"}, {"pool": "max"}, {"rectified": True}, {"unit": True}],
)
def test_a_linear_heads_ablation_needs_no_runs(options: dict[str, Any]) -> None:
    A, head = activations(), LinearHead(SECOND[:, :5], np.linspace(-1, 1, 4), **options)
    loops = ablation_weights(A, lambda f: head.scores(f.transpose(0, 2, 3, 1)), CLASSES)
    np.testing.assert_allclose(head_ablation(A, head, CLASSES), loops, atol=1e-12)


def test_for_a_positive_score_of_a_pooled_linear_head_the_map_is_that_of_weighted_channels() -> None:
    A, head = activations(), LinearHead(np.abs(SECOND[:, :5]), np.zeros(4))
    share = head.weights[CLASSES] * A.mean(axis=(1, 2))[:, None, :]
    expected = share / share.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(head_ablation(A, head, CLASSES), expected)


def test_classes_that_the_tail_does_not_have_are_refused() -> None:
    A = activations()
    for run in (score_weights, ablation_weights):
        with pytest.raises(ArrayError, match="the tail has 0 to 3, not 0 to 4"):
            run(A, tail, np.array([[0], [4], [1]]))
        with pytest.raises(ArrayError, match=r"\(n, m\) numbers for 3 pictures are needed, found \(3,\)"):
            run(A, tail, np.array([0, 1, 2]))
