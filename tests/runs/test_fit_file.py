"""A file of features becomes a file with a head, and never writes over anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.learning.fit import FitSettings
from dff_onnx.learning.head_file import read_head
from dff_onnx.learning.svm import answers
from dff_onnx.report.features_file import read_features
from dff_onnx.runs.features import write_folder_features
from dff_onnx.runs.fit import fit_file


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Of red and green pictures, four of each."""
    for name, colour in (("green", (20, 200, 20)), ("red", (230, 20, 20))):
        for number in range(4):
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[8 * number : 8 * number + 24, 16:40] = colour
            path = tmp_path / "pictures" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    write_folder_features(tmp_path / "pictures", tmp_path / "x.npz", Colours(), Resize("square", 64))
    return tmp_path / "x.npz"


def test_a_head_is_written_that_tells_the_classes_apart(features: Path, tmp_path: Path) -> None:
    fit_file(features, tmp_path / "head.npz")
    head = read_head(tmp_path / "head.npz")
    assert head.names == ("green", "red") and head.fingerprint == Colours.fingerprint and head.pictures == (4, 4)
    assert np.asarray(head.head.of_pooled(np.eye(4, dtype=np.float32)))[:2].argmax(axis=1).tolist() == [1, 0]


def test_a_head_of_other_settings_needs_overwrite(features: Path, tmp_path: Path) -> None:
    out = tmp_path / "head.npz"
    fit_file(features, out)
    first = out.read_bytes()
    fit_file(features, out)
    assert out.read_bytes() == first
    for settings, said in (
        (FitSettings(C=2.0), r"C: 1\.0 there, 2\.0 now"),
        (FitSettings(("red",), unit=False), "unit: True there, False now"),
    ):
        with pytest.raises(UsageError, match=said):
            fit_file(features, out, settings)
        assert out.read_bytes() == first
    fit_file(features, out, FitSettings(("red",)), overwrite=True)
    assert read_head(out).names == ("red",)


def test_features_are_not_written_over_and_a_head_is_no_features(features: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="something else than a head"):
        fit_file(features, features, overwrite=True)
    fit_file(features, tmp_path / "head.npz")
    with pytest.raises(RefusedError, match="`dff-onnx features` wrote"):
        fit_file(tmp_path / "head.npz", tmp_path / "other.npz")


def test_real_photographs_of_groups_are_told_apart(real_data: Path, tmp_path: Path) -> None:
    """Every other picture of four groups to train, the rest to be told."""
    for word in ("Ferrari", "Pandas", "Elephants", "Statue"):
        (group,) = (real_data / "icoseg" / "images").glob(f"*{word}*")
        for number, picture in enumerate(sorted(group.iterdir())):
            link = tmp_path / ("train", "test")[number % 2] / group.name / picture.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(picture)
    backbone = Backbone.open(real_data / "models" / "squeezenet1_1.onnx", "/fires.7/Concat_output_0", threads=1)
    for half in ("train", "test"):
        write_folder_features(tmp_path / half, tmp_path / f"{half}.npz", backbone)
    fitted = fit_file(tmp_path / "train.npz", tmp_path / "head.npz", FitSettings(C=10.0))
    others = read_features(tmp_path / "test.npz")
    found = answers(np.asarray(fitted.head.of_pooled(others.values)))
    right = [fitted.names[one] == path.split("/")[0] for one, path in zip(found, others.paths, strict=True)]
    assert len(right) > 30 and np.mean(right) > 0.97
