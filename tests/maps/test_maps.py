from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy import ndimage

import dff_onnx.maps.percentile as percentile_file
from dff_onnx.maps import (
    heat_map,
    image_regions,
    mask,
    offsets,
    peaks,
    regions_of,
    scores,
    set_percentile,
    set_regions,
    upsample,
)
from dff_onnx.records import Box, Grid

DEVICE = array_api_strict.Device("device1")


def away(array: NDArray[Any]) -> Any:
    return array_api_strict.asarray(array, device=DEVICE)


def home(array: Any) -> NDArray[Any]:
    assert array.device == DEVICE
    return np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE")))


def onnx_resize(maps: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The same by ONNX Runtime."""
    node = helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel"
    )
    graph = helper.make_graph(
        [node],
        "resize",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *maps.shape]),
            helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sizes = np.array([1, maps.shape[0], height, width])
    result: NDArray[np.float32] = session.run(None, {"x": maps[None], "sizes": sizes})[0][0]
    return result


SIZES = [
    ((13, 13), (224, 224)),
    ((7, 9), (31, 64)),
    ((1, 1), (5, 6)),
    ((5, 1), (17, 3)),
    ((14, 14), (9, 5)),
    ((3, 3), (3, 3)),
]


@pytest.mark.parametrize(("small", "large"), SIZES)
def test_upsampling_is_onnx_resize(small: tuple[int, int], large: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).random((3, *small)).astype(np.float32)
    np.testing.assert_allclose(upsample(maps, *large), onnx_resize(maps, *large), rtol=2e-5, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("small", "large"), SIZES)
@pytest.mark.usefixtures("torch_here")
def test_upsampling_is_torchs(small: tuple[int, int], large: tuple[int, int]) -> None:
    import torch

    maps = np.random.default_rng(0).random((3, *small))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size=large, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(upsample(maps, *large), theirs[0].numpy(), rtol=1e-6, atol=1e-7)


def all_values(H: NDArray[Any], grids: list[Grid], sizes: list[Grid]) -> list[NDArray[Any]]:
    maps = [heat_map(H, start, grid) for start, grid in zip(offsets(grids), grids, strict=False)]
    large = [upsample(m, s.height, s.width).reshape(H.shape[1], -1) for m, s in zip(maps, sizes, strict=True)]
    return list(np.concatenate(large, axis=1))


def random_set(seed: int, images: int, zeros: float, mixed: bool) -> tuple[NDArray[np.float32], list[Grid], list[Grid]]:
    rng = np.random.default_rng(seed)
    grids = [Grid(*(rng.integers(1, 9, 2) if mixed else (6, 6))) for _ in range(images)]
    sizes = [Grid(grid.height * 7 + 1, grid.width * 5 + 3) for grid in grids]
    rows = sum(grid.cells for grid in grids)
    H = rng.gamma(0.5, 2, (rows, 3)) * (rng.random((rows, 3)) >= zeros)
    return H.astype(np.float32), grids, sizes


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 999),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 50.0, 75.0, 99.9, 100.0]),
)
def test_the_percentile_is_numpys_over_all_values(
    seed: int, images: int, zeros: float, mixed: bool, percent: float
) -> None:
    H, grids, sizes = random_set(seed, images, zeros, mixed)
    theirs = [np.percentile(values, percent) for values in all_values(H, grids, sizes)]
    np.testing.assert_allclose(set_percentile(H, grids, sizes, percent), theirs, rtol=3e-6, atol=1e-7)


def test_a_bracket_that_misses_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    once = percentile_file.counted
    monkeypatch.setattr(percentile_file, "counted", lambda *a: passes.append(1) or once(*a))
    monkeypatch.setattr(percentile_file, "_lattice", lambda _: np.array([0]))  # a sample of corners alone
    monkeypatch.setattr(percentile_file, "MARGIN", 1e-4)
    H, grids, sizes = random_set(3, 300, 0.2, False)
    corners = offsets(grids)[:-1]
    H[corners] *= 30  # and the corners are not like the rest
    theirs = [np.percentile(values, 75) for values in all_values(H, grids, sizes)]
    np.testing.assert_allclose(set_percentile(H, grids, sizes), theirs, rtol=3e-6)
    assert len(passes) > 1


@pytest.mark.parametrize(("zeros", "levels"), [(0.2, None), (0.9, None), (0.2, 3), (0.0, 1)])
@pytest.mark.parametrize("percent", [0.0, 10.0, 75.0, 100.0])
def test_a_set_too_large_to_keep_gives_the_same_percentile_from_histograms(
    monkeypatch: pytest.MonkeyPatch, zeros: float, levels: int | None, percent: float
) -> None:
    H, grids, sizes = random_set(5, 40, zeros, True)
    if levels is not None:  # ties, which no narrowing can tell apart
        H = np.ceil(H * levels / H.max()).astype(np.float32)
    expected = set_percentile(H, grids, sizes, percent)
    held: list[int] = []
    once = percentile_file.Counted.keep
    monkeypatch.setattr(percentile_file.Counted, "keep", lambda self, v: (once(self, v), held.append(self.held))[0])
    monkeypatch.setattr(percentile_file, "KEPT", 64)
    monkeypatch.setattr(percentile_file, "SAMPLED", 128)
    np.testing.assert_array_equal(set_percentile(H, grids, sizes, percent), expected)
    assert max(held) <= 64


def test_a_sparse_concept_has_a_threshold_of_zero_and_a_mask_of_what_is_above() -> None:
    H = np.zeros((36, 1), np.float32)
    H[0] = 1
    threshold = set_percentile(H, [Grid(6, 6)], [Grid(60, 60)])
    assert threshold[0] == 0
    (found,) = image_regions(heat_map(H, 0, Grid(6, 6)), threshold, Grid(60, 60))
    assert 0 < found.share < 0.1 and found.regions[0].box.x0 == 0


@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (23, 31), (64, 50)])
def test_regions_are_scipys_components(density: float, shape: tuple[int, int]) -> None:
    masks = np.random.default_rng(int(density * 100)).random((4, *shape)) < density
    for on, found in zip(masks, regions_of(masks), strict=True):
        labels, count = ndimage.label(on, np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        order = np.argsort(-areas, kind="stable")  # labels are in raster order, as ties must be
        boxes = [ndimage.find_objects(labels)[i] for i in order]
        assert [region.area for region in found.regions] == areas[order].tolist()
        assert [region.box for region in found.regions] == [
            Box(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in boxes
        ]
        assert found.share == pytest.approx(on.mean())


def test_a_small_region_is_listed_only_when_it_is_the_largest() -> None:
    masks = np.zeros((2, 10, 10), bool)
    masks[0, :5, :5] = masks[0, 8, 8] = masks[1, 0, 0] = True
    large, small = regions_of(masks, min_share=0.1)
    assert [region.area for region in large.regions] == [25]
    assert [region.area for region in small.regions] == [1]


def test_regions_of_a_set_are_those_of_its_masks_one_by_one() -> None:
    rng = np.random.default_rng(0)
    thresholds = np.array([0.5, 0.9, 2.0], np.float32)
    images = [(rng.random((3, 5, 4)).astype(np.float32), Grid(*rng.integers(20, 90, 2))) for _ in range(70)]
    for (heat, size), found in zip(images, set_regions(images, thresholds), strict=True):
        on = mask(upsample(heat, size.height, size.width), thresholds)
        assert found == regions_of(on)


def test_regions_of_a_huge_picture_are_scaled_from_a_smaller_one() -> None:
    heat = np.zeros((1, 4, 4), np.float32)
    heat[0, 1, 2] = 1
    threshold = np.array([0.5], np.float32)
    (huge,) = image_regions(heat, threshold, Grid(8192, 8192))
    (plain,) = image_regions(heat, threshold, Grid(2048, 2048))
    box, small = huge.regions[0].box, plain.regions[0].box
    assert (box.x0, box.y1) == (small.x0 * 4, small.y1 * 4)
    assert huge.regions[0].area == plain.regions[0].area * 16


def test_scores_are_peaks_relative_to_the_set() -> None:
    H, grids, _ = random_set(1, 5, 0.3, True)
    H[:, 2] = 0
    found = scores(peaks(H, grids))
    by_hand = np.array([heat_map(H, a, g).max(axis=(1, 2)) for a, g in zip(offsets(grids), grids, strict=False)])
    np.testing.assert_allclose(found[:, :2], by_hand[:, :2] / H.max(axis=0)[:2])
    assert found[:, :2].max(axis=0).tolist() == [1, 1] and not found[:, 2].any()


def test_maps_run_on_a_foreign_device_and_agree_with_numpy() -> None:
    H, grids, sizes = random_set(2, 6, 0.4, True)
    np.testing.assert_allclose(home(peaks(away(H), grids)), peaks(H, grids))
    np.testing.assert_allclose(home(scores(peaks(away(H), grids))), scores(peaks(H, grids)), rtol=1e-6)
    np.testing.assert_allclose(set_percentile(away(H), grids, sizes), set_percentile(H, grids, sizes), rtol=1e-5)
    maps = heat_map(H, 0, grids[0])
    np.testing.assert_allclose(home(upsample(away(maps), 20, 30)), upsample(maps, 20, 30), rtol=1e-5, atol=1e-7)
