"""examples/deploy/python: the script runs without dff-onnx, and prints what dff-onnx finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deploy_files import BUNNY, EXAMPLES, NAMES, Deployed
from PIL import Image
from spoken import parse

from dff_onnx import ApplySettings, Backbone, apply, read_bank

pytestmark = pytest.mark.slow

SCRIPT = EXAMPLES / "python" / "concepts.py"
# Blocks what the script promises not to need, then runs it as it is.
WITHOUT = """
import runpy, sys
for name in ("dff_onnx", "onnx", "scipy"):
    sys.modules[name] = None
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def run_script(folder: Path, *words: object) -> str:
    command = [sys.executable, "-c", WITHOUT, SCRIPT, *words]
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_is_as_short_as_its_readme_says() -> None:
    lines = len(SCRIPT.read_text(encoding="utf-8").splitlines())
    assert lines < 30 and f"{lines} lines" in (SCRIPT.parent / "README.md").read_text(encoding="utf-8")


def test_scores_boxes_and_losses_are_those_of_the_pipeline(deployed: Deployed, tmp_path: Path) -> None:
    """On the frames as they are: the script decodes and scales as the pipeline does."""
    frames = sorted(BUNNY.glob("*.jpg"))
    spoken = parse(run_script(tmp_path, deployed.concepts, *frames))
    bank = read_bank(deployed.folder / "bank.npz")
    plain = ApplySettings(overlays="none", report="none")
    applied = apply(bank, BUNNY, tmp_path / "applied", Backbone.open(threads=1), plain)
    assert [one.path for one in spoken] == [str(path) for path in frames]
    for one, image in zip(spoken, applied.images, strict=True):
        assert one.loss == pytest.approx(image.loss, abs=1e-4) and one.explained
        assert one.scores == pytest.approx([concept.score for concept in image.concepts], abs=1e-4)
    assert [name for name, _ in spoken[0].named] == [repr(name or "concept 3") for name in NAMES]


def test_pictures_of_the_wanted_size_give_what_the_runtime_gives(deployed: Deployed, tmp_path: Path) -> None:
    spoken = parse(run_script(tmp_path, deployed.concepts, *deployed.pictures))
    assert np.allclose([one.loss for one in spoken], deployed.expected["loss"], atol=1e-4)
    assert np.allclose([one.scores for one in spoken], deployed.expected["scores"], atol=1e-4)
    assert np.array_equal([one.boxes for one in spoken], deployed.expected["boxes"])
    assert [one.explained for one in spoken] == [True] * 8 + [False]


def test_a_file_for_pictures_of_any_shape_is_obeyed(deployed: Deployed, tmp_path: Path) -> None:
    [one] = parse(run_script(tmp_path, deployed.other, deployed.frame))
    assert one.loss == pytest.approx(deployed.expected_of_frame["loss"][0], abs=1e-4)
    assert np.allclose(one.scores, deployed.expected_of_frame["scores"][0], atol=1e-4)
    assert np.array_equal(one.boxes, deployed.expected_of_frame["mask_boxes"][0])


def test_an_overlay_shows_the_hottest_concept_in_its_colour(deployed: Deployed, tmp_path: Path) -> None:
    run_script(tmp_path, deployed.concepts, deployed.pictures[0])
    drawn = np.asarray(Image.open(tmp_path / "0-concepts.png"), np.int16)
    heat = deployed.expected["heatmaps"][0]
    assert drawn.shape == (224, 224, 3)
    y, x = np.unravel_index(heat[2].argmax(), heat[2].shape)  # concept 2, #f5f445, peaks in this picture
    assert np.abs(drawn[y, x] - [0xF5, 0xF4, 0x45]).max() <= 2
