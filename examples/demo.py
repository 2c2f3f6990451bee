"""`make demo`: the main job on six photographs of a gymnast, from `DFF_ONNX_DATA`.

python examples/demo.py OUT
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MISSING = """\
The demo needs a trained network and photographs, and none are part of this repository yet.
Set DFF_ONNX_DATA to a folder with models/squeezenet1_1.safetensors and icoseg/images/, or use your own:

    dff-onnx export vgg19 --weights vgg19-dcbb9e9d.pth --layer relu5_4 -o vgg19.onnx
    dff-onnx run YOUR_PICTURES -o out --model vgg19.onnx -k 4
"""


def main() -> int:
    """Exports SqueezeNet and runs it."""
    named = os.environ.get("DFF_ONNX_DATA")
    if not named:
        sys.stderr.write(MISSING)
        return 2
    data, out = Path(named), Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo")
    model = out.parent / "squeezenet1_1.onnx"
    weights = data / "models" / "squeezenet1_1.safetensors"
    pictures = data / "icoseg" / "images" / "036 Gymnastics-1"
    for command in (
        ["export", "squeezenet1_1", "--weights", str(weights), "--layer", "fire9", "-o", str(model)],
        ["run", str(pictures), "-o", str(out), "--model", str(model), "-k", "4"],
    ):
        sys.stderr.write(f"$ dff-onnx {' '.join(f'{word!r}' if ' ' in word else word for word in command)}\n")
        code = subprocess.run([sys.executable, "-m", "dff_onnx", *command], check=False).returncode
        if code:
            return code
    sys.stderr.write(f"\nLook at {out / 'overlays'}: head and arms, torso, legs and the beam have a colour each.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
