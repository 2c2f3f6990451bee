"""DFF descriptors: the definition written out, and what must not change them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from foreign_arrays import away, home
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization import factorize
from dff_onnx.retrieval import (
    Whitening,
    concept_descriptors,
    concept_vectors,
    energy_shares,
    learn_whitening,
    normalized,
    rmac,
)
from dff_onnx.retrieval.concept_descriptors import Size, Weights

OPTIONS = [{"weights": weights, "size": size} for weights in get_args(Weights) for size in get_args(Size)]
EVERY = pytest.mark.parametrize("options", OPTIONS, ids=str)


def factors(seed: int = 0, k: int = 4, c: int = 9, cells: int = 20) -> Any:
    rng = np.random.default_rng(seed)
    return rng.gamma(0.5, 1, (k, c)) + 1e-3, rng.gamma(0.5, 1, (cells, k)) + 1e-3


def learnt(size: str = "unit", c: int = 9) -> Whitening:
    parts = [concept_vectors(*factors(seed, c=c), size) for seed in range(1, 20)]  # type: ignore[arg-type]
    return learn_whitening(np.concatenate(parts), 5)


def by_loop(W: Any, H: Any, whitening: Any, weights: str, size: str) -> Any:
    energy = np.array([(H[:, j] ** 2).sum() * (W[j] ** 2).sum() for j in range(len(W))])
    total, parts = 0, []
    for j, concept in enumerate(W):
        u = concept * H[:, j].max() if size == "peak" else concept / np.linalg.norm(concept)
        u = whitening.projection @ (u - whitening.mean) if whitening else u
        parts.append(u / np.linalg.norm(u))
        share = energy[j] / energy.sum()
        total = total + parts[-1] * {"equal": 1, "energy": share, "root": share**0.5}[weights]
    return total / np.linalg.norm(total), np.array(parts)


@EVERY
@pytest.mark.parametrize("whitened", [False, True])
def test_descriptors_are_the_definition_written_out(options: Any, whitened: bool) -> None:
    W, H = factors()
    whitening = learnt(options["size"]) if whitened else None
    made = concept_descriptors(W, H, whitening, **options)
    image, concepts = by_loop(W, H, whitening, **options)
    np.testing.assert_allclose(made.image, image, rtol=1e-9)
    np.testing.assert_allclose(made.concepts, concepts, rtol=1e-9)


def test_shares_are_those_of_the_energy_of_a_factorization() -> None:
    A = np.random.default_rng(0).gamma(0.3, 1, (60, 12))
    found = factorize(A, 3)
    np.testing.assert_allclose(energy_shares(found.W, found.H), np.array(found.energy) / sum(found.energy), rtol=1e-5)
    np.testing.assert_allclose(energy_shares(1e-9 * found.W, found.H), energy_shares(found.W, found.H))
    assert concept_descriptors(found.W, found.H).shares.sum() == pytest.approx(1)


def test_weights_are_equal_by_energy_or_by_its_root() -> None:
    W, H = np.eye(2), np.array([[3.0, 0.0], [0.0, 1.0]])  # energies 9 and 1
    for weights, expected in (("equal", [1, 1]), ("energy", [9, 1]), ("root", [3, 1])):
        made = concept_descriptors(W, H, weights=weights).image  # type: ignore[arg-type]
        np.testing.assert_allclose(made, np.array(expected) / np.linalg.norm(expected))


def test_size_matters_to_a_whitening_alone() -> None:
    W, H = factors()
    unit, peak = concept_descriptors(W, H, size="unit"), concept_descriptors(W, H, size="peak")
    np.testing.assert_allclose(peak.image, unit.image, rtol=1e-9)
    whitening = learnt()
    apart = concept_descriptors(W, H, whitening).image - concept_descriptors(W, H, whitening, size="peak").image
    assert np.abs(apart).max() > 0.05


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    k=st.integers(1, 6),
    scales=st.lists(st.floats(1e-6, 1e6), min_size=6, max_size=6),
    options=st.sampled_from(OPTIONS),
    whitened=st.booleans(),
)
def test_order_scale_and_places_of_concepts_do_not_matter(
    seed: int, k: int, scales: list[float], options: Any, whitened: bool
) -> None:
    W, H = factors(seed, k)
    whitening = learnt(options["size"]) if whitened else None
    s, rng = np.array(scales)[:k], np.random.default_rng(seed)
    order, places = rng.permutation(k), rng.permutation(len(H))
    ours = concept_descriptors(W, H, whitening, **options)
    theirs = concept_descriptors((W * s[:, None])[order], (H / s)[places][:, order], whitening, **options)
    np.testing.assert_allclose(theirs.image, ours.image, atol=1e-9)
    np.testing.assert_allclose(theirs.concepts, ours.concepts[order], atol=1e-9)
    np.testing.assert_allclose(theirs.shares, ours.shares[order], atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from(OPTIONS))
def test_one_concept_is_the_first_singular_vector(seed: int, options: Any) -> None:
    A = np.random.default_rng(seed).gamma(0.5, 1, (49, 8)) + 0.01
    found = factorize(A, 1)
    first = np.abs(np.linalg.svd(A)[2][0])
    np.testing.assert_allclose(concept_descriptors(found.W, found.H, **options).image, first, atol=1e-5)


def test_one_concept_a_square_would_be_r_mac() -> None:
    X = np.maximum(np.random.default_rng(0).normal(0, 1, (1, 5, 6, 6)), 0)
    halves = np.stack([X[0, :, y : y + 4, x : x + 4].max(axis=(1, 2)) for y in (0, 2) for x in (0, 2)])
    W = np.concatenate([X[0].max(axis=(1, 2))[None], halves])
    np.testing.assert_allclose(concept_descriptors(W, np.ones((36, 5))).image, rmac(X, 2)[0], rtol=1e-9)


@EVERY
@pytest.mark.parametrize("whitened", [False, True])
def test_a_concept_that_nothing_uses_says_nothing(options: Any, whitened: bool) -> None:
    W, H = factors()
    whitening = learnt(options["size"]) if whitened else None
    without = concept_descriptors(W[:3], H[:, :3], whitening, **options)
    for gone in ("W", "H"):
        nowhere, unused = W.copy(), H.copy()
        if gone == "W":
            nowhere[3] = 0
        else:
            unused[:, 3] = 0
        made = concept_descriptors(nowhere, unused, whitening, **options)
        np.testing.assert_allclose(made.image, without.image, rtol=1e-9)
        assert not made.concepts[3].any() and made.shares[3] == 0


@EVERY
@pytest.mark.parametrize("whitened", [False, True])
def test_a_picture_of_zeros_has_vectors_of_zeros(options: Any, whitened: bool) -> None:
    whitening = learnt(options["size"]) if whitened else None
    made = concept_descriptors(np.zeros((4, 9)), np.zeros((20, 4)), whitening, **options)
    assert not made.image.any() and not made.concepts.any() and not made.shares.any()
    assert made.image.shape == ((5,) if whitened else (9,))


def test_vectors_have_the_type_of_the_concepts_and_extreme_scales_are_no_matter() -> None:
    W, H = (factor.astype(np.float32) for factor in factors())
    expected = concept_descriptors(W, H)
    assert expected.image.dtype == expected.concepts.dtype == np.float32
    for scale in (1e-30, 1e15):
        made = concept_descriptors(W * np.float32(scale), H * np.float32(scale), weights="equal")
        np.testing.assert_allclose(made.image, expected.image, rtol=1e-5)


@EVERY
def test_it_runs_on_a_foreign_device(options: Any) -> None:
    W, H = factors()
    whitening = learnt(options["size"])
    ours = concept_descriptors(W, H, whitening, **options)
    theirs = concept_descriptors(away(W), away(H), whitening, **options)
    for name in ("image", "concepts", "shares"):
        np.testing.assert_allclose(home(getattr(theirs, name)), getattr(ours, name), atol=1e-9)


@pytest.mark.parametrize("shapes", [((4, 9), (20, 3)), ((4,), (20, 4)), ((0, 9), (20, 0)), ((4, 9), (0, 4))])
def test_factors_that_do_not_belong_together_are_refused(shapes: Any) -> None:
    for function in (concept_descriptors, concept_vectors, energy_shares):
        with pytest.raises(ArrayError, match=r"concepts W \(k, c\) and coefficients H \(cells, k\) are needed"):
            function(np.ones(shapes[0]), np.ones(shapes[1]))


def test_weights_and_sizes_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="'most' is not one of equal, energy, root"):
        concept_descriptors(*factors(), weights="most")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'large' is not one of unit, peak"):
        concept_descriptors(*factors(), size="large")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
@EVERY
def test_descriptors_are_pytorchs(options: Any) -> None:
    import torch
    from torch.nn.functional import normalize

    W, H = (factor.astype(np.float32) for factor in factors())
    whitening = learnt(options["size"])
    w, h, m, P = (torch.from_numpy(np.float32(x)) for x in (W, H, whitening.mean, whitening.projection))
    u = w * h.max(dim=0).values[:, None] if options["size"] == "peak" else normalize(w, dim=1)
    u = normalize((u - m) @ P.T, dim=1)
    energy = (h**2).sum(dim=0) * (w**2).sum(dim=1)
    heights = {"equal": torch.ones(4), "energy": energy, "root": energy.sqrt()}[options["weights"]]
    expected = normalize((heights[:, None] * u).sum(dim=0), dim=0).numpy()
    np.testing.assert_allclose(concept_descriptors(W, H, whitening, **options).image, expected, atol=1e-5)
    assert normalized(expected[None]) == pytest.approx(expected[None], abs=1e-6)
