"""A picture's descriptor is the sum of its parts, whatever the kind, and its boxes lie in the file's picture."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import ImageError, ModelError, UsageError
from dff_onnx.factorization import factorize
from dff_onnx.images import Picture
from dff_onnx.records import Box, Grid
from dff_onnx.retrieval import (
    Whitening,
    concept_descriptors,
    crow,
    energy_shares,
    gem,
    learn_whitening,
    mac,
    normalized,
    over_scales,
    region_vectors,
    rmac,
    spoc,
    ucrow,
)
from dff_onnx.retrieval.saliency import feature_saliency, salient_regions
from dff_onnx.runs.collect import rows_of
from dff_onnx.runs.descriptors import Describer, DescriptorSettings, Kind

KINDS = [kind for kind in get_args(Kind) if kind not in ("codes", "os-egm")]  # test_codes; needs a collection's votes
POOLINGS = {"mac": mac, "spoc": spoc, "gem": gem, "crow": crow, "ucrow": ucrow}
SMALL = DescriptorSettings(size=96, k=3)


def picture(seed: int = 0, height: int = 64, width: int = 96, factor: int = 1) -> Picture:
    """Squares of colours on noise, as read from a file `factor` times as large."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (height, width, 3), np.uint8)
    for colour in ((230, 20, 20), (20, 200, 20), (30, 30, 220)):
        y, x = rng.integers(0, height - 24), rng.integers(0, width - 24)
        pixels[y : y + 24, x : x + 24] = colour
    return Picture(pixels, Grid(height * factor, width * factor))


def describer(kind: Any = "dff", whitening: Whitening | None = None, **changes: Any) -> Describer:
    return Describer(Colours(), replace(SMALL, kind=kind, **changes), whitening)


def learned(kind: Any) -> Whitening:
    one = describer(kind)
    return learn_whitening(np.concatenate([one.part_vectors(picture(seed)) for seed in range(12)]), 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whitened", [False, True])
def test_vectors_are_of_unit_length_and_as_long_as_is_said(kind: Any, whitened: bool) -> None:
    one = describer(kind, learned(kind) if whitened else None)
    found = one.describe(picture(3))
    assert found.vector.dtype == found.parts.dtype == np.float32
    assert found.vector.shape == (one.dimensions,) == (3 if whitened else 4,)
    np.testing.assert_allclose(np.linalg.norm(found.vector), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.parts, axis=1), 1, rtol=1e-5)
    assert len(found.parts) == len(found.boxes) == len(found.scores)
    assert bool(len(found.parts)) == (kind in ("dff", "rmac", "fs-egm"))


@pytest.mark.parametrize("kind", sorted(POOLINGS))
def test_whole_pictures_are_pooled(kind: Any) -> None:
    expected = normalized(POOLINGS[kind](Colours()(picture().pixels[None])))[0]
    np.testing.assert_allclose(describer(kind).describe(picture()).vector, expected, rtol=1e-6)


def test_rmac_is_that_of_the_library_and_its_squares_cover_the_picture() -> None:
    found = describer("rmac").describe(picture())
    np.testing.assert_allclose(found.vector, rmac(Colours()(picture().pixels[None]))[0], rtol=1e-5)
    assert set(found.scores) == {1.0}
    assert min(box.x0 for box in found.boxes) == 0 == min(box.y0 for box in found.boxes)
    assert max(box.x1 for box in found.boxes) == 96 and max(box.y1 for box in found.boxes) == 64
    np.testing.assert_allclose(normalized(found.parts.sum(axis=0)[None])[0], found.vector, rtol=1e-5)


@pytest.mark.parametrize("weights", ["equal", "energy", "root"])
@pytest.mark.parametrize("whitened", [False, True])
def test_concepts_add_up_to_the_picture_as_in_the_library(weights: Any, whitened: bool) -> None:
    whitening = learned("dff") if whitened else None
    found = describer("dff", whitening, weights=weights).describe(picture())
    fit = factorize(rows_of(Colours()(picture().pixels[None])), 3, threads=1)
    expected = concept_descriptors(fit.W, fit.H, whitening, weights)
    np.testing.assert_allclose(found.vector, expected.image, atol=1e-5)
    np.testing.assert_allclose(found.parts, expected.concepts, atol=1e-5)
    np.testing.assert_allclose(found.scores, energy_shares(fit.W, fit.H), rtol=1e-5)
    heights = {"equal": np.ones(3), "energy": np.asarray(found.scores), "root": np.sqrt(found.scores)}[weights]
    np.testing.assert_allclose(normalized((heights @ found.parts)[None])[0], found.vector, atol=1e-5)


def test_the_concept_of_a_colour_has_the_box_of_its_square() -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[16:48, 8:40] = (0, 250, 0)
    pixels[0:32, 64:96] = (250, 0, 0)
    found = describer(k=2).describe(Picture(pixels, Grid(640, 960)))
    colours = [int(row.argmax()) for row in found.parts]
    for colour, square in ((1, (80, 160, 400, 480)), (0, (640, 0, 960, 320))):
        box = found.boxes[colours.index(colour)]
        # Half of a peak on a grid of 8 pixels, which are 80 of the file's.
        assert np.abs(np.subtract((box.x0, box.y0, box.x1, box.y1), square)).max() <= 40


def test_fs_egm_adds_up_the_maxima_of_salient_regions_and_scores_them_by_their_saliency() -> None:
    X = Colours()(picture(factor=2).pixels[None])
    F = feature_saliency(X)[0]
    expected = salient_regions(F)
    found = describer("fs-egm").describe(picture(factor=2))
    vectors = region_vectors(X, expected.windows)
    assert len(found.boxes) == len(expected.windows) > 1
    np.testing.assert_allclose(found.parts, vectors[0], rtol=1e-5)
    np.testing.assert_allclose(found.vector, normalized(vectors.sum(axis=1))[0], rtol=1e-5)
    assert found.scores == expected.scores
    down, across = 128 / F.shape[0], 192 / F.shape[1]
    for box, w in zip(found.boxes, expected.windows, strict=True):
        corners = (w.x * across, w.y * down, (w.x + w.width) * across, (w.y + w.height) * down)
        np.testing.assert_allclose((box.x0, box.y0, box.x1, box.y1), corners, atol=2)


def test_os_egm_needs_votes_and_settings_that_name_them() -> None:
    with pytest.raises(UsageError, match="needs the votes of a collection"):
        DescriptorSettings("os-egm")
    settings = DescriptorSettings("os-egm", votes="ab" * 32)
    assert DescriptorSettings.from_dict("os-egm", settings.to_dict()) == settings
    with pytest.raises(UsageError, match="needs the votes of a collection"):
        Describer(Colours(), settings)
    with pytest.raises(UsageError, match="no settings of 'fs-egm'"):
        DescriptorSettings.from_dict("fs-egm", settings.to_dict())


@pytest.mark.parametrize("kind", ["dff", "rmac", "fs-egm"])
@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.5)])
@pytest.mark.parametrize("size", [(64, 96), (33, 300), (32, 32), (250, 41)])
def test_boxes_lie_inside_the_files_picture(kind: Any, scales: tuple[float, ...], size: tuple[int, int]) -> None:
    for factor in (0.25, 1, 7.3):
        full = Grid(max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
        pixels = picture(1, *size).pixels
        found = describer(kind, scales=scales).describe(Picture(pixels, full))
        assert found.boxes
        for box in found.boxes:
            assert 0 <= box.x0 < box.x1 <= full.width and 0 <= box.y0 < box.y1 <= full.height


@pytest.mark.parametrize("kind", KINDS)
def test_scales_are_added_up_and_parts_are_those_of_the_first(kind: Any) -> None:
    both = describer(kind, scales=(1.0, 0.5)).describe(picture(2, 96, 96))
    one = describer(kind).describe(picture(2, 96, 96))
    pixels = Image.fromarray(picture(2, 96, 96).pixels).resize((48, 48), Image.Resampling.BILINEAR)
    half = describer(kind).describe(Picture(np.asarray(pixels), Grid(96, 96)))
    np.testing.assert_allclose(both.vector, over_scales([one.vector[None], half.vector[None]])[0], atol=1e-6)
    assert both.parts.tobytes() == one.parts.tobytes() and both.boxes == one.boxes
    parts = describer(kind, scales=(1.0, 0.5)).part_vectors(picture(2, 96, 96))
    assert len(parts) == len(describer(kind).part_vectors(picture(2, 96, 96))) * 2 or kind in ("rmac", "fs-egm")
    assert len(parts) > len(one.parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_without_activations_has_a_vector_of_zeros(kind: Any) -> None:
    black = Picture(np.zeros((64, 64, 3), np.uint8), Grid(64, 64))
    for whitening in (None, learned(kind)):
        found = describer(kind, whitening).describe(black)
        assert not found.vector.any() and np.isfinite(found.parts).all()
    assert describer(kind).part_vectors(black).shape == (0, 4)


def test_a_tiny_picture_has_fewer_concepts_than_were_asked_for(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), (200, 10, 10)).save(tmp_path / "dot.png")
    one = describer(k=50)
    read = one.read(tmp_path / "dot.png")
    assert read.pixels.shape == (32, 32, 3) and read.original == Grid(2, 3)
    found = one.describe(read)
    assert 1 <= len(found.parts) <= 4
    assert all(box == Box(0, 0, 3, 2) for box in found.boxes[:1])


def test_a_part_of_a_picture_is_cut_out_and_made_as_much_smaller_as_the_whole(tmp_path: Path) -> None:
    Image.fromarray(picture(5, 128, 192).pixels).save(tmp_path / "a.png")
    one = describer()
    whole, part = one.read(tmp_path / "a.png"), one.read(tmp_path / "a.png", Box(20, 0, 120, 128))
    assert whole.pixels.shape[:2] == (64, 96) and part.pixels.shape[:2] == (64, 50)
    assert part.original == Grid(128, 100)
    cut = np.ascontiguousarray(picture(5, 128, 192).pixels[:, 20:120])
    Image.fromarray(cut).save(tmp_path / "cut.png")
    small = np.asarray(Image.fromarray(cut).resize((50, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(part.pixels, small)
    assert one.describe(part).vector.shape == (4,)
    with pytest.raises(UsageError, match="is not inside its picture"):
        one.read(tmp_path / "a.png", Box(0, 0, 193, 10))
    (tmp_path / "no.png").write_bytes(b"no")
    with pytest.raises(ImageError):
        one.read(tmp_path / "no.png")


@pytest.mark.parametrize("kind", ["dff", "spoc"])
def test_activations_that_are_negative_or_not_finite_are_refused(kind: Any) -> None:
    class Broken(Colours):
        nonnegative = False
        change: Any = 0

        def __call__(self, pixels: Any) -> Any:
            return np.asarray(super().__call__(pixels) + self.change, np.float32)

    for change, why in ((-1, "negative activations"), (np.nan, "not finite"), (np.inf, "not finite")):
        Broken.change = change
        with pytest.raises(ModelError, match=why):
            Describer(Broken(), DescriptorSettings(kind)).describe(picture())
        with pytest.raises(ModelError, match=why):
            Describer(Broken(), DescriptorSettings(kind)).part_vectors(picture())


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "vlad"}, {"weights": "heavy"}, {"k": 0}, {"k": 10**9}, {"levels": 0}, {"levels": 99}, {"scales": ()},
        {"scales": (0.0,)}, {"scales": (2.0,)}, {"scales": (float("nan"),)}, {"scales": (1.0,) * 11}, {"size": 31},
        {"size": 10**6},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(changes: Any) -> None:
    with pytest.raises(UsageError):
        DescriptorSettings(**changes)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_come_back_from_what_is_stored(kind: Any) -> None:
    settings = DescriptorSettings(kind, 200, 5 if kind == "dff" else DescriptorSettings().k, scales=(1, 0.5))
    assert DescriptorSettings.from_dict(kind, settings.to_dict()) == settings
    for fields in (
        {}, {"size": 200}, settings.to_dict() | {"more": 1}, settings.to_dict() | {"size": "200"},
        settings.to_dict() | {"size": True}, settings.to_dict() | {"scales": None}, settings.to_dict() | {"size": 64.0},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            DescriptorSettings.from_dict(kind, fields)


def test_threads_side_by_side_give_the_same_bits() -> None:
    one = Describer(Backbone.open(threads=1, device="cpu"), DescriptorSettings(size=96), None)
    alone = [one.describe(picture(seed)).vector.tobytes() for seed in range(4)]
    together: dict[int, bytes] = {}

    def work(seed: int) -> None:
        together[seed] = one.describe(picture(seed)).vector.tobytes()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[seed] for seed in range(4)] == alone
