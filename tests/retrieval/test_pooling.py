"""Pooled activations: figures worked by hand, loops that are written out, PyTorch's operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import crow, gem, mac, normalized, spoc, ucrow

POOLINGS: dict[str, Any] = {
    "mac": mac,
    "spoc": spoc,
    "spoc centred": lambda X: spoc(X, centred=True),
    "gem": gem,
    "gem 7": lambda X: gem(X, 7),
    "crow": crow,
    "ucrow": ucrow,
}
EVERY = pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)


def activations(shape: tuple[int, ...] = (3, 6, 5, 4), seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(0, 1, shape), 0)


def crow_by_loop(X: Any) -> Any:
    """One picture after the other, as the released code goes about it."""
    made = []
    for picture in X:
        strength = picture.sum(axis=0)
        spatial = (strength / (strength**2).sum() ** 0.5) ** 0.5
        shares = [np.count_nonzero(channel) / channel.size for channel in picture]
        rarity = [math.log(sum(shares) / share) if share else 0.0 for share in shares]
        made.append([(channel * spatial).sum() * r for channel, r in zip(picture, rarity, strict=True)])
    return np.array(made)


def test_poolings_are_figures_worked_by_hand() -> None:
    X = np.array([[[[1.0, 2.0], [3.0, 2.0]], [[0.0, 4.0], [0.0, 0.0]]]])
    assert mac(X).tolist() == [[3, 4]]
    assert spoc(X).tolist() == [[2, 1]]
    assert ucrow(X).tolist() == [[8, 4]]
    np.testing.assert_allclose(gem(X), [[11 ** (1 / 3), 16 ** (1 / 3)]])
    # S = 1 6 3 2, of length sqrt(50); active shares 1 and 1/4.
    spatial = np.sqrt(np.array([1, 6, 3, 2]) / 50**0.5)
    expected = [math.log(1.25) * (spatial @ [1, 2, 3, 2]), math.log(5) * (spatial @ [0, 4, 0, 0])]
    np.testing.assert_allclose(crow(X), [expected])


def test_crow_is_the_released_loop() -> None:
    X = activations()
    X[1, 2] = 0
    np.testing.assert_allclose(crow(X), crow_by_loop(X), rtol=1e-12)


def test_the_centre_prior_falls_to_a_hundredth_at_the_nearest_border() -> None:
    # Along the shorter side the border is three standard deviations away.
    height, width = 9, 15
    X = np.zeros((1, height * width, height, width))
    X[0, np.arange(height * width), np.repeat(np.arange(height), width), np.tile(np.arange(width), height)] = 1
    prior = spoc(X, centred=True).reshape(height, width)
    assert prior.sum() == pytest.approx(1)
    assert np.unravel_index(prior.argmax(), prior.shape) == (4, 7)
    np.testing.assert_allclose(prior, prior[::-1, ::-1])
    np.testing.assert_allclose(prior / prior[4, 7], [[math.exp(-((y - 4) ** 2 + (x - 7) ** 2) / (2 * 1.5**2))
                                                      for x in range(width)] for y in range(height)])  # fmt: skip


def test_the_generalised_mean_lies_between_the_mean_and_the_maximum() -> None:
    X = activations()
    np.testing.assert_allclose(gem(X, 1), spoc(X), rtol=1e-12)
    np.testing.assert_allclose(gem(X, 2), np.sqrt((X**2).mean(axis=(2, 3))), rtol=1e-12)
    np.testing.assert_allclose(gem(X, 2000), mac(X), rtol=0.002)
    assert (spoc(X) <= gem(X)).all() and (gem(X) <= mac(X)).all()


def test_large_activations_and_exponents_stay_in_range() -> None:
    X = (activations() * 1e10).astype(np.float32)
    np.testing.assert_allclose(gem(X, 30), gem(X.astype(np.float64), 30), rtol=1e-5)


@EVERY
def test_a_picture_of_zeros_becomes_zeros(pool: Any) -> None:
    X = activations()
    X[1] = 0
    made = pool(X)
    assert made.shape == (3, 6) and np.isfinite(made).all()
    assert made[1].tolist() == [0] * 6 and made[0].any()


@EVERY
def test_pictures_are_pooled_alone_and_channels_keep_their_order(pool: Any) -> None:
    X = activations()
    np.testing.assert_allclose(np.concatenate([pool(X[i : i + 1]) for i in range(3)]), pool(X), rtol=1e-12)
    np.testing.assert_allclose(pool(X[:, ::-1]), pool(X)[:, ::-1], rtol=1e-12)


@EVERY
def test_poolings_follow_the_scale_of_activations(pool: Any) -> None:
    X = activations()
    np.testing.assert_allclose(pool(X * 7), pool(X) * 7, rtol=1e-12)


@EVERY
def test_half_precision_is_pooled_in_single(pool: Any) -> None:
    X = (activations((1, 3, 40, 40)) * 100).astype(np.float16)  # whose sums no float16 holds
    assert pool(X).dtype == np.float32
    assert pool(X.astype(np.float64)).dtype == np.float64
    np.testing.assert_allclose(pool(X), pool(X.astype(np.float64)), rtol=1e-5)


@EVERY
def test_poolings_run_on_a_foreign_device(pool: Any) -> None:
    X = activations()
    np.testing.assert_allclose(home(normalized(pool(away(X)))), normalized(pool(X)), rtol=1e-9)


@EVERY
@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4, 4), (1, 3, 0, 4)])
def test_other_shapes_are_refused(pool: Any, shape: Any) -> None:
    with pytest.raises(ArrayError, match=r"activations \(n, c, h, w\) are needed"):
        pool(np.zeros(shape))


@pytest.mark.parametrize("p", [0, -1, math.nan, math.inf])
def test_exponents_that_are_none_are_refused(p: float) -> None:
    with pytest.raises(UsageError, match="a finite exponent above 0"):
        gem(activations(), p)


def test_rows_come_to_unit_length_but_those_too_short_to_mean_anything() -> None:
    V = np.array([[3.0, -4.0], [0.0, 0.0], [0.0, 1e-7], [3e-6, 4e-6]])
    np.testing.assert_allclose(normalized(V), [[0.6, -0.8], [0, 0], [0, 0.1], [0.6, 0.8]])
    assert normalized(V.astype(np.float16)).dtype == np.float32


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_poolings_are_pytorchs() -> None:
    import torch
    import torch.nn.functional as F  # noqa: N812

    X = activations((4, 32, 14, 11)).astype(np.float32)
    x = torch.from_numpy(X)
    theirs = {
        "mac": F.max_pool2d(x, x.shape[-2:])[..., 0, 0],
        "spoc": F.avg_pool2d(x, x.shape[-2:])[..., 0, 0],
        "gem": F.avg_pool2d(x.clamp(min=1e-6).pow(3), x.shape[-2:]).pow(1 / 3)[..., 0, 0],
        "gem 7": F.avg_pool2d(x.clamp(min=1e-6).pow(7), x.shape[-2:]).pow(1 / 7)[..., 0, 0],
        "ucrow": x.sum(dim=(2, 3)),
    }
    for name, expected in theirs.items():
        np.testing.assert_allclose(normalized(POOLINGS[name](X)), F.normalize(expected, dim=1).numpy(), atol=1e-5)
        # cirtorch adds its epsilon where PyTorch, and we, take the larger.
        added = expected / (expected.norm(dim=1, keepdim=True) + 1e-6)
        np.testing.assert_allclose(normalized(POOLINGS[name](X)), added.numpy(), atol=1e-5)
