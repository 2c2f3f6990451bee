"""A run that was ended, however it was, goes on where it stopped and ends as one that never was."""

from __future__ import annotations

import errno
import json
import random
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from killing import contents, ended, killed, moments, started
from made_pictures import picture
from running import SETTINGS

from dff_onnx.errors import ImageError, ModelError, OutputError, UsageError
from dff_onnx.images import Picture, Resize, read_picture
from dff_onnx.runs import collect
from dff_onnx.runs.run import run
from dff_onnx.runs.workplace import RESUME

RUNNING = Path(__file__).with_name("running.py")
MANY = 40


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty pictures, one of them damaged."""
    made = tmp_path / "many"
    (made / "deep").mkdir(parents=True)
    for seed in range(MANY):
        picture(seed).save(made / ("deep" if seed > 30 else ".") / f"{seed:02}.png")
    (made / "17.png").write_bytes(b"nothing")
    return made


def running(folder: Path, out: Path, log: Path, most: int | None = None) -> list[str | Path]:
    return [sys.executable, RUNNING, folder, out, log, "0.03", *([] if most is None else [str(most)])]


def committed(out: Path) -> int:
    """Files of the list that the journal says are dealt with."""
    for journal in (out / RESUME).glob("*.journal"):
        lines = [line for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return 4 * max(0, len(lines) - 1)
    return 0


def pictures(folder: Path) -> list[int]:
    """Checksums of the pictures as the network sees them, in their order; 0 where there is none."""
    paths = sorted(folder.rglob("*.png"), key=lambda path: str(path.relative_to(folder)))
    return [
        0 if path.name == "17.png" else zlib.crc32(read_picture(path, SETTINGS.resize).pixels.tobytes())
        for path in paths
    ]


def kill_and_resume(folder: Path, tmp_path: Path, times: int, seed: int) -> None:
    longest = ended(running(folder, tmp_path / "whole", tmp_path / "log-of-all"))
    whole, numbers, rng, kills = contents(tmp_path / "whole"), pictures(folder), random.Random(seed), 0
    while kills < times:
        out, there = tmp_path / f"out{kills}", 0
        for number, moment in enumerate(moments(rng, longest)):
            log = tmp_path / f"log{kills}-{number}"
            going = killed(running(folder, out, log), moment)
            again = {int(line) for line in log.read_text().split()} if log.is_file() else set()
            assert not again & set(numbers[:there]), "what was committed went through the network again"
            if not going:
                break
            kills += 1
            there = committed(out)
        assert contents(out) == whole


def test_a_run_survives_kills_and_computes_nothing_twice_that_was_committed(many: Path, tmp_path: Path) -> None:
    kill_and_resume(many, tmp_path, 4, 0)


@pytest.mark.slow
def test_a_run_survives_twenty_kills(many: Path, tmp_path: Path) -> None:
    kill_and_resume(many, tmp_path, 20, 1)


class Failing(Colours):
    """Goes well a few times."""

    workers = 1

    def __init__(self, error: Exception) -> None:
        self._error, self._left = error, 5

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        self._left -= 1
        if not self._left:
            raise self._error
        return super().__call__(pixels)


@pytest.fixture
def begun(many: Path, tmp_path: Path) -> Path:
    """The folder of a run that was killed after a few parts."""
    out, log = tmp_path / "begun", tmp_path / "log"
    with started(running(many, out, log, most=5)) as process:
        while committed(out) < 12 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return out


def fresh(folder: Path, out: Path) -> dict[str, bytes]:
    run(folder, out, Colours(), SETTINGS)
    return contents(out)


@pytest.mark.parametrize("damage", ["torn line", "torn rows", "flipped rows", "flipped line", "no rows", "no journal"])
def test_what_is_damaged_is_made_again(damage: str, begun: Path, many: Path, tmp_path: Path) -> None:
    [journal], [rows] = ((begun / RESUME).glob(f"*.{kind}") for kind in ("journal", "rows"))
    if damage.startswith("torn"):
        file = journal if damage == "torn line" else rows
        file.write_bytes(file.read_bytes()[:-5])
    elif damage.startswith("flipped"):
        file = journal if damage == "flipped line" else rows
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    else:
        (rows if damage == "no rows" else journal).unlink()
    run(many, begun, Colours(), SETTINGS)
    assert contents(begun) == fresh(many, tmp_path / "fresh")


def test_rows_of_pictures_that_changed_are_made_again(begun: Path, many: Path, tmp_path: Path) -> None:
    picture(100).save(many / "05.png")
    run(many, begun, Colours(), SETTINGS)
    assert contents(begun) == fresh(many, tmp_path / "fresh")


def test_a_picture_that_the_system_kept_from_us_is_tried_again(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, resize: Resize) -> Picture:
        if path.name == "02.png":
            raise ImageError(path, "cannot be opened") from PermissionError(errno.EACCES, "Permission denied")
        return read_picture(path, resize)

    with monkeypatch.context() as patched, pytest.raises(OutputError):
        patched.setattr(collect, "read_picture", denied)
        run(many, tmp_path / "out", Failing(OutputError("no more")), SETTINGS)
    assert committed(tmp_path / "out") > 4
    run(many, tmp_path / "out", Colours(), SETTINGS)
    assert contents(tmp_path / "out") == fresh(many, tmp_path / "fresh")


def test_rows_of_another_network_are_not_taken_up(begun: Path, many: Path) -> None:
    class Brighter(Colours):
        device = "cuda"

    [journal] = (begun / RESUME).glob("*.journal")
    before = journal.read_bytes()
    found = run(many, begun, Brighter(), SETTINGS)
    assert found.found.device == "cuda" and b'"device": "cpu"' in before


def test_a_run_in_progress_is_refused_with_its_process(many: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    with started(running(many, out, log, most=1)) as process:
        while process.poll() is None and not (log.is_file() and log.read_bytes()):
            time.sleep(0.01)
        with pytest.raises(UsageError, match=rf"process {process.pid} is at work there; wait until it is done"):
            run(many, out, Colours(), SETTINGS)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    run(many, out, Colours(), SETTINGS)  # the lock went with the process
    assert not (out / RESUME).exists()


def test_a_run_that_cannot_be_leaves_nothing_and_one_without_room_what_it_has(many: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        run(many, tmp_path / "out", Failing(ModelError("no more")), SETTINGS)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError):
        run(many, tmp_path / "mine", Failing(ModelError("no more")), SETTINGS)
    assert list((tmp_path / "mine").iterdir()) == []
    with pytest.raises(OutputError):
        run(many, tmp_path / "out", Failing(OutputError("no more")), SETTINGS)
    assert committed(tmp_path / "out") > 0 and not (tmp_path / "out" / RESUME / "lock").exists()
    run(many, tmp_path / "out", Colours(), SETTINGS)
    assert contents(tmp_path / "out") == fresh(many, tmp_path / "fresh")


def test_a_journal_says_what_it_is_of(begun: Path) -> None:
    [journal] = (begun / RESUME).glob("*.journal")
    head = json.loads(journal.read_bytes().splitlines()[0][9:])
    assert head["format"] == "dff-onnx/journal/1" and head["of"]["fingerprint"]["layer"] == "colours"
