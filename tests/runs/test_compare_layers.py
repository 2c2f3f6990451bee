"""Layers side by side: figures that can be foretold, a recommendation with its reason, the command."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dff_onnx.backbone.graph import Candidate
from dff_onnx.cli import app
from dff_onnx.errors import NoImagesError, UsageError
from dff_onnx.images import Resize
from dff_onnx.report.layers_plot import Curve, layers_svg
from dff_onnx.runs.compare_layers import LayerFigures, compare_layers, effective_rank, recommend

FINE = LayerFigures("fine", 8, 28, 28, 8, 0.5, 0.0, 5.0, (1, 4), (0.5, 0.8), (1.0, 0.9), 3.0)


class Planes:
    """Two channels that never answer, two that answer to the left and to the right half."""

    nonnegative, workers, device, neighbours, head = True, 2, "cpu", (), None

    def __call__(self, pixels: Any) -> Any:
        n, height, width, _ = pixels.shape
        values = np.zeros((n, 4, height // 8, width // 8), np.float32)
        values[:, 0, :, : width // 16] = 1
        values[:, 1, :, width // 16 :] = 2
        return values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    return tmp_path / "pictures"


def test_the_figures_are_those_of_the_activations(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"nothing")
    candidate = Candidate("planes", "Relu", 4, 16, 16, 8, True, "NCHW", "float32")
    found = compare_layers(
        folder,
        [candidate],
        lambda _: Planes(),
        resize=Resize("square", 128),
        ks=(1, 2),
        pictures=7,  # type: ignore[arg-type, return-value]
    )
    (layer,) = found.layers
    assert found.pictures == 6 and found.recommended == "planes" and found.k == 2
    assert (layer.height, layer.width, layer.zeros, layer.dead) == (16, 16, 0.75, 0.5)
    assert layer.explained == pytest.approx((0.8, 1.0), abs=1e-6)  # energies 4 and 1, nothing shared
    assert layer.stability == pytest.approx((1.0, 1.0), abs=1e-6)
    shares = np.array([0.8, 0.2])
    assert layer.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


class Brightness(Planes):
    """One channel answers to bright pictures, another to dark ones."""

    def __call__(self, pixels: Any) -> Any:
        values = np.zeros((len(pixels), 4, 8, 8), np.float32)
        values[:, 0 if pixels.mean() > 128 else 1] = 1
        return values


def test_halves_that_have_nothing_in_common_are_unstable(tmp_path: Path) -> None:
    for i in range(6):  # bright and dark by turns
        Image.new("RGB", (64, 64), (255 * (i % 2),) * 3).save(tmp_path / f"{i}.png")
    candidate = Candidate("planes", "Relu", 4, 8, 8, 8, True, "NCHW", "float32")
    found = compare_layers(tmp_path, [candidate], lambda _: Brightness(), ks=(1,))  # type: ignore[arg-type, return-value]
    assert found.layers[0].stability == pytest.approx((0.0,), abs=1e-6)
    assert found.layers[0].explained == pytest.approx((0.5,), abs=1e-6)


def test_the_effective_rank_counts_directions() -> None:
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.normal(size=(50, 3)))[0]
    assert effective_rank(orthogonal @ rng.normal(size=(3, 3)) * 0 + orthogonal[:, :1]) >= 1
    assert effective_rank(np.repeat(orthogonal, 2, axis=1)) == pytest.approx(3.0)


def test_the_deepest_fine_and_living_layer_is_recommended() -> None:
    deep, coarse = replace(FINE, name="deep", height=14, width=14), replace(FINE, name="coarse", height=7, width=7)
    chosen, why = recommend([FINE, deep, coarse])
    assert chosen is deep and "coarse behind it is too coarse (7x7)" in why
    chosen, why = recommend([FINE, replace(deep, dead=0.6)])
    assert chosen is FINE and "mostly dead" in why
    chosen, why = recommend([replace(FINE, dead=0.9), replace(deep, dead=0.6)])
    assert chosen.name == "deep" and "60%" in why
    chosen, why = recommend([coarse, replace(coarse, name="coarser", height=4)])
    assert chosen is coarse and "larger --size" in why


def test_k_goes_as_far_as_the_halves_agree() -> None:
    some = replace(FINE, ks=(1, 2, 3, 4), stability=(0.99, 0.95, 0.7, 0.95))
    assert some.stable_k() == 2
    assert replace(some, stability=(0.5, 0.9, 0.9, 0.9)).stable_k() == 1
    assert replace(some, stability=(1.0,) * 4).stable_k() == 4


def test_too_few_pictures_are_said(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    candidate = Candidate("planes", "Relu", 4, 16, 16, 8, True, "NCHW", "float32")
    with pytest.raises(NoImagesError, match="1 of 1 pictures can be used, and halves are compared"):
        compare_layers(tmp_path, [candidate], lambda _: Planes())  # type: ignore[arg-type, return-value]
    with pytest.raises(UsageError, match="2 are needed"):
        compare_layers(tmp_path, [candidate], lambda _: Planes(), pictures=1)  # type: ignore[arg-type, return-value]


def test_the_plot_is_xml_whatever_the_layers_are_called() -> None:
    names = ("a", '<script>"&', "b\x01\u202e")
    curves = [Curve(name, (1, 4), (0.5, 0.8), (1.0, 0.9), name == "a") for name in names]
    root = ElementTree.fromstring(layers_svg(curves, "net & co"))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a (recommended)" in texts and '<script>"&' in texts and "b\\x01\\u202e" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 6


def test_the_command_prints_a_table_and_a_reason(folder: Path, tmp_path: Path) -> None:
    runner, plot = CliRunner(), tmp_path / "plot.svg"
    line = ["layers", "compact", "--on", str(folder), "--size", "224", "-k", "2"]
    shown = runner.invoke(app, [*line, "--plot", str(plot)])
    assert shown.exit_code == 0, shown.output
    rows = shown.stdout.splitlines()
    assert rows[0].split() == ["channels", "grid", "zeros", "dead", "rank", "k=2", "stable", "ms", "layer"]
    assert rows[-2].endswith("features *") and rows[-1].startswith("* --layer features -k ")
    assert "14x14" in rows[-1] and ElementTree.parse(plot)
    said = json.loads(runner.invoke(app, [*line, "--json"]).stdout)
    assert said["recommended"] == "features" and said["layers"][0]["ks"] == [1, 2, 3, 4, 6, 8]
    with pytest.raises(UsageError, match="--plot needs --on"):
        runner.invoke(app, ["layers", "compact", "--plot", str(plot)], catch_exceptions=False)
