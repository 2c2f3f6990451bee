from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from PIL import Image
from torture_tier import each, row, tiers
from zoo import Animal, animals, quarters, saved

from dff_onnx.errors import ImageError
from dff_onnx.images import Resize, read_original, read_picture

ZOO = animals()


def test_the_zoo_has_48_animals() -> None:
    assert len({animal.name for animal in ZOO}) == len(ZOO) >= 48


@row("picture zoo")
@pytest.mark.parametrize("animal", [a for a in ZOO if a.size], ids=lambda a: ascii(a.name))
def test_a_usable_picture_has_its_size_and_its_colour(animal: Animal, tmp_path: Path) -> None:
    (tmp_path / animal.name).write_bytes(animal.data)
    picture = read_picture(tmp_path / animal.name)
    assert picture.pixels.shape == (224, 224, 3) and picture.pixels.dtype == np.uint8
    assert (picture.original.width, picture.original.height) == animal.size
    assert np.abs(picture.pixels[0, 0].astype(int) - animal.corner).max() <= animal.near
    whole = read_original(tmp_path / animal.name, 10_000)
    assert whole.shape == (animal.size[1], animal.size[0], 3)  # type: ignore[index]
    assert np.abs(whole[0, 0].astype(int) - animal.corner).max() <= animal.near


@row("picture zoo")
@pytest.mark.parametrize("animal", [a for a in ZOO if not a.size], ids=lambda a: ascii(a.name))
def test_a_useless_file_is_refused_with_its_reason(animal: Animal, tmp_path: Path) -> None:
    (tmp_path / animal.name).write_bytes(animal.data)
    with pytest.raises(ImageError, match=animal.reason) as refused:
        read_picture(tmp_path / animal.name)
    assert str(tmp_path) not in refused.value.reason


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    for name in ("folder.jpg", "missing.jpg"):
        with pytest.raises(ImageError, match="cannot be read"):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("name", ["ramp16.png", "ramp16.tif", "ramp32.tif", "ramp-float.tif", "ramp-wide-float.tif"])
def test_a_deep_ramp_keeps_its_levels(name: str, tmp_path: Path) -> None:
    animal = next(a for a in ZOO if a.name == name)
    (tmp_path / name).write_bytes(animal.data)
    levels = read_original(tmp_path / name, 10_000)[0, :, 0]
    assert len(np.unique(levels)) >= 250 and np.all(np.diff(levels.astype(int)) >= 0) and levels[-1] == 255


def test_the_square_is_pillows_bit_for_bit(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (375, 400, 3), np.uint8))
    (tmp_path / "a.jpg").write_bytes(saved(noise, "JPEG", quality=90))
    with Image.open(tmp_path / "a.jpg") as image:
        theirs = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
    assert read_picture(tmp_path / "a.jpg").pixels.tobytes() == theirs.tobytes()


def test_a_drafted_jpeg_differs_little_from_a_full_one(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(quarters(2000, 1500), "JPEG", quality=95))
    with Image.open(tmp_path / "a.jpg") as image:
        theirs = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(read_picture(tmp_path / "a.jpg").pixels - theirs).mean() < 1


@pytest.mark.parametrize(("mode", "expected"), [("square", (96, 96)), ("short", (128, 96)), ("long", (96, 72))])
def test_resizing_keeps_the_aspect_where_asked(mode: str, expected: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", (400, 300)).save(tmp_path / "a.png")
    pixels = read_picture(tmp_path / "a.png", Resize(mode, 96)).pixels  # type: ignore[arg-type]
    assert (pixels.shape[1], pixels.shape[0]) == expected


KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")


@tiers("mutated pictures")
def test_mutated_pictures_are_read_or_refused_soon_and_in_little_memory(cases: range, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8))
    good = [saved(noise, kind) for kind in KINDS]
    path, slowest, peaks = tmp_path / "m", 0.0, []

    def judge(number: int, rng: np.random.Generator) -> str:
        nonlocal slowest
        path.write_bytes(mutated(good[number % len(good)], rng))
        started = time.process_time()
        try:
            read_picture(path, Resize("square", 32), max_pixels=10**6)
            return "read"
        except ImageError:
            return "refused"
        finally:
            slowest = max(slowest, time.process_time() - started)
            if number in (cases[len(cases) // 2], cases[-1]):
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    found = each(cases, judge)
    assert found["read"] and found["refused"]
    assert slowest < 2, "seconds"
    assert peaks[1] - peaks[0] < 20 * 1024, "KiB more in the second half"
