"""What Node and the page share: reading the metadata out of an ONNX file, and Pillow's way of scaling."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from deploy_files import EXAMPLES, Deployed
from PIL import Image

from dff_onnx.deploy.metadata import KEY
from dff_onnx.images import Resize

pytestmark = pytest.mark.slow

WEB = EXAMPLES / "web"


def run_module(node: str, script: str, folder: Path) -> Any:
    """What an ES module prints as JSON; names of the shared functions are imported for it."""
    imports = "".join(
        f'import {{ {names} }} from "{(WEB / module).as_uri()}";\n'
        for module, names in {"metadata.mjs": "compiledOf", "resize.mjs": "resized, wantedSize"}.items()
    )
    whole = f'{imports}import {{ readFileSync, writeFileSync }} from "node:fs";\n{script}'
    command = [node, "--input-type=module", "-e", whole]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_metadata_is_what_onnx_reads(node: str, deployed: Deployed, tmp_path: Path) -> None:
    for path in (deployed.concepts, deployed.fit):
        script = f'console.log(JSON.stringify(compiledOf(readFileSync("{path.as_posix()}"))))'
        texts = {one.key: one.value for one in onnx.load(path).metadata_props}
        assert run_module(node, script, tmp_path) == json.loads(texts[KEY])


def test_damaged_files_give_a_sentence_and_nothing_else(node: str, deployed: Deployed, tmp_path: Path) -> None:
    """Cut at many places, and with single bytes changed: read as it was, or refused in one of three ways."""
    script = f"""
    const whole = new Uint8Array(readFileSync("{deployed.concepts.as_posix()}"));
    const damaged = [];
    for (let i = 0; i < 400; i++) {{
      damaged.push(whole.subarray(0, Math.floor((i * whole.length) / 400)));
      const changed = i % 2 ? whole.slice(-4000) : whole.slice();
      changed[(i * 7919) % changed.length] ^= 1 << i % 8;
      damaged.push(changed);
    }}
    const said = new Set();
    for (const bytes of damaged) {{
      try {{ said.add(compiledOf(bytes).kind); }} catch (error) {{ said.add(error.message.slice(0, 22)); }}
    }}
    console.log(JSON.stringify([...said]));
    """
    said = set(run_module(node, script, tmp_path))
    assert said <= {"concepts", "is no ONNX file, or is", "was not compiled by df", "says things of itself "}
    assert {"concepts", "is no ONNX file, or is"} <= said


@pytest.mark.parametrize("mode", ["square", "short", "long"])
def test_pictures_get_the_size_that_python_gives_them(node: str, tmp_path: Path, mode: Any) -> None:
    sizes = [(560, 315), (1, 1), (33, 1000), (224, 224), (1001, 77), (448, 449), (5, 8000)]
    resizes = [Resize(mode, pixels) for pixels in (32, 224, 225, 448)]
    script = f"""
    const found = [];
    for (const pixels of [32, 224, 225, 448]) for (const [width, height] of {json.dumps(sizes)}) {{
      const size = wantedSize({{ mode: "{mode}", pixels }}, {{ width, height }});
      found.push([size.width, size.height]);
    }}
    console.log(JSON.stringify(found));
    """
    expected = [list(resize.target(*size)) for resize in resizes for size in sizes]
    assert run_module(node, script, tmp_path) == expected


@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_are_scaled_as_pillow_scales_them(node: str, tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(0)
    cases = [(560, 315, 224, 224), (224, 224, 224, 224), (100, 37, 224, 224), (224, 300, 224, 224), (17, 9, 32, 300)]
    for number, (width, height, *size) in enumerate(cases):
        pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
        pixels.tofile(tmp_path / f"{number}.in")
        scaled = Image.fromarray(pixels[..., :3]).resize(size, Image.Resampling.BILINEAR)
        np.asarray(scaled).tofile(tmp_path / f"{number}.expected")
    script = f"""
    {json.dumps(cases)}.forEach(([width, height, wide, tall], number) => {{
      const pixels = new Uint8Array(readFileSync(`${{number}}.in`));
      const size = {{ width: wide, height: tall }};
      writeFileSync(`${{number}}.out`, resized(pixels, {channels}, {{ width, height }}, size));
    }});
    console.log("null");
    """
    run_module(node, script, tmp_path)
    for number in range(len(cases)):
        out, expected = (np.fromfile(tmp_path / f"{number}.{name}", np.uint8) for name in ("out", "expected"))
        assert np.array_equal(out, expected)
