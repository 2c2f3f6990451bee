"""Float16 made float32."""

from __future__ import annotations

import numpy as np
import pytest

from dff_onnx.arrays.halves import widen


def test_every_finite_half_becomes_the_same_number() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 2)
    found = widen(finite, np.empty(finite.shape, np.float32))
    assert (found == finite.astype(np.float32)).all() and (np.signbit(found) == np.signbit(finite)).all()


@pytest.mark.parametrize("make", [lambda a: a.astype(">f2"), lambda a: a[:, ::2], lambda a: a.astype(np.float32)])
def test_other_types_and_orders_are_copied(make) -> None:
    values = make(np.random.default_rng(0).standard_normal((5, 8)).astype(np.float16))
    assert (widen(values, np.empty(values.shape, np.float32)) == values).all()
