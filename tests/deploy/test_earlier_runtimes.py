"""Compiled files in earlier releases of ONNX Runtime, which `make test-all` keeps beside the environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import bank_bytes, read_bank
from dff_onnx.concepts.edits import merged
from dff_onnx.deploy import Form
from dff_onnx.images import Resize
from dff_onnx.runs.compile_ import compile_bank, compile_fit
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.verify import random_pictures

pytestmark = pytest.mark.slow

RELEASES = ("1.27.0", "1.29.0", "1.30.0")
BUNNY = Path(__file__).parent.parent.parent / "examples" / "bunny"
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, onnxruntime
assert onnxruntime.__version__ == sys.argv[2], onnxruntime.__version__
for file in sys.argv[4:]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    found = session.run(None, {"image": np.load(sys.argv[3])})
    np.savez(file + ".npz", **dict(zip(names, found)))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One file of each kind."""
    home = tmp_path_factory.mktemp("compiled")
    plain = Settings(k=3, resize=Resize("square", 96), overlays="none", report="none")
    ground = Settings(foreground=True, resize=Resize("square", 96), overlays="none", report="none")
    for name, settings in (("a", plain), ("b", ground)):
        run(BUNNY, home / name, Backbone.open(threads=1), settings)
    both = merged([read_bank(home / name / "bank.npz") for name in "ab"], lambda j: f"#{j:06x}")
    (home / "both.npz").write_bytes(bank_bytes(both))
    made = [
        compile_bank(home / "both.npz", home / "all.onnx", Form(foreground=True)),
        compile_bank(home / "both.npz", home / "unrolled.onnx", Form(unroll=30, float16=True)),
        compile_fit(embedded_model(), home / "fit.onnx", 3, resize=Resize("square", 96)),
    ]
    return [one.path for one in made]


@pytest.mark.parametrize("release", RELEASES)
def test_files_load_and_give_the_same_figures(
    release: str, files: list[Path], earlier_runtimes: Path, tmp_path: Path
) -> None:
    pixels = np.concatenate([one for _, one in random_pictures([(96, 96)] * 4)])
    np.save(tmp_path / "pixels.npy", pixels)
    words = [sys.executable, "-c", RUN, earlier_runtimes / release, release, tmp_path / "pixels.npy", *files]
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for file in files:
        session = create_session(file.read_bytes(), "cpu")
        names = [one.name for one in session.get_outputs()]
        with np.load(f"{file}.npz") as found:
            for name, expected in zip(names, session.run(None, {"image": pixels}), strict=True):
                np.testing.assert_allclose(found[name], expected, atol=1e-4, err_msg=f"{file.name}: {name}")
