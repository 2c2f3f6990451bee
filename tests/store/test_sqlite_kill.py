"""`kill -9` at any moment: what was committed is there, once, and the rest can follow."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_entries import entry, held, identity_of, written_down
from torture_tier import counted

from dff_onnx.errors import OutputError, StoreError
from dff_onnx.store import SqliteStore

IMAGES = 1000
ADDING = Path(__file__).with_name("adding.py")
ROOT = Path(__file__).parents[2]


def adding(path: Path, batch: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(ADDING), str(path), str(IMAGES), str(batch)]
    paths = os.pathsep.join([str(ROOT), str(ADDING.parent)])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})


def kill_and_resume(path: Path, times: int, seed: int) -> None:
    rng = random.Random(seed)
    told = 0
    for number in range(times):
        with adding(path, 7) as process:
            assert process.stdout is not None
            if number % 4:  # else while it starts, or makes the file
                for _ in range(rng.randrange(1, 12)):
                    process.stdout.readline()
                time.sleep(rng.random() * 0.01)
            else:
                time.sleep(rng.random() * 0.3)
            process.send_signal(signal.SIGKILL)
        count = judge_killed(path)
        assert count >= told
        told = count
    with adding(path, 50) as process:
        assert process.communicate()[0].startswith("ready") and process.returncode == 0
    with SqliteStore.open(path) as store:
        assert held(store) == written_down([entry(f"{n:05}.jpg", regions=n % 3) for n in range(IMAGES)])
        assert store.check() == ()


def judge_killed(path: Path) -> int:
    """How many images there are: the first ones, all of them whole."""
    try:
        with SqliteStore.open(path) as store:
            assert store.check() == ()
            paths = list(store.stamps())
    except (StoreError, FileNotFoundError) as error:
        assert "nothing at all" in str(error)  # killed while it made the file
        return 0
    except Exception as error:  # noqa: BLE001
        assert "no such file" in str(error)
        return 0
    assert paths == [f"{n:05}.jpg" for n in range(len(paths))]
    return len(paths)


@pytest.mark.slow
@counted("kill -9 of the store", 20)
def test_a_thousand_images_survive_twenty_kills(path: Path) -> None:
    kill_and_resume(path, 20, 0)


@counted("kill -9 of the store", 4)
def test_images_survive_kills(path: Path) -> None:
    kill_and_resume(path, 4, 1)


@pytest.mark.torture
@counted("kill -9 of the store", 1000)
def test_images_survive_a_thousand_kills(tmp_path: Path) -> None:
    for seed in range(50):
        kill_and_resume(tmp_path / f"{seed}.db", 20, seed)


def test_what_was_told_to_be_committed_is_there_after_a_kill(path: Path) -> None:
    with adding(path, 10) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(6)]
        process.send_signal(signal.SIGKILL)
    assert judge_killed(path) >= int(told[-1]) == 50


def test_another_process_that_writes_is_named_and_readers_go_on(path: Path) -> None:
    with adding(path, 1) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(3)] == ["ready", "1", "2"]
        with pytest.raises(OutputError, match=rf"is being written by process {process.pid}; wait until it is done"):
            SqliteStore.write(path, identity_of())
        with SqliteStore.open(path) as store:
            assert len(held(store)) >= 2 and store.check() == ()
        process.send_signal(signal.SIGKILL)
    SqliteStore.write(path, identity_of()).close()
