"""COCO's run lengths, byte for byte those of pycocotools."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from dff_onnx.errors import ArrayError, DatasetError
from dff_onnx.report.coco_masks import Rle, counts_of, mask_of, rle


def theirs(mask: NDArray[np.bool_]) -> dict[str, Any]:
    coded = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(coded["size"]), "counts": coded["counts"].decode()}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.integers(1, 70), st.integers(1, 70), st.sampled_from([0, 1e-3, 0.05, 0.5, 0.95, 0.999, 1]), st.integers(0, 99)
)
def test_the_text_is_pycocotools_byte_for_byte(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    coded = rle(mask)
    assert coded == theirs(mask)
    np.testing.assert_array_equal(mask_of(coded), mask)


def test_large_masks_of_blobs_have_long_runs() -> None:
    y, x = np.mgrid[:1500, :2000]
    mask = (x - 900) ** 2 + (y - 700) ** 2 < 600**2
    mask |= (x > 1990) & (y > 3)
    coded = rle(mask)
    assert coded == theirs(mask) and json.loads(json.dumps(coded)) == coded
    np.testing.assert_array_equal(mask_of(coded), mask)


@pytest.mark.parametrize("gap", [2**k + d for k in (4, 5, 9, 10, 14, 15, 19, 20, 24) for d in (-1, 0, 1)])
def test_runs_at_the_border_of_another_character(gap: int) -> None:
    mask = np.zeros((2 * gap + 7, 1), np.bool_)
    mask[[0, gap, gap + 1, 2 * gap + 5]] = True  # runs that grow and shrink by the gap
    assert rle(mask) == theirs(mask)
    np.testing.assert_array_equal(mask_of(rle(mask)), mask)


def test_a_view_in_any_order_of_memory_is_read_as_it_looks() -> None:
    mask = np.random.default_rng(0).random((31, 17)) < 0.4
    assert rle(mask.T) == theirs(mask.T) and rle(mask[::-2, 1::3]) == theirs(mask[::-2, 1::3])


def test_no_pixels_are_one_empty_run() -> None:
    empty = np.zeros((0, 5), np.bool_)
    assert counts_of(rle(empty)["counts"]).tolist() == [0] and mask_of(rle(empty)).shape == (0, 5)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools is older than NumPy 2
def test_pycocotools_reads_what_we_write() -> None:
    mask = np.random.default_rng(1).random((40, 50)) < 0.3
    coded = rle(mask)
    np.testing.assert_array_equal(coco.decode(dict(coded)), mask)
    assert coco.area(dict(coded)) == mask.sum()


DAMAGED: dict[str, Rle] = {
    "empty": {"size": [2, 2], "counts": ""},
    "an odd character": {"size": [2, 2], "counts": "2 2"},
    "not of ASCII": {"size": [2, 2], "counts": "2é"},
    "ends inside a run": {"size": [2, 2], "counts": "2o"},
    "a run without end": {"size": [2, 2], "counts": "o" * 40 + "0"},
    "too few pixels": {"size": [3, 2], "counts": "22"},
    "too many pixels": {"size": [1, 2], "counts": "22"},
    "a negative run": {"size": [2, 1], "counts": "O4O"},
    "a negative side": {"size": [-2, -2], "counts": "22"},
    "more than memory": {"size": [2**20, 2**20], "counts": "0"},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_runs_are_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="mask"):
        mask_of(DAMAGED[name])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("0123OPQo_nm12", max_size=24), st.integers(0, 40), st.integers(0, 40))
def test_any_text_gives_a_mask_or_our_error(text: str, height: int, width: int) -> None:
    try:
        mask = mask_of({"size": [height, width], "counts": text})
    except DatasetError:
        return
    assert mask.shape == (height, width)


@pytest.mark.parametrize("mask", [np.ones(4, np.bool_), np.ones((2, 2), np.uint8), np.ones((1, 2, 2), np.bool_)])
def test_what_is_no_mask_is_refused(mask: NDArray[Any]) -> None:
    with pytest.raises(ArrayError, match=r"boolean \(H, W\)"):
        rle(mask)
