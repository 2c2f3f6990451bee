"""`make bench`: every benchmark that this machine can run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Runs them one after the other; those on real data need `DFF_ONNX_DATA`."""
    python = sys.executable
    plot = HERE.parent / "out" / "loss-against-time.png"
    plot.parent.mkdir(exist_ok=True)
    commands = [
        [python, str(HERE / "factorization.py"), "--plot", str(plot)],
        [python, str(HERE / "deploy.py")],
        [python, str(HERE / "store.py")],
    ]
    named = os.environ.get("DFF_ONNX_DATA")
    if not named:
        print("DFF_ONNX_DATA is unset: the benchmarks on real networks and photographs are left out")
        return _run(commands)
    with tempfile.TemporaryDirectory() as scratch:
        model = str(Path(scratch) / "squeezenet1_1.onnx")
        weights = str(Path(named) / "models" / "squeezenet1_1.safetensors")
        commands += [
            [python, "-m", "dff_onnx", "export", "squeezenet1_1", "--weights", weights, "-o", model],
            [python, str(HERE / "pipeline.py"), model],
            [python, str(HERE / "icoseg_k1.py")],
            [python, str(HERE / "embedded.py")],
            [python, str(HERE / "layers.py")],
            [python, str(HERE / "crf.py")],
            [python, str(HERE / "foreground.py")],
            [python, str(HERE / "quantize.py"), "steps", "groups", "speed"],
            [python, str(HERE / "where.py")],
            [python, str(HERE / "retrieval.py")],
            [python, str(HERE / "saliency.py")],
        ]
        return _run(commands)


def _run(commands: list[list[str]]) -> int:
    return max(subprocess.run(command, check=False).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main())
