"""Folders of photographs become classes; what cannot be trained is refused. No PyTorch needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dff_onnx.errors import NoImagesError, OutputError, UsageError
from dff_onnx.export.cached_array import CachedArray, mapped
from dff_onnx.export.finetuning.photographs import read_photographs
from dff_onnx.export.finetuning.settings import Finetuning


def tree(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i:02}.jpg").write_bytes(b"")
    return root


def test_a_folder_is_a_class_and_classes_are_sorted(tmp_path: Path) -> None:
    tree(tmp_path, dog=3, Cat=4)
    (tmp_path / "dog" / "deep").mkdir()
    (tmp_path / "dog" / "deep" / "x.png").write_bytes(b"")
    found = read_photographs(tmp_path, 0.25)
    assert found.classes == ("Cat", "dog")
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    assert found.paths[-1] == Path("dog/deep/x.png")


@pytest.mark.parametrize(("share", "expected"), [(0.01, (1, 1)), (1 / 3, (3, 1)), (0.5, (4, 1)), (0.99, (8, 1))])
def test_of_each_class_a_share_is_held_out_and_something_is_left(
    share: float, expected: tuple[int, int], tmp_path: Path
) -> None:
    found = read_photographs(tree(tmp_path, a=9, b=2), share)
    assert (found.held_out[found.labels == 0].sum(), found.held_out[found.labels == 1].sum()) == expected


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"a": 3}, "holds one folder of pictures, 'a'; two classes are needed"),
        ({"a": 3, "b": 1}, "class 'b' has one picture; two are needed"),
        ({"a": 3, "b\nc": 2}, r"the folder 'b\\nc' is the name of a class, and cannot stand in a line"),
    ],
)
def test_a_tree_without_classes_is_refused(counts: dict[str, int], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_photographs(tree(tmp_path, **counts), 0.3)


def test_a_picture_in_no_folder_is_named(tmp_path: Path) -> None:
    (tree(tmp_path, a=2, b=2) / "stray.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"1 pictures lie in no class's folder \('stray.png'\)"):
        read_photographs(tmp_path, 0.3)
    with pytest.raises(UsageError, match="is a file; give a folder"):
        read_photographs(tmp_path / "stray.png", 0.3)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoImagesError, match="holds no pictures"):
        read_photographs(tmp_path, 0.3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "epochs: at least 1"),
        ({"crops": 0}, "crops: at least 1"),
        ({"size": 32}, "size: at least 64"),
        ({"held_out": 1.0}, "held_out: a figure between 0 and 1"),
        ({"rate": 0.0}, "rate: a figure between 0 and 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Finetuning("vgg16", "relu5_3", **options)


def test_a_cached_array_goes_on_where_it_was_and_refuses_another(tmp_path: Path) -> None:
    first = CachedArray.open(tmp_path, "x", (3, 2), np.float32, {"seed": 1})
    assert first.done == 0
    first.array[0] = 7
    first.save(1)
    again = CachedArray.open(tmp_path, "x", (3, 2), np.float32, {"seed": 1})
    assert again.done == 1
    assert again.array[0].tolist() == [7, 7]
    with pytest.raises(UsageError, match=r"x\.json: is of another training"):
        CachedArray.open(tmp_path, "x", (3, 2), np.float32, {"seed": 2})
    with pytest.raises(UsageError, match=r"x\.npy: is of another training"):
        CachedArray.open(tmp_path, "x", (3, 3), np.float32, {"seed": 1})
    with pytest.raises(UsageError, match=r"x\.npy: is of another training"):
        mapped(tmp_path / "x.npy", (3, 2), np.float16)
    (tmp_path / "y.npy").write_bytes(b"nothing")
    with pytest.raises(OutputError, match="cannot be used as a cache"):
        mapped(tmp_path / "y.npy", (3, 2), np.float16)
