"""Every call that writes fails once, with a full disk, a broken one and one that may not be written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from made_pictures import picture
from PIL import Image
from torture_tier import tiers

HERE = Path(__file__).parent
SMALL = ["--size", "64", "--device", "cpu"]
PLAIN = ["--descriptor", "rmac", *SMALL]
SAID = re.compile("cannot be|the disk (is full|failed)")
COMMANDS = (
    *("run", "apply", "compile", "masks", "features", "whiten", "index", "index of more", "index augmented"),
    "coseg",
)


def program(*arguments: str | Path, shim: Path | None = None) -> str:
    """What a Python program prints."""
    more = {"LD_PRELOAD": str(shim)} if shim else {}
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths} | more
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def plan_of(command: str, pictures: Path, tmp_path: Path, many: int) -> dict[str, Any]:
    """What is tried: arguments, the folder they write below, and what lies there before."""
    before, folder = tmp_path / "before", tmp_path / "out"
    (before / "earlier").mkdir(parents=True)
    (before / "earlier" / "result.json").write_text("{}")
    some = tmp_path / "some"
    some.mkdir()
    for number in range(many):
        (some / f"{number}.png").hardlink_to(pictures / f"{number}.png")
    if command == "coseg":
        (tmp_path / "masks").mkdir()
        for path in some.iterdir():
            Image.open(path).convert("L").point(lambda grey: 255 * (grey > 20)).save(tmp_path / "masks" / path.name)
    if command in ("apply", "compile", "masks"):
        program("-m", "dff_onnx", "run", some, "-o", tmp_path / "first", "-k", "2", *SMALL)
    if command == "index of more":
        program("-m", "dff_onnx", "index", some, "-o", before / "index.db", *PLAIN)
        (some / "new.png").hardlink_to(pictures / "new.png")
    if command == "index augmented":
        program("-m", "dff_onnx", "index", some, "-o", tmp_path / "plain.db", *PLAIN)
    arguments: dict[str, Sequence[str | Path]] = {
        "run": ["run", some, "-o", folder / "run", "-k", "2", *SMALL],
        "apply": ["apply", tmp_path / "first" / "bank.npz", some, "-o", folder / "applied", "--device", "cpu"],
        "compile": ["compile", tmp_path / "first" / "bank.npz", "-o", folder / "x.onnx"],
        "masks": ["masks", tmp_path / "first", "-o", folder / "masks"],
        "features": ["features", some, "-o", folder / "features.npz", *SMALL],
        "whiten": ["whiten", some, "-o", folder / "whitening.npz", *PLAIN],
        "index": ["index", some, "-o", folder / "index.db", *PLAIN],
        "index augmented": ["index-augment", tmp_path / "plain.db", "-o", folder / "index.db"],
        "coseg": ["eval", "coseg", some, "--masks", tmp_path / "masks", "-o", folder / "figures", *SMALL],
        "index of more": ["index", some, "-o", folder / "index.db", *PLAIN],
    }
    known = {"arguments": list(map(str, arguments[command])), "folder": str(folder), "before": str(before)}
    return known | {"every": many > 3}


@pytest.mark.parametrize("command", COMMANDS)
@tiers("failing writes")
def test_whatever_call_fails_the_command_says_so_and_the_next_one_completes(
    cases: range, command: str, shim: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(len(cases)):
        picture(number).save(pictures / f"{number}.png")
    picture(1000).save(pictures / "new.png")
    (tmp_path / "plan.json").write_text(json.dumps(plan_of(command, pictures, tmp_path, len(cases))))
    whole, *trials = json.loads(program(HERE / "failing_calls.py", tmp_path / "plan.json", shim=shim))
    assert whole["code"] == 0 and len(trials) >= 2 * whole["again"] >= 10, whole["said"]
    for trial in trials:
        judge(trial, whole)
        if command.startswith("index"):
            judge_index(trial, len(cases), command == "index of more")


def judge(trial: dict[str, Any], whole: dict[str, Any]) -> None:
    said = f"{trial['error']} at call {trial['call']}: {trial['said']!r}"
    if trial["code"] == 0:  # a folder that need not be made, say: all is there
        logs = {name for name in trial["files"] if name.endswith(("-wal", "-shm"))}  # or what the next one reads first
        assert trial["files"].keys() - logs == whole["files"].keys(), said
    else:
        assert trial["code"] == 7 and "Traceback" not in trial["said"] and SAID.search(trial["said"]), said
    # What a command that is given again takes up stays, and nothing else that is half done.
    half = [name for name in trial["files"] if name.endswith((".part", ".dff-resume/lock"))]
    assert not half and not [name for name in trial["files"] if ".dff-" in name.replace(".dff-resume/", "")], said
    settled = {name for name in whole["files"] if "index.db" not in name}
    for name, digest in trial["files"].items():
        assert name not in settled or digest == whole["files"][name] or name.endswith("run.toml"), (name, said)
    assert trial["files"]["earlier/result.json"] == whole["files"]["earlier/result.json"]
    if trial["after"] is not None:
        assert trial["again"] == 0, (said, trial["words"])
        assert all(trial["after"][name] == whole["files"][name] for name in settled), said
        assert not [name for name in trial["after"] if ".dff-" in name], said


def judge_index(trial: dict[str, Any], pictures: int, earlier: bool) -> None:
    """All that was there is there and sound, and the command that follows adds the rest."""
    names = sorted(f"{number}.png" for number in range(pictures))
    whole = sorted([*names, "new.png"]) if earlier else names
    found = trial["indexed"]
    assert found is None or set(found) <= set(whole), trial
    if earlier:
        assert found is not None and set(names) <= set(found), trial
    if trial["after"] is not None:
        assert sorted(trial["indexed again"]) == whole, trial
