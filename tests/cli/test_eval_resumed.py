"""`eval finegrained`, `retrieval` and `where`, ended and given again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

for folder in ("datasets", "evaluation"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

import bird_scenes  # noqa: E402
import retrieval_scenes  # noqa: E402
from figures import colour_network  # noqa: E402
from square_trees import square, write_group  # noqa: E402

from dff_onnx.cli import main  # noqa: E402
from dff_onnx.errors import OutputError  # noqa: E402
from dff_onnx.evaluation import claimed  # noqa: E402
from dff_onnx.files import write_atomically  # noqa: E402
from dff_onnx.runs.workplace import RESUME  # noqa: E402
from dff_onnx.store import RowStore  # noqa: E402

Program = Callable[..., tuple[int, str]]


def coseg(tmp_path: Path) -> list[str | Path]:
    for name, corner in (("cats", 16), ("dogs", 0)):
        write_group(tmp_path / "set", name, [square(corner)] * 6, corner)
    return ["coseg", tmp_path / "set"]


def corloc(tmp_path: Path) -> list[str | Path]:
    return ["corloc", *coseg(tmp_path)[1:]]


def finegrained(tmp_path: Path) -> list[str | Path]:
    return ["finegrained", bird_scenes.write_scenes(tmp_path / "birds", 4)]


def retrieval(tmp_path: Path) -> list[str | Path]:
    others = retrieval_scenes.write_scenes(tmp_path / "others", 4, seed=1)
    return ["retrieval", retrieval_scenes.write_scenes(tmp_path / "scenes", 4), "--systems", "rmac", "--whiten", others]


def where(tmp_path: Path) -> list[str | Path]:
    return ["where", *coseg(tmp_path)[1:], "-k", "3"]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """The program, in this process: its exit code and what it said to stderr."""
    colour_network(tmp_path / "colours.onnx")

    def run(*words: str | Path) -> tuple[int, str]:
        of = ("eval", *words, "--size", "64", "--model", tmp_path / "colours.onnx")
        monkeypatch.setattr("signal.signal", lambda *_: None)
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, of)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


@pytest.mark.parametrize("words_of", [finegrained, retrieval, where])
def test_what_was_ended_goes_on_and_nobody_else_is_at_work_there(
    words_of: Callable[[Path], list[str | Path]], program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, out, added, add = words_of(tmp_path), tmp_path / "out", list[int](), RowStore.add
    assert program(*words, "-o", tmp_path / "whole")[0] == 0

    def full(store: RowStore, *part: Any) -> None:
        if len(added) == 4:
            raise OutputError("there is no room")
        added.append(len(added))
        add(store, *part)

    with monkeypatch.context() as patched:
        patched.setattr(RowStore, "add", full)
        code, said = program(*words, "-o", out)
    assert code == OutputError.exit_code and "there is no room" in said and list((out / RESUME).glob("*.rows"))
    with claimed(out, {}, False):
        code, said = program(*words, "-o", out)
    assert code == 2 and "is at work there; wait until it is done" in " ".join(said.split())
    added.clear()
    code, said = program(*words, "-o", out)
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["figures.json", "plot.svg", "table.md"]
    assert all(path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes() for path in out.iterdir())


@pytest.mark.parametrize("room", [0, 1, 2])
@pytest.mark.parametrize("words_of", [coseg, corloc, finegrained, retrieval, where])
def test_what_cannot_be_written_is_not_computed_again(
    words_of: Callable[[Path], list[str | Path]],
    room: int,
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words, out, opened, written = words_of(tmp_path), tmp_path / "out", list[int](), list[Path]()

    def full(path: Path, data: bytes) -> None:
        if len(written) == room:
            raise OutputError("there is no room")
        written.append(path)
        write_atomically(path, data)

    with monkeypatch.context() as patched:
        patched.setattr("dff_onnx.evaluation.folder.write_atomically", full)
        assert program(*words, "-o", out)[0] == OutputError.exit_code
    run = onnxruntime.InferenceSession.run

    def looked(*given: Any, **more: Any) -> Any:
        opened.append(1)
        return run(*given, **more)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", looked)
    assert program(*words, "-o", out)[0] == 0
    assert not opened and sorted(path.name for path in out.iterdir()) == ["figures.json", "plot.svg", "table.md"]
