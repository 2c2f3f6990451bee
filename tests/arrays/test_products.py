from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest

from dff_onnx.arrays.products import rows_times, times_rows


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 2048, 2000])
@pytest.mark.parametrize("k", [1, 5, 33])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slabs_give_the_products(rows: int, k: int, dtype: Any) -> None:
    rng = np.random.default_rng(rows + k)
    A_b, Wt, Ht_b = rng.random((rows, 40)), rng.random((40, k)), rng.random((k, rows))
    exact = (A_b @ Wt).T, Ht_b @ A_b
    A_b, Wt, Ht_b = (part.astype(dtype) for part in (A_b, Wt, Ht_b))
    for ours, theirs in zip((rows_times(A_b, Wt), times_rows(Ht_b, A_b)), exact, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5 if dtype == np.float32 else 1e-13)
    strict = [array_api_strict.asarray(part) for part in (A_b, Wt, Ht_b)]
    np.testing.assert_allclose(np.asarray(rows_times(*strict[:2])), exact[0], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(times_rows(strict[2], strict[0])), exact[1], rtol=1e-5)
