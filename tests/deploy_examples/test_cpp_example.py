"""examples/deploy/cpp, built against the library inside the Python package and the test's own header."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from deploy_files import EXAMPLES, NAMES, SHORT, TOLERANCE, Deployed, skip_or_fail, tool
from PIL import Image
from spoken import parse

from dff_onnx.images import read_picture

pytestmark = pytest.mark.slow

CPP = EXAMPLES / "cpp"
STRICT = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")


@pytest.fixture(scope="session")
def runtime_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like ONNX Runtime's own archive: `include` and `lib`."""
    root = tmp_path_factory.mktemp("onnxruntime")
    (root / "include").symlink_to(Path(__file__).parent / "abi")
    libraries = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.1*"))
    if not libraries:
        skip_or_fail("needs ONNX Runtime's library for Linux, which comes with its Python package there")
    (root / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (root / "lib" / name).symlink_to(libraries[0])
    return root


@pytest.fixture(scope="session")
def program(cpp_compiler: str, runtime_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("cpp") / "concepts"
    lib = runtime_root / "lib"
    linked = (f"-I{runtime_root / 'include'}", f"-L{lib}", f"-Wl,-rpath,{lib}", "-lonnxruntime")
    done = subprocess.run(
        [cpp_compiler, *STRICT, str(CPP / "concepts.cpp"), *linked, "-o", str(built)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture
def pictures(deployed: Deployed, tmp_path: Path) -> list[Path]:
    """The deployed pictures as PPM files."""
    paths = [tmp_path / f"{number}.ppm" for number in range(len(deployed.pixels))]
    for path, pixels in zip(paths, deployed.pixels, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def run_program(program: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in (program, *words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_numbers_and_heat_maps_are_pythons(
    program: Path, deployed: Deployed, pictures: list[Path], tmp_path: Path
) -> None:
    done = run_program(program, tmp_path, deployed.concepts, *pictures)
    assert (done.returncode, done.stderr) == (0, "")
    spoken = parse(done.stdout)
    assert [name for name, _ in spoken[0].named] == [f"'{name or 'concept 3'}'" for name in NAMES]
    assert [one.explained for one in spoken] == [True] * 8 + [False]
    assert np.allclose([one.loss for one in spoken], deployed.expected["loss"], atol=TOLERANCE)
    assert np.allclose([one.scores for one in spoken], deployed.expected["scores"], atol=TOLERANCE)
    assert np.array_equal([one.boxes for one in spoken], deployed.expected["boxes"])
    for number, maps in enumerate(deployed.expected["heatmaps"]):
        for concept, heat in enumerate(maps):
            levels = np.asarray(Image.open(tmp_path / f"{number}-concept-{concept}.pgm"), np.float32)
            assert np.abs(levels - 255 * np.clip(heat, 0, 1)).max() < 0.5 + 255 * TOLERANCE


def test_a_picture_of_any_shape_goes_in_as_it_is(program: Path, deployed: Deployed, tmp_path: Path) -> None:
    Image.fromarray(read_picture(deployed.frame, SHORT).pixels).save(tmp_path / "wide.ppm")
    [one] = parse(run_program(program, tmp_path, deployed.other, "wide.ppm").stdout)
    expected = deployed.expected_of_frame
    assert one.loss == pytest.approx(expected["loss"][0], abs=TOLERANCE)
    assert np.allclose(one.scores, expected["scores"][0], atol=TOLERANCE)
    assert np.array_equal(one.boxes, expected["mask_boxes"][0])
    with Image.open(tmp_path / "wide-concept-0.pgm") as heat:
        assert heat.size == SHORT.target(560, 315)


def test_what_cannot_be_used_is_said_in_a_sentence(
    program: Path, deployed: Deployed, pictures: list[Path], tmp_path: Path
) -> None:
    network = EXAMPLES.parents[1] / "models" / "compact.onnx"
    odd = {
        b"P6 2 2 255\nabc": "is cut short",
        b"P6 # no numbers": "its header is damaged",
        b"P6 99999999999999999999 1 255\n": "its header is damaged",
        b"P6 65536 65536 255\n": "has too many pixels",
        b"P6 1 1 65535\nabcdef": "has other than 8 bits a channel",
        b"\x89PNG": "is no binary PPM file (P6)",
        b"P6 2 2 255\n" + bytes(12): "pictures of 32 pixels a side at least",
    }
    cases = [(deployed.fit, pictures[0], "holds no concepts of a bank"), (network, pictures[0], "was not compiled by")]
    for number, (content, sentence) in enumerate(odd.items()):
        (tmp_path / f"odd-{number}.ppm").write_bytes(content)
        cases.append((deployed.concepts, tmp_path / f"odd-{number}.ppm", sentence))
    for model, picture, sentence in cases:
        done = run_program(program, tmp_path, model, picture)
        assert (done.returncode, done.stdout) == (1, "") and sentence in done.stderr, (sentence, done)


def test_damaged_metadata_ends_in_a_sentence(
    program: Path, deployed: Deployed, pictures: list[Path], tmp_path: Path
) -> None:
    model = onnx.load(deployed.concepts)
    [entry] = model.metadata_props
    whole = entry.value
    fields = json.loads(whole)
    others = ["", "{", "[" * 1_000_000, whole[:-1], whole + "x", "{}", whole.replace('"concepts": [', '"concept": [')]
    others += [json.dumps(fields | {"limit": "much"}), json.dumps(fields | {"concepts": [1]}), '{"kind": "\\u00"}']
    for text in others:
        entry.value = text
        onnx.save(model, tmp_path / "odd.onnx")
        done = run_program(program, tmp_path, "odd.onnx", pictures[0])
        assert (done.returncode, done.stdout) == (1, "") and "metadata" in done.stderr, (text[:40], done)


def test_a_name_cannot_speak_to_the_terminal(
    program: Path, deployed: Deployed, pictures: list[Path], tmp_path: Path
) -> None:
    model = onnx.load(deployed.concepts)
    [entry] = model.metadata_props
    entry.value = entry.value.replace("face", "\\u001b[2J")
    onnx.save(model, tmp_path / "odd.onnx")
    done = run_program(program, tmp_path, "odd.onnx", pictures[0])
    assert "'?[2J' score" in done.stdout and "\x1b" not in done.stdout


def test_cmake_builds_it_too(runtime_root: Path, deployed: Deployed, pictures: list[Path], tmp_path: Path) -> None:
    cmake, build = tool("cmake", "cmake"), tmp_path / "build"
    for words in (["-S", str(CPP), "-B", str(build), f"-DONNXRUNTIME_ROOT={runtime_root}"], ["--build", str(build)]):
        done = subprocess.run([cmake, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run_program(build / "concepts", tmp_path, deployed.concepts, pictures[0])
    assert np.allclose(parse(done.stdout)[0].scores, deployed.expected["scores"][0], atol=TOLERANCE)
