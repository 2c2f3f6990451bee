"""`whiten`, `index` and `index-info` as a person meets them."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "evaluation"))

from figures import colour_network

from dff_onnx.cli import main
from dff_onnx.errors import StoreError, UsageError
from dff_onnx.store import open_store

COLOURS = {"green": (70, 180, 84), "red": (205, 78, 70)}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Program = Callable[..., Ended]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """The program, in this process: a new one for each command would take most of the time."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else int(code is not None), *capfd.readouterr())

    return run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures of a green square, three of a red one."""
    for name, colour in COLOURS.items():
        for number in range(3):
            pixels = np.full((64, 64, 3), (124, 116, 104), np.uint8)
            pixels[8 * number : 8 * number + 32, 16:48] = colour
            path = tmp_path / "pictures" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def test_a_folder_is_whitened_indexed_and_brought_up_to_date(program: Program, pictures: Path, tmp_path: Path) -> None:
    colour_network(tmp_path / "colours.onnx")  # beside the index: found by its sha256
    words: list[str | Path] = ["--size", "64", "-k", "2", "--model", tmp_path / "colours.onnx", "--multi-scale"]
    ended = program("whiten", pictures, "-o", tmp_path / "w.npz", "--dimensions", "3", *words)
    assert ended.returncode == 0 and ended.stdout == "", ended.stderr
    assert "3 of 12 dimensions from " in ended.stderr and "parts of 6 pictures, device cpu" in ended.stderr
    where = tmp_path / "index.db"
    ended = program("index", pictures, "-o", where, "--whitening", tmp_path / "w.npz", "--json", *words)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["added"], said["images"], said["failures"], said["index"]) == (6, 6, [], str(where))
    assert "6 added, 0 changed, 0 removed, 0 unchanged, 0 could not be used; it holds 6 pictures" in ended.stderr
    (pictures / "red" / "1.png").unlink()
    (pictures / "bad.png").write_bytes(b"bad")
    ended = program("index", pictures, "-o", where)  # nothing needs to be said again
    assert ended.returncode == 3 and ended.stdout == ""
    assert "0 added, 0 changed, 1 removed, 5 unchanged, 1 could not be used" in ended.stderr
    assert "left out: bad.png: is not a picture" in ended.stderr


def test_an_index_tells_what_it_holds(program: Program, pictures: Path, tmp_path: Path) -> None:
    where = tmp_path / "index.db"
    words = ["--size", "64", "--descriptor", "rmac", "--float32"]
    assert program("index", pictures, "-o", where, *words).returncode == 0
    told = program("index-info", where)
    assert told.returncode == 0 and "descriptor rmac, levels 3, scales 1, size 64" in told.stdout
    assert "384 dimensions, float32" in told.stdout and "whitening  none" in told.stdout
    assert "6 pictures" in told.stdout and "2 groups" in told.stdout and "3 green" in told.stdout
    assert "nothing is wrong" not in told.stdout
    assert "everything was read, nothing is wrong" in program("index-info", where, "--check").stdout
    said = json.loads(program("index-info", where, "--json").stdout)
    assert said["groups"] == [{"label": "green", "images": 3}, {"label": "red", "images": 3}]
    assert (said["images"], said["dtype"], said["problems"], said["whitening"]) == (6, "float32", None, None)
    assert json.loads(program("index-info", where, "--json", "--check").stdout)["problems"] == []


def test_a_damaged_index_is_told_of(program: Program, pictures: Path, tmp_path: Path) -> None:
    where = tmp_path / "index.db"
    assert program("index", pictures, "-o", where, "--size", "64", "--descriptor", "mac").returncode == 0
    with sqlite3.connect(where) as connection:
        connection.execute("UPDATE images SET label = 'blue' WHERE id = 2")
    connection.close()
    told = program("index-info", where, "--check")
    assert told.returncode == 5
    assert told.stdout.splitlines()[-2:] == ["1 thing wrong:", "  the image with id 2 or one of its regions is damaged"]
    assert len(json.loads(program("index-info", where, "--check", "--json").stdout)["problems"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["index", "nowhere", "-o", "x.db"], 2, "there is no such folder"),
        (["index", "pictures", "-o", "pictures"], 2, "is a folder"),
        (["index", "pictures", "-o", "x.db", "--scales", "1,big"], 2, "--scales: figures with commas"),
        (["index", "pictures", "-o", "x.db", "--scales", "1", "--multi-scale"], 2, "give one of --scales and"),
        (["index", "pictures", "-o", "x.db", "-k", "0"], 2, "k of 1 to"),
        (["index", "pictures", "-o", "x.db", "--descriptor", "gem", "-k", "5"], 2, "of concepts, and gem has none"),
        (["whiten", "pictures", "-o", "w.npz", "--descriptor", "rmac", "--weights", "root"], 2, "rmac has none"),
        (["index", "pictures", "-o", "x.db", "--size", "7"], 2, "32 to 8192 pixels"),
        (["index", "pictures", "-o", "x.db", "--whitening", "none.npz"], 2, "there is no such file"),
        (["index", "pictures", "-o", "x.db", "--whitening", "notes.npz"], 5, "cannot be read as a whitening"),
        (["index", "pictures", "-o", "notes.npz"], 5, "is not even a SQLite file"),
        (["index", "pictures", "-o", "made.db", "-k", "3"], 5, "they cannot be compared"),
        (["index", "pictures", "-o", "made.db", "--layer", "fire5"], 5, "they cannot be compared"),
        (["index", "pictures", "-o", "made.db", "--model", "colours.onnx"], 5, "its vectors come from network"),
        (["index-info", "x.db"], 2, "there is no such file"),
        (["index-info", "notes.npz", "--check"], 5, "is not even a SQLite file"),
        (["whiten", "pictures", "-o", "w.npz", "--size", "64", "--dimensions", "9999"], 2, "dimensions vary"),
        (["whiten", "pictures", "-o", "notes.npz", "--overwrite"], 2, "something else than a whitening"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    words: list[str], code: int, why: str, program: Program, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures.parent)
    colour_network(Path("colours.onnx"))
    Path("notes.npz").write_text("notes " * 40)
    assert program("index", "pictures/green/0.png", "-o", "made.db", "--size", "64", "-k", "2").returncode == 0
    before = Path("made.db").read_bytes()
    ended = program(*words)
    assert (ended.returncode, ended.stdout) == (code, "") and why in ended.stderr, ended.stderr
    assert Path("made.db").read_bytes() == before and Path("notes.npz").read_text() == "notes " * 40
    assert not Path("x.db").exists()


def indexing(pictures: Path, where: Path) -> list[str]:
    return [sys.executable, "-m", "dff_onnx", "index", str(pictures), "-o", str(where), "--size", "64", "-k", "4"]


def held(where: Path) -> dict[str, Any]:
    """Vectors and regions of each picture."""
    found: dict[str, Any] = {}
    with open_store(where) as store:
        assert store.check() == ()
        for block in store.blocks("images"):
            for record, vector in zip(store.images(block.ids.tolist()), block.vectors, strict=True):
                assert record.path not in found
                regions = store.regions_of(record.id)
                parts = store.vectors("regions", [region.id for region in regions]).tobytes() if regions else b""
                boxes = [(region.box, region.score) for region in regions]
                found[record.path] = (record.stamp, record.label, vector.tobytes(), boxes, parts)
    return found


def how_many(where: Path) -> int:
    """Pictures that an index holds, all of them whole."""
    try:
        return len(held(where))
    except (StoreError, UsageError) as error:
        assert "nothing at all" in str(error) or "no such file" in str(error)  # killed before it was made
        return 0


@pytest.mark.slow
def test_photographs_survive_kills(real_data: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    for number, photo in enumerate(sorted((real_data / "photos").rglob("*.jpg"))[:200]):
        (pictures / f"group{number % 3}").mkdir(parents=True, exist_ok=True)
        (pictures / f"group{number % 3}" / f"{number:03}.jpg").symlink_to(photo)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    began = time.monotonic()
    subprocess.run(indexing(pictures, tmp_path / "whole.db"), check=True, env=environment, capture_output=True)
    took = time.monotonic() - began
    rng, before = random.Random(0), 0
    for _ in range(6):
        command = indexing(pictures, tmp_path / "killed.db")
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            time.sleep(rng.random() * took)
            process.send_signal(signal.SIGKILL)
        now = how_many(tmp_path / "killed.db")
        assert now >= before  # what was put is not lost
        before = now
    subprocess.run(indexing(pictures, tmp_path / "killed.db"), check=True, env=environment, capture_output=True)
    assert len(held(tmp_path / "whole.db")) == 200
    assert held(tmp_path / "killed.db") == held(tmp_path / "whole.db")
