"""Builds the wheel and the sdist, looks into them, and does the main job with the wheel where nothing else is.

    python .ci/dist.py [PYTHON ...]

Each PYTHON gets an environment of its own that has the wheel and its run-time dependencies alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What must be in the wheel, beside Python files: a path, and how many files of its kind there are at least.
NEEDED = {
    "dff_onnx/py.typed": 1,
    "dff_onnx/arrays/*.cu": 2,
    "dff_onnx/datasets/*.toml": 1,
    "dff_onnx/datasets/*.txt": 1,
    "dff_onnx/report/*.css": 1,
    "dff_onnx/report/page/*.js": 1,
    "dff_onnx/report/page/*.html": 1,
    "dff_onnx/report/page/*.css": 1,
    "dff_onnx/models/*.onnx": 1,
    "dff_onnx/models/*.toml": 12,
    "dff_onnx/models/LICENSE-Apache-2.0.txt": 1,
}
# Nothing of the run-time may bring these along.
FOREIGN = ("torch", "pytest", "hypothesis", "sklearn", "cv2", "array_api_strict", "pycocotools", "matplotlib", "jax")
LARGEST = 16 * 2**20  # bytes of the wheel
# Runs a command in this process, and says which foreign packages it has imported.
PROBE = f"""
import sys
from dff_onnx.cli import main
try:
    main()
except SystemExit as ended:
    code = ended.code or 0
else:
    code = 0
found = sorted({{name.split(".")[0] for name in sys.modules}} & set({FOREIGN!r}))
sys.exit(f"imported {{found}}" if found else code)
"""


def main() -> None:
    pythons = sys.argv[1:] or [sys.executable]
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    check_wheel(wheel)
    check_sdist(sdist)
    for python in pythons:
        with tempfile.TemporaryDirectory() as folder:
            try_wheel(wheel, python, Path(folder))
    print(f"dist: {wheel.name} ({wheel.stat().st_size} bytes) and {sdist.name} are good in {len(pythons)} Pythons")


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Runs a command as a user would, with nothing of this checkout on its path, and gives what it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ended = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))}: ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


def check_wheel(wheel: Path) -> None:
    """It holds all data that the program reads, every file of the package, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for pattern, least in NEEDED.items():
        found = [name for name in names if Path(name).match(pattern) and name.count("/") == pattern.count("/")]
        if len(found) < least:
            sys.exit(f"{wheel.name}: has {len(found)} of {pattern}, and {least} are needed")
    top = {name.split("/")[0] for name in names}
    if {one for one in top if not one.endswith(".dist-info")} != {"dff_onnx"}:
        sys.exit(f"{wheel.name}: holds {sorted(top)}, and dff_onnx alone belongs there")
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dff_onnx").rglob("*.py")}
    missing = sources - set(names)
    if missing:
        sys.exit(f"{wheel.name}: lacks {sorted(missing)}; is the package listed in pyproject.toml?")
    if wheel.stat().st_size > LARGEST:
        sys.exit(f"{wheel.name}: has {wheel.stat().st_size} bytes, more than {LARGEST}")


def check_sdist(sdist: Path) -> None:
    """It holds what the wheel is built of; nobody's pictures, environments or outputs."""
    with tarfile.open(sdist) as archive:
        names = ["/".join(name.split("/")[1:]) for name in archive.getnames()]
    for needed in ("pyproject.toml", "README.md", "LICENSE", "models/compact.onnx", "dff_onnx/report/page/page.html"):
        if needed not in names and not (needed.endswith("html") and any(name.endswith(".html") for name in names)):
            sys.exit(f"{sdist.name}: lacks {needed}")
    wrong = [name for name in names if name.startswith((".venv", "out/", "dist/", "shared", ".git/", "examples/"))]
    if wrong:
        sys.exit(f"{sdist.name}: holds {wrong[:5]}")


def try_wheel(wheel: Path, python: str, folder: Path) -> None:
    """Installs the wheel in a new environment, and runs, indexes and searches the example pictures there."""
    run(python, "-m", "venv", folder / "env")
    inside = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(inside, "-m", "pip", "install", "--quiet", wheel)
    run(inside, "-m", "pip", "check")
    said = run(inside, "--version").strip()
    shutil.copytree(ROOT / "examples" / "rodents", folder / "rodents")
    for command in (
        ("doctor",),
        ("run", "rodents", "-o", "out"),
        ("apply", "out/bank.npz", "rodents", "-o", "again"),
        ("compile", "out/bank.npz", "-o", "concepts.onnx"),
        ("index", "rodents", "-o", "index.db"),
        ("search", "index.db", str(next(path for path in (folder / "rodents").iterdir() if path.suffix == ".jpg"))),
        ("models", "list"),
    ):
        run(inside, "-c", PROBE, *command, folder=folder)
        print(f"dist: {said}: dff-onnx {command[0]} works with run-time dependencies alone")
    for written in ("out/report.html", "out/results.json", "out/bank.npz", "again/results.json", "concepts.onnx"):
        if not (folder / written).stat().st_size:
            sys.exit(f"{written}: is empty")


if __name__ == "__main__":
    main()
