"""examples/deploy/node: the command line's JSON, and the module's heat maps."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploy_files import EXAMPLES, NAMES, SHORT, TOLERANCE, Deployed
from PIL import Image

pytestmark = pytest.mark.slow

CLI = EXAMPLES / "node" / "cli.mjs"
# As a program that embeds the module does it: heat maps as floats into a file.
EMBEDDING = """
import {{ writeFile }} from "node:fs/promises";
import {{ openConcepts }} from "{module}";
const concepts = await openConcepts("{model}");
for (const [number, picture] of {pictures}.entries()) {{
  const {{ heatmaps }} = await concepts.inFile(picture);
  await writeFile(`{out}/${{number}}.raw`, heatmaps);
}}
"""


def cli(node: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [node, CLI, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def test_scores_boxes_and_losses_are_pythons(node_example: str, deployed: Deployed) -> None:
    done = cli(node_example, deployed.concepts, *deployed.pictures)
    assert (done.returncode, done.stderr) == (0, "")
    results: list[dict[str, Any]] = json.loads(done.stdout)
    assert [one["picture"] for one in results] == [str(path) for path in deployed.pictures]
    assert {(one["width"], one["height"]) for one in results} == {(224, 224)}
    assert [one["explained"] for one in results] == [True] * 8 + [False]
    assert np.allclose([one["loss"] for one in results], deployed.expected["loss"], atol=TOLERANCE)
    for result, scores, boxes in zip(results, deployed.expected["scores"], deployed.expected["boxes"], strict=True):
        concepts = result["concepts"]
        assert [one["name"] for one in concepts] == list(NAMES)
        assert np.allclose([one["score"] for one in concepts], scores, atol=TOLERANCE)
        assert [one["box"] or [0, 0, 0, 0] for one in concepts] == boxes.tolist()


def test_a_file_for_pictures_of_any_shape_is_obeyed(node_example: str, deployed: Deployed) -> None:
    [result] = json.loads(cli(node_example, deployed.other, deployed.frame).stdout)
    expected = deployed.expected_of_frame
    assert [result["width"], result["height"]] == list(SHORT.target(560, 315))
    assert result["loss"] == pytest.approx(expected["loss"][0], abs=TOLERANCE)
    assert np.allclose([one["score"] for one in result["concepts"]], expected["scores"][0], atol=TOLERANCE)
    assert [one["box"] for one in result["concepts"]] == expected["mask_boxes"][0].tolist()


def test_heat_maps_are_pythons(node_example: str, deployed: Deployed, tmp_path: Path) -> None:
    script = EMBEDDING.format(
        module=(CLI.parent / "concepts.mjs").as_uri(),
        model=deployed.concepts.as_posix(),
        pictures=json.dumps([path.as_posix() for path in deployed.pictures]),
        out=tmp_path.as_posix(),
    )
    subprocess.run([node_example, "--input-type=module", "-e", script], check=True)
    for number, expected in enumerate(deployed.expected["heatmaps"]):
        found = np.fromfile(tmp_path / f"{number}.raw", np.float32).reshape(expected.shape)
        assert np.abs(found - expected).max() < TOLERANCE


def test_a_picture_that_cannot_be_used_is_named_and_the_others_are_not_lost(
    node_example: str, deployed: Deployed, tmp_path: Path
) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    done = cli(node_example, deployed.concepts, tmp_path / "no.png", deployed.pictures[0])
    assert done.returncode == 3
    assert "no.png: cannot be used as a picture" in done.stderr
    assert [one["picture"] for one in json.loads(done.stdout)] == [str(deployed.pictures[0])]


def test_files_that_hold_no_concepts_are_refused_in_a_sentence(
    node_example: str, deployed: Deployed, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(deployed.concepts.read_bytes()[:-1])
    network = EXAMPLES.parents[1] / "models" / "compact.onnx"
    wrong = {
        deployed.fit: "holds no concepts of a bank",
        deployed.pictures[0]: "is no ONNX file, or is cut short",
        cut: "is no ONNX file, or is cut short",
        network: "was not compiled by dff-onnx",
    }
    for path, sentence in wrong.items():
        done = cli(node_example, path, deployed.pictures[0])
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr.startswith(f"{path}: {sentence}") and done.stderr.count("\n") == 1


def test_a_picture_with_transparency_and_a_turn_is_read_as_python_reads_it(
    node_example: str, deployed: Deployed, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 4), np.uint8)).resize((300, 200), Image.Resampling.BICUBIC)
    white = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    turned, flat = tmp_path / "turned.png", tmp_path / "flat.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    small.save(turned, exif=exif)
    white.transpose(Image.Transpose.ROTATE_270).save(flat)
    done = cli(node_example, deployed.concepts, turned, flat)
    first, second = json.loads(done.stdout)
    assert first["loss"] == pytest.approx(second["loss"], abs=2e-3)  # blending rounds otherwise by one level
