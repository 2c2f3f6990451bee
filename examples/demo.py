"""`make demo`: the main job on the pictures beside this file, with the embedded backbone.

python examples/demo.py OUT
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Sets of pictures, and how many concepts each is looked through for.
SETS = {"bunny": 4, "rodents": 4}


def main() -> int:
    """Runs dff-onnx on every set."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo")
    for name, k in SETS.items():
        command = ["run", str(HERE / name), "-o", str(out / name), "-k", str(k)]
        sys.stderr.write(f"$ dff-onnx {' '.join(command)}\n")
        code = subprocess.run([sys.executable, "-m", "dff_onnx", *command], check=False).returncode
        if code:
            return code
    sys.stderr.write("\nLook at the reports in a browser; a concept has one colour in all pictures of a set:\n")
    for name in SETS:
        sys.stderr.write(f"  {out / name / 'report.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
