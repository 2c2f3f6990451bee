"""What NumPy finds, CuPy finds; exact scores to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dff_onnx.arrays import cuda_present
from dff_onnx.retrieval import concept_descriptors, crow, gem, learn_whitening, normalized, rank, rmac

pytestmark = pytest.mark.gpu


@pytest.fixture
def cupy() -> Any:
    if not cuda_present():
        pytest.skip("needs CuPy and a CUDA device: pip install 'dff-onnx[cuda]'")
    return pytest.importorskip("cupy")


def vectors(n: int, dtype: Any = np.float32) -> Any:
    return normalized(np.random.default_rng(0).normal(0, 1, (n, 512))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("twins", [False, True])
def test_rankings_are_those_of_numpy_to_the_bit_wherever_the_blocks_lie(cupy: Any, dtype: Any, twins: bool) -> None:
    V = vectors(20_000, dtype)
    V[10_000:] = V[:10_000] if twins else V[10_000:]
    ours = rank(V[:30], V, 50)
    for blocks in (cupy.asarray(V), [V[:7000], V[7000:]]):
        theirs = rank(cupy.asarray(V[:30]), blocks, 50)
        assert theirs.scores.get().tobytes() == ours.scores.tobytes()
        assert theirs.indices.get().tobytes() == ours.indices.tobytes()


@pytest.mark.parametrize("pool", [rmac, gem, crow])
def test_descriptors_are_those_of_numpy(cupy: Any, pool: Any) -> None:
    X = np.maximum(np.random.default_rng(0).normal(0, 1, (4, 64, 14, 20)), 0).astype(np.float32)
    np.testing.assert_allclose(normalized(pool(cupy.asarray(X))).get(), normalized(pool(X)), atol=1e-5)


def test_whitened_concepts_are_those_of_numpy(cupy: Any) -> None:
    rng = np.random.default_rng(0)
    W, H, V = rng.random((4, 64)), rng.random((196, 4)), rng.random((500, 64))
    ours = concept_descriptors(W, H, learn_whitening(V, 32))
    theirs = concept_descriptors(*map(cupy.asarray, (W, H)), learn_whitening(cupy.asarray(V), 32))
    np.testing.assert_allclose(theirs.image.get(), ours.image, atol=1e-6)
    np.testing.assert_allclose(theirs.concepts.get(), ours.concepts, atol=1e-6)
