"""Feature saliency: its definition cell by cell, PyTorch's operators, black pictures, a foreign device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home

from dff_onnx.errors import ArrayError
from dff_onnx.retrieval import crow
from dff_onnx.retrieval.saliency import feature_saliency, sparsity_weights, unit_peak


def activations(shape: tuple[int, ...] = (3, 6, 5, 4), seed: int = 0) -> Any:
    return np.maximum(np.random.default_rng(seed).normal(-0.3, 1, shape), 0)


def by_loop(X: Any) -> Any:
    made = []
    for picture in X:
        F = np.zeros(picture.shape[1:])
        for channel in picture:
            share = np.count_nonzero(channel) / channel.size
            weight = max(0.0, -math.log(1e-6 + share))
            for y, x in np.ndindex(*F.shape):
                F[y, x] += weight * channel[y, x]
        made.append(F / F.max() if F.max() > 0 else F)
    return np.array(made)


def test_maps_are_the_definition_written_out() -> None:
    X = activations()
    X[1, 2] = 0
    np.testing.assert_allclose(feature_saliency(X), by_loop(X), rtol=1e-12)


def test_a_channel_that_is_active_everywhere_has_no_weight_and_a_rare_one_has_much() -> None:
    X = np.zeros((1, 4, 2, 5))
    X[0, 0], X[0, 1, 0, 0], X[0, 2, 0] = 5, 0.1, 2
    np.testing.assert_allclose(
        sparsity_weights(X), [[0, -math.log(0.1 + 1e-6), -math.log(0.5 + 1e-6), -math.log(1e-6)]]
    )


def test_weights_are_crows_less_a_constant() -> None:
    X = activations()
    assert (X > 0).any(axis=(2, 3)).all() and not (X > 0).all(axis=(2, 3)).any()
    shares = (X > 0).mean(axis=(2, 3))
    spatial = np.sqrt(X.sum(axis=1) / np.linalg.norm(X.sum(axis=1), axis=(1, 2))[:, None, None])
    rarity = crow(X) / (X * spatial[:, None]).sum(axis=(2, 3))
    np.testing.assert_allclose(rarity - np.log(shares.sum(axis=1))[:, None], sparsity_weights(X), atol=1e-4)


def test_a_black_picture_gives_zeros_beside_pictures_that_do_not() -> None:
    X = activations()
    X[1] = 0
    maps = feature_saliency(X)
    assert not maps[1].any() and np.isfinite(maps).all()
    assert maps[[0, 2]].max(axis=(1, 2)).tolist() == [1, 1]


def test_a_picture_whose_channels_are_active_everywhere_has_nothing_salient() -> None:
    assert not feature_saliency(activations() + 1).any()


def test_maps_follow_neither_scale_nor_order_of_channels_and_pictures_are_alone() -> None:
    X = activations()
    expected = feature_saliency(X)
    np.testing.assert_allclose(feature_saliency(X * 1e12), expected, rtol=1e-12)
    np.testing.assert_allclose(feature_saliency(X[:, ::-1]), expected, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([feature_saliency(X[i : i + 1]) for i in range(3)]), expected, rtol=1e-12)


def test_maps_turn_with_the_picture() -> None:
    X = activations()
    np.testing.assert_allclose(feature_saliency(X[..., ::-1, :]), feature_saliency(X)[..., ::-1, :], rtol=1e-12)


def test_half_precision_is_added_in_single() -> None:
    X = (activations((1, 300, 9, 9)) * 1000).astype(np.float16)  # whose sums no float16 holds
    assert feature_saliency(X).dtype == np.float32
    np.testing.assert_allclose(feature_saliency(X), feature_saliency(X.astype(np.float64)), atol=1e-5)


def test_it_runs_on_a_foreign_device() -> None:
    X = activations()
    np.testing.assert_allclose(home(feature_saliency(away(X))), feature_saliency(X), rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4, 4), (1, 3, 0, 4)])
def test_other_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(ArrayError, match="are needed"):
        feature_saliency(np.zeros(shape))


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(ArrayError, match=r"maps \(n, h, w\) are needed"):
        unit_peak(np.zeros((3, 4)))


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_maps_are_pytorchs() -> None:
    import torch

    X = activations((4, 64, 14, 11)).astype(np.float32)
    x = torch.from_numpy(X)
    weights = torch.clamp(-torch.log(1e-6 + (x > 0).float().mean(dim=(2, 3))), min=0)
    F = torch.einsum("nk,nkhw->nhw", weights, x)
    expected = F / F.amax(dim=(1, 2), keepdim=True)
    np.testing.assert_allclose(feature_saliency(X), expected.numpy(), atol=2e-6)
