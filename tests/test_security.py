"""`SECURITY.md` names a test for every line, and each of them is there."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = [line for line in (ROOT / "SECURITY.md").read_text("utf-8").splitlines() if line.startswith("| ")][1:]


def test_the_model_speaks_of_everything_that_comes_in() -> None:
    said = " ".join(line.split("|")[1] for line in LINES)
    for word in ("picture", "model", "checkpoint", "weights", "bank", "index", "report", "file names", "server URL",
                 "pickled ground truth", ".mat", "side files", "XML", "labels", "card"):  # fmt: skip
        assert word in said


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[4].strip().strip("`").split("::")[-1][:60])
def test_every_line_names_a_test_that_exists(line: str) -> None:
    _, what, tried, done, held, _ = (cell.strip() for cell in line.split("|"))
    assert what and tried and done
    found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", held)
    assert found, held
    tree = ast.parse((ROOT / found[1]).read_text("utf-8"))
    assert found[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_control_character_of_a_file_name_reaches_the_terminal(tmp_path: Path) -> None:
    names = (b"\x1b[2J.png", b"bell\x07.png", b"new\nline.png", b"\xff.png", "\u202egpj.png".encode())
    (tmp_path / "pictures").mkdir()
    for name in names:
        (tmp_path / "pictures" / os.fsdecode(name)).write_bytes(b"no picture")
    (tmp_path / "m\x1b[31m.onnx").write_bytes(b"no network")
    for more in ((), ("--model", tmp_path / "m\x1b[31m.onnx")):
        command = [sys.executable, "-m", "dff_onnx", "run", tmp_path / "pictures", "-o", tmp_path / "out", *more]
        ended = subprocess.run(command, capture_output=True, check=False, cwd=ROOT)
        assert ended.returncode in (4, 5) and ended.stdout == b""
        assert not [code for code in ended.stderr.rstrip(b"\n") if code < 32 and code != 10]
        assert "\u202e" not in ended.stderr.decode()
