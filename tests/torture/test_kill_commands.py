"""`kill -9` at uniformly random moments: the same command then ends as if nothing had been, and leaves no trace."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killing import PROGRAM, ended, killed, left, moments, started
from PIL import Image
from torture_tier import tiers

# The server, the weights and the lists of other folders' tests.
sys.path += [str(Path(__file__).parents[1] / name) for name in ("zoo", "export", "runs", "datasets")]
from birds import Bird, write_lists
from classifier_networks import POOLED, saved
from random_weights import weights
from rough_server import serving
from weight_files import write

PICTURES = 48


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of nothing, large enough to take a moment each."""
    made, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = rng.integers(0, 255, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((640, 480)).save(made / f"{number:02}.jpg")
    return made


@pytest.fixture(scope="module")
def given(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the words of the commands stand for: pictures, their masks, in folders, a bank, a classifier."""
    made = tmp_path_factory.mktemp("given")
    (made / "masks").mkdir()
    mask = np.zeros((480, 640), np.uint8)
    mask[:240, :240] = 255
    for picture in pictures.iterdir():
        Image.fromarray(mask).save(made / "masks" / f"{picture.stem}.png")
    birds = []
    for number, picture in enumerate(sorted(pictures.iterdir())):
        name = Path("ab"[number % 2], picture.name)
        (made / "birds" / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, made / "birds" / "images" / name)
        birds.append(Bird(str(name), number % 2 + 1, number // 2 % 2, "100 100 300 200"))
    write_lists(made / "birds", birds, ["a", "b"])
    ended([*PROGRAM, "run", pictures, "-o", made / "run", "--overlays", "none", "--report", "none"])
    bank, classifier = made / "run" / "bank.npz", saved(POOLED, made)
    found = {"PICTURES": pictures, "MASKS": made / "masks", "BANK": bank, "CLASSIFIER": classifier}
    return found | {"BIRDS": made / "birds", "FOLDERS": made / "birds" / "images"}


def kill_and_resume(words: list[str | Path], out: Path, kills: int, seed: int, **variables: str) -> None:
    """The command of the words writes below `out`, which `OUT` stands for."""
    longest = ended(_command(words, out / "whole"), **variables)
    whole, rng, number = left(out / "whole"), random.Random(seed), 0
    while number < kills:
        home = out / f"killed{number}"
        for moment in moments(rng, longest):
            if not killed(_command(words, home), moment, **variables):
                break
            number += 1
        assert left(home) == whole


def _command(words: list[str | Path], home: Path) -> list[str | Path]:
    home.mkdir(exist_ok=True)
    return [*PROGRAM, *(str(word).replace("OUT", str(home)) for word in words)]


COMMANDS: dict[str, list[str | Path]] = {
    "run": ["run", "PICTURES", "-o", "OUT/run", "--overlays", "5", "--report", "5"],
    "large run": ["run", "PICTURES", "-o", "OUT/run", "--overlays", "5", "--memory", "0", "--sample", "20"],
    "apply": ["apply", "BANK", "PICTURES", "-o", "OUT/run", "--overlays", "5", "--report", "5"],
    "cam": ["cam", "PICTURES", "-o", "OUT/run", "--model", "CLASSIFIER", "--overlays", "5", "--report", "5"],
    "coseg": ["eval", "coseg", "PICTURES", "--masks", "MASKS", "-o", "OUT/figures"],
    "finegrained": ["eval", "finegrained", "BIRDS", "-o", "OUT/figures"],
    "retrieval": [
        *["eval", "retrieval", "FOLDERS", "--systems", "rmac,dff", "--whiten", "PICTURES"],
        *["--size", "224", "-o", "OUT/figures"],
    ],
    "where": ["eval", "where", "PICTURES", "--masks", "MASKS", "--size", "224", "-k", "4", "-o", "OUT/figures"],
    "index": ["index", "PICTURES", "-o", "OUT/index.db", "--size", "224"],
}


def survive(name: str, given: dict[str, Path], tmp_path: Path, cases: range) -> None:
    kill_and_resume([given.get(str(word), word) for word in COMMANDS[name]], tmp_path, len(cases), cases.start)


@tiers("kill -9 of run")
def test_a_run_survives_kills(cases: range, given: dict[str, Path], tmp_path: Path) -> None:
    survive("run", given, tmp_path, cases)


@tiers("kill -9 of a large run")
def test_a_large_run_survives_kills(cases: range, given: dict[str, Path], tmp_path: Path) -> None:
    survive("large run", given, tmp_path, cases)


@tiers("kill -9 of apply")
def test_an_apply_survives_kills(cases: range, given: dict[str, Path], tmp_path: Path) -> None:
    survive("apply", given, tmp_path, cases)


@tiers("kill -9 of cam")
def test_a_cam_survives_kills(cases: range, given: dict[str, Path], tmp_path: Path) -> None:
    survive("cam", given, tmp_path, cases)


@pytest.mark.parametrize("name", ["coseg", "finegrained", "retrieval", "where"])
@tiers("kill -9 of eval", share=0.25)
def test_an_evaluation_survives_kills(name: str, cases: range, given: dict[str, Path], tmp_path: Path) -> None:
    survive(name, given, tmp_path, cases)


@tiers("kill -9 of index")
def test_an_index_survives_kills(cases: range, given: dict[str, Path], tmp_path: Path) -> None:
    survive("index", given, tmp_path, cases)


def fetch(tmp_path: Path, kills: int, seed: int) -> None:
    """`models get`, from a server of our own; every try has a cache of its own, which lies in `OUT`."""
    data = write(tmp_path / "weights", "safetensors", weights("vgg11", "relu2_1")).read_bytes()
    with serving(data) as server:
        card = tmp_path / "card.toml"
        card.write_text(
            f'name = "mine"\narchitecture = "vgg11"\nlayer = "relu2_1"\n[weights]\nurl = "{server.url}"\n'
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n[preprocessing]\nscale = 1\n'
        )
        words: list[str | Path] = ["models", "get", "--card", card]
        longest = ended(_command(words, tmp_path / "whole"), DFF_ONNX_CACHE=str(tmp_path / "whole"), no_proxy="*")
        whole, rng, number = left(tmp_path / "whole"), random.Random(seed), 0
        while number < kills:
            home = tmp_path / f"killed{number}"
            for moment in moments(rng, longest):
                if not killed(_command(words, home), moment, DFF_ONNX_CACHE=str(home), no_proxy="*"):
                    break
                number += 1
            assert left(home) == whole


@tiers("kill -9 of models get")
def test_models_get_survives_kills(cases: range, tmp_path: Path) -> None:
    fetch(tmp_path, len(cases), cases.start)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_says_what_goes_on(number: signal.Signals, pictures: Path, tmp_path: Path) -> None:
    words = [str(word).replace("PICTURES", str(pictures)) for word in COMMANDS["run"]]
    ended(_command(list(words), tmp_path / "whole"))
    command = _command(list(words), tmp_path / "ended")
    for _ in range(20):  # where this process waits long for the machine, the other may have ended well by then
        with started(command) as process:
            while process.poll() is None and not list((tmp_path / "ended" / "run").glob("*/*.rows")):
                time.sleep(0.01)
            process.send_signal(number)
            said = process.communicate()
        if process.returncode:
            break
    assert process.returncode == 128 + number and said[0] == ""
    assert f"dff-onnx: ended by {number.name}; this goes on from where it was: dff-onnx run {pictures}" in said[1]
    assert len(said[1].strip().splitlines()) == 1
    assert not list((tmp_path / "ended").rglob("lock"))
    ended(command)
    assert left(tmp_path / "ended") == left(tmp_path / "whole")
