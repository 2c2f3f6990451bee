"""What somebody deploys: compiled files of the frames in examples/bunny, and pictures that have the wanted size."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from dff_onnx import Backbone, Settings, read_bank, run
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.concepts.bank import bank_bytes
from dff_onnx.deploy import Form
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.compile_ import compile_bank, compile_fit

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "deploy"
BUNNY = ROOT / "examples" / "bunny"
# Names that are more than letters: quotes, a backslash, other alphabets, markup that must not become an element.
NAMES = ("face", "<img src=x onerror=alert(1)>", 'say "grün" \\ 草', None)
TOLERANCE = 1e-4
K = len(NAMES)
SHORT = Resize("short", 128)

Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Deployed:
    """Files to deploy, and what they say of the pictures when Python runs them.

    Attributes:
        folder: where all of it is.
        concepts: a compiled bank of four concepts, with `NAMES`.
        other: the same bank, for pictures that keep their shape, and with boxes of whole masks.
        fit: the compiled factorization, four concepts.
        pictures: PNG files of 224 x 224 pixels: eight frames, and noise that the bank does not explain.
        pixels: theirs, `(9, 224, 224, 3)`.
        frame: a frame of 560 x 315 pixels, as PNG: of a large JPEG the pipeline decodes a half, and others do not.
        expected: the outputs of `concepts` for the pictures, by name.
        expected_of_frame: the outputs of `other` for the frame, at the size that it wants.
    """

    folder: Path
    concepts: Path
    other: Path
    fit: Path
    pictures: tuple[Path, ...]
    pixels: NDArray[np.uint8] = field(repr=False)
    frame: Path
    expected: Outputs = field(repr=False)
    expected_of_frame: Outputs = field(repr=False)


def make_files(folder: Path) -> Deployed:
    run(BUNNY, folder / "run", Backbone.open(threads=1), Settings(k=K, overlays="none", report="none"))
    bank = replace(read_bank(folder / "run" / "bank.npz"), names=NAMES)
    concepts, other, fit = (folder / f"{name}.onnx" for name in ("concepts", "other", "fit"))
    for name, resize, form in (("bank", Resize(), Form()), ("other", SHORT, Form(tight_boxes=True))):
        (folder / f"{name}.npz").write_bytes(bank_bytes(replace(bank, resize=resize)))
        compile_bank(folder / f"{name}.npz", other if name == "other" else concepts, form)
    compile_fit(embedded_model(), fit, K)
    frames = sorted(BUNNY.glob("*.jpg"))
    seen = [read_picture(path, Resize()).pixels for path in frames]
    pixels = np.stack([*seen, np.random.default_rng(0).integers(0, 256, seen[0].shape, np.uint8)])
    pictures = tuple(folder / f"{number}.png" for number in range(len(pixels)))
    for path, picture in zip(pictures, pixels, strict=True):
        Image.fromarray(picture).save(path)
    with Image.open(frames[0]) as whole:
        whole.save(folder / "frame.png")
    of_frame = outputs_of(other, read_picture(folder / "frame.png", SHORT).pixels[None])
    expected = outputs_of(concepts, pixels)
    return Deployed(folder, concepts, other, fit, pictures, pixels, folder / "frame.png", expected, of_frame)


def outputs_of(model: Path, pixels: NDArray[np.uint8]) -> Outputs:
    """What ONNX Runtime in Python makes of the pictures, each by itself, by the names of the outputs."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    values = [session.run(None, {"image": picture[None]}) for picture in pixels]
    names = [one.name for one in session.get_outputs()]
    return {name: np.concatenate(of_all) for name, of_all in zip(names, zip(*values, strict=True), strict=True)}


def skip_or_fail(sentence: str) -> None:
    """The one of tests/conftest.py, which cannot be imported by its name: this folder has a conftest.py as well."""
    spec = importlib.util.spec_from_file_location("conftest_of_all_tests", ROOT / "tests" / "conftest.py")
    assert spec is not None and spec.loader is not None
    of_all = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(of_all)
    of_all.skip_or_fail(sentence)


def tool(name: str, package: str) -> str:
    """The path of a program; skips the test, or fails it, without it."""
    found = shutil.which(name)
    if found is None:
        skip_or_fail(f"needs {name}: apt install {package}")
    return str(found)


def need_packages_of(example: str) -> None:
    """Skips the test, or fails it, where an example's npm packages are not installed."""
    if not (EXAMPLES / example / "node_modules").is_dir():
        skip_or_fail(
            f"needs npm packages: cd examples/deploy/{example} && npm install --ignore-scripts --no-package-lock"
        )
