"""A folder's pictures become one vector each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours

from dff_onnx.errors import ModelError, NoImagesError, OutputError, UsageError
from dff_onnx.images import Resize, read_picture
from dff_onnx.report.features_file import read_features
from dff_onnx.runs.features import extract, write_folder_features

SMALL = Resize("long", 64)


class Counting(Colours):
    """Remembers the largest batch it saw."""

    largest = 0

    def __call__(self, pixels: Any) -> Any:
        self.largest = max(self.largest, len(pixels))
        return super().__call__(pixels)


@pytest.mark.parametrize(("pool", "reduced"), [("mean", np.mean), ("max", np.max), ("sum", np.sum)])
def test_each_row_is_a_pictures_pooled_activations(folder: Path, pool: Any, reduced: Any) -> None:
    found = extract(folder, Colours(), SMALL, pool)
    assert found.features.paths == ("0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "deep/6.png")
    for path, row in zip(found.features.paths, found.features.values, strict=True):
        values = Colours()(read_picture(folder / path, SMALL).pixels[None])[0]
        np.testing.assert_allclose(row, reduced(values, axis=(1, 2)), rtol=1e-5)
    assert found.device == "cpu" and not found.failures


def test_any_number_of_workers_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    written = []
    for workers in (0, 1, 5):
        backbone = Counting()
        backbone.workers = workers
        write_folder_features(folder, tmp_path / f"{workers}.npz", backbone, SMALL)
        written.append((tmp_path / f"{workers}.npz").read_bytes())
        assert backbone.largest == 4  # a few at a time, never all
    assert written[0] == written[1] == written[2]


def test_negative_activations_are_features_like_others(folder: Path) -> None:
    class Signed(Colours):
        nonnegative = False

        def __call__(self, pixels: Any) -> Any:
            return super().__call__(pixels) - np.float32(0.5)

    assert (extract(folder, Signed(), SMALL).features.values < 0).any()


def test_activations_that_are_not_finite_are_refused(folder: Path) -> None:
    class Broken(Colours):
        def __call__(self, pixels: Any) -> Any:
            return super().__call__(pixels) * np.float32(np.nan)

    with pytest.raises(ModelError, match="layer colours: has activations that are not finite"):
        extract(folder, Broken(), SMALL)


def test_what_cannot_be_read_is_listed_and_left_out(folder: Path) -> None:
    (folder / "2.png").write_bytes(b"nothing")
    found = extract(folder, Colours(), SMALL)
    assert [failure.path for failure in found.failures] == ["2.png"] and "2.png" not in found.features.paths
    assert len(found.features.values) == 6
    for path in folder.rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match=r"not one of 7 pictures can be used; the first: 0\.png: "):
        extract(folder, Colours(), SMALL)


def test_the_same_features_may_be_made_again_and_others_not(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "x.npz"
    write_folder_features(folder, out, Colours(), SMALL)
    first = out.read_bytes()
    write_folder_features(folder, out, Colours(), SMALL)
    assert out.read_bytes() == first
    for other in ({"pool": "max"}, {"resize": Resize("square", 64)}):
        with pytest.raises(UsageError, match=r"holds features of other settings \((pool|resize).*--overwrite"):
            write_folder_features(folder, out, Colours(), **{"resize": SMALL, **other})
        assert out.read_bytes() == first
    (tmp_path / "deeper").mkdir()
    (folder / "deep").rename(tmp_path / "deeper" / "deep")
    with pytest.raises(UsageError, match=r"folder: .*there"):
        write_folder_features(tmp_path / "deeper", out, Colours(), SMALL)
    write_folder_features(tmp_path / "deeper", out, Colours(), SMALL, "max", overwrite=True)
    assert read_features(out).pool == "max" and read_features(out).paths == ("deep/6.png",)


def test_no_other_file_is_written_over_not_even_with_overwrite(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text(json.dumps({"pool": "mean"}))
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="something else than features"):
            write_folder_features(folder, tmp_path / "x.npz", Colours(), SMALL, overwrite=overwrite)
    with pytest.raises(UsageError, match="is a folder"):
        write_folder_features(folder, tmp_path, Colours(), SMALL)
    backbone = Counting()
    with pytest.raises(OutputError, match="choose another with -o"):
        write_folder_features(folder, tmp_path / "x.npz" / "y.npz", backbone, SMALL)
    assert backbone.largest == 0  # before the work
