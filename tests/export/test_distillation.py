"""What a distillation shows its student, without training it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dff_onnx.backbone.lattice import Lattice
from dff_onnx.errors import UsageError
from dff_onnx.export.compact import compact
from dff_onnx.export.distillation.crops import crops_of, rectangles
from dff_onnx.export.distillation.lesson import Lesson, held_out
from dff_onnx.export.distillation.settings import Distillation, TeacherAt
from dff_onnx.export.distillation.student import initial, lattice_of_plan
from dff_onnx.export.distillation.targets import directions, lengths, strongest
from dff_onnx.export.distillation.teacher import tent

TEACHER = TeacherAt(Path("teacher.onnx"), None, 448)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 9))
def test_crops_lie_inside_and_the_first_is_the_whole(width: int, height: int, seed: int) -> None:
    first, *others = rectangles(width, height, 5, np.random.default_rng(seed))
    assert first == (0, 0, width, height)
    for x0, y0, x1, y1 in others:
        assert 0 <= x0 < x1 <= width + 1e-6
        assert 0 <= y0 < y1 <= height + 1e-6


def test_crops_of_several_sizes_show_the_same_place(tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :160]
    Image.fromarray(np.stack([x, y, (x + y) // 2], -1).astype(np.uint8)).save(tmp_path / "a.png")
    crops = crops_of(tmp_path / "a.png", (32, 64), 4, (0, 7))
    assert {size: pixels.shape for size, pixels in crops.items()} == {32: (4, 32, 32, 3), 64: (4, 64, 64, 3)}
    halved = crops[64].reshape(4, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(halved - crops[32]).max() <= 2
    again = crops_of(tmp_path / "a.png", (32, 64), 4, (0, 7))
    assert all(np.array_equal(again[size], pixels) for size, pixels in crops.items())
    assert not np.array_equal(crops_of(tmp_path / "a.png", (32,), 4, (1, 7))[32][1], crops[32][1])


def test_a_tent_reads_a_ramp_at_its_places() -> None:
    ramp = np.arange(28, dtype=np.float64)
    places = np.linspace(2.5, 24.5, 12)
    assert tent(places, 28) @ ramp == pytest.approx(places, abs=1e-5)
    assert tent(np.array([-3.0, 40.0]), 28) @ ramp == pytest.approx([8, 19], abs=5)  # far apart, so it averages widely
    assert tent(np.array([5.25]), 28) @ ramp == pytest.approx([5.25])
    assert np.array_equal(tent(np.arange(5.0), 5), np.eye(5, dtype=np.float32))  # equal grids are not blurred


def test_the_strongest_channels_are_taken_as_unit_vectors() -> None:
    features = np.random.default_rng(0).gamma(0.5, size=(3, 6, 4, 4)).astype(np.float32)
    features[:, 4] *= 9
    features[:, 1] *= 5
    features[0, :, 2, 3] = 0  # a place where nothing answers
    chosen = strongest([features[:2], features[2:]], 2)
    assert chosen.tolist() == [1, 4]
    found = directions(features, chosen)
    expected = np.ones((3, 4, 4))
    expected[0, 2, 3] = 0
    assert lengths(found) == pytest.approx(expected, abs=1e-5)
    assert found[:, 0] * features[:, 4] == pytest.approx(found[:, 1] * features[:, 1], rel=1e-4)


def test_more_channels_than_answer_are_refused() -> None:
    features = np.zeros((1, 4, 2, 2), np.float32)
    features[:, :3] = 1
    with pytest.raises(UsageError, match="channels: 4 of one teacher are too many, only 3"):
        strongest([features], 4)
    with pytest.raises(UsageError, match="no photograph"):
        strongest([], 4)


@pytest.mark.parametrize(
    ("text", "path", "layer", "size"),
    [
        ("a.onnx", "a.onnx", None, 448),
        ("a.onnx@320", "a.onnx", None, 320),
        ("a.onnx:/fires.7/Concat_output_0@320", "a.onnx", "/fires.7/Concat_output_0", 320),
        ("a.onnx:relu5_4", "a.onnx", "relu5_4", 448),
    ],
)
def test_a_teacher_is_read_from_one_word(text: str, path: str, layer: str | None, size: int) -> None:
    assert TeacherAt.parse(text, 448) == TeacherAt(Path(path), layer, size)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"teachers": ()}, "teacher: at least one"),
        ({"student": "resnet50"}, "student: 'resnet50' is not one of compact, compact_bn"),
        ({"epochs": 0}, "epochs: at least 1"),
        ({"teachers": (TEACHER, TEACHER), "channels": 9}, "channels: 9 cannot be shared evenly by 2"),
        ({"size": 230}, "size: a multiple of 32"),
        ({"size": 480}, "sees 448 pixels, fewer than the student's 480"),
        ({"sparsity": 1.0}, "sparsity: a figure from 0 to below 1"),
        ({"rate": 0.0}, "rate: a figure between 0 and 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Distillation(**({"teachers": (TEACHER,)} | options))


def test_photographs_are_held_out_evenly() -> None:
    assert held_out(1000, 100).nonzero()[0].tolist() == list(range(5, 1000, 10))
    with pytest.raises(UsageError, match="held-out: 5 of 5"):
        held_out(5, 5)


def test_the_compact_students_cells_look_where_they_seem_to_lie() -> None:
    assert lattice_of_plan(compact(64)) == Lattice(16.0, 8.0)
    assert lattice_of_plan(compact(64, normalised=True)) == Lattice(16.0, 8.0)


def test_initial_parameters_come_from_the_seed() -> None:
    network = compact(16, normalised=True)
    first, again, other = initial(network, 0), initial(network, 0), initial(network, 1)
    assert all(np.array_equal(first[name], again[name]) for name in network.expected)
    assert not np.array_equal(first["head.weight"], other["head.weight"])
    assert {name: values.shape for name, values in first.items()} == network.expected


def test_an_answer_is_directions_times_the_mean_length_and_as_sparse_as_was_said() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.gamma(0.5, size=(2, 6, 2, 4, 4, 4)).astype(np.float16)
    long, short = rng.random((2, 6, 2, 4, 4), np.float32) + 0.1
    out = np.array([False, True, False, False, False, False])
    pixels = np.zeros((6, 2, 32, 32, 3), np.uint8)
    plain = Lesson(pixels, (first, second), (long, short), np.ones(6, np.bool_), out)
    seen, answers = plain.of([(2, 1), (0, 0)])
    assert seen.shape == (2, 32, 32, 3)
    both = np.concatenate([first[2, 1], second[2, 1]])
    assert answers[0] == pytest.approx(both * np.sqrt(long[2, 1] * short[2, 1]), rel=1e-3)
    sparse = plain.sparse(0.7)
    _, answers = sparse.of([(i, 0) for i in (0, 2, 3, 4, 5)])
    assert (answers == 0).mean() == pytest.approx(0.7, abs=0.002)
    assert np.square(answers).mean() == pytest.approx(1, rel=1e-5)
