"""The factorization inside a graph, beside Python's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs import model_of, run
from numpy.typing import NDArray

from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.matching import match
from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.fit import add_fit
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.factorization import factorize
from dff_onnx.images import Resize, read_picture
from dff_onnx.maps import upsample

Floats = NDArray[np.float32]
OUTPUTS = ("concepts", "coefficients", "heatmaps", "scores", "loss")


def planted(n: int, k: int, seed: int = 0, noise: float = 0.1) -> Floats:
    """Activations `(n, 40, 7, 8)` of so many concepts, each in patches."""
    rng = np.random.default_rng(seed)
    W = rng.gamma(0.3, size=(k, 40))
    H = upsample(rng.gamma(0.2, size=(n, k, 3, 3)).astype(np.float32), 7, 8)
    mixed = np.einsum("nkhw,kc->nchw", H, W)
    return (mixed + noise * mixed.mean() * rng.gamma(1, size=mixed.shape)).astype(np.float32)


def fitted(A: Floats, k: int, size: tuple[int, int] = (64, 80)) -> list[Floats]:
    nodes = Nodes()
    add_fit(nodes, k, "A", Picture.of(nodes, "image", "A"))
    return run(nodes, {"A": A, "image": np.zeros((len(A), *size, 3), np.uint8)}, *OUTPUTS)


def rows(A: Floats) -> Floats:
    return A.transpose(0, 2, 3, 1).reshape(-1, A.shape[1])


@pytest.mark.parametrize("n", [1, 6, 30])
@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_it_reaches_the_loss_of_the_python_solver(n: int, k: int) -> None:
    A = planted(n, 8, seed=n)
    W, H, _, _, loss = fitted(A, k)
    ours = factorize(rows(A), k)
    assert float(loss) <= ours.loss * 1.001 + 1e-6
    left = ((rows(A) - rows(H) @ W) ** 2).sum() / (A**2).sum()
    assert float(loss) == pytest.approx(left, abs=1e-5)


def test_planted_concepts_are_found_by_energy_and_at_unit_length() -> None:
    A = planted(12, 4, noise=0.01)
    W, H, maps, scores, _ = fitted(A, 4)
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1, atol=1e-5)
    energy = (H**2).sum(axis=(0, 2, 3))
    assert (np.diff(energy) <= 0).all() and (W >= 0).all() and (H >= 0).all()
    assert min(one.cosine for one in match(np.asarray(factorize(rows(A), 4).W), W)) > 0.999
    relative = H / H.max(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(maps, upsample(relative, 64, 80), atol=1e-5)
    np.testing.assert_allclose(scores, relative.max(axis=(2, 3)), atol=1e-6)


def test_the_same_pictures_give_the_same_figures() -> None:
    A = planted(4, 3)
    for one, other in zip(fitted(A, 3), fitted(A, 3), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_the_activations_does_not_matter(scale: float) -> None:
    A = planted(5, 3)
    assert float(fitted(A * np.float32(scale), 3)[4]) == pytest.approx(float(fitted(A, 3)[4]), rel=1e-3)


def test_pictures_without_anything_give_zeros_and_no_nan() -> None:
    for values in fitted(np.zeros((2, 40, 7, 8), np.float32), 3):
        assert np.isfinite(values).all()
    W, H, *_ = fitted(np.concatenate([planted(3, 2), np.zeros((1, 40, 7, 8), np.float32)]), 2)
    assert (H[-1] == 0).all() and np.isfinite(W).all()


@pytest.mark.slow
@pytest.mark.parametrize("k", range(1, 7))
def test_on_real_pictures_it_is_as_good_as_the_python_solver(k: int, real_data: Path) -> None:
    """Six pictures of each group of iCoseg, and all of a group of thirty and more."""
    backbone = Backbone.open(real_data / "models" / "squeezenet1_1.onnx", "/fires.7/Concat_output_0", threads=1)
    nodes = Nodes()
    add_fit(nodes, k, "A", Picture.of(nodes, "image", "A"))
    image = np.zeros((1, 64, 64, 3), np.uint8)
    session = create_session(
        model_of(nodes, {"A": np.zeros((1, 1, 1, 1), np.float32), "image": image}, ["loss"]).SerializeToString(), "cpu"
    )
    groups = [sorted(folder.iterdir()) for folder in sorted((real_data / "icoseg" / "images").iterdir())]
    sets = [group[:6] for group in groups] + [group[:30] for group in groups if len(group) >= 30]
    assert len(sets) >= 23
    for paths in sets:
        A = np.concatenate([backbone(read_picture(path, Resize()).pixels[None]) for path in paths])
        [loss] = session.run(["loss"], {"A": np.ascontiguousarray(A), "image": image})
        assert float(loss) <= 1.001 * factorize(rows(A), k).loss
