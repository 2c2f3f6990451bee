"""Downloads from a server that truncates, lies, redirects, stalls and disappears."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from rough_server import serving

import dff_onnx.zoo.download as module
from dff_onnx.errors import NetworkError, OutputError
from dff_onnx.progress import Silent
from dff_onnx.zoo.card import Weights
from dff_onnx.zoo.download import download, is_complete

DATA = np.random.default_rng(0).bytes(3 * 2**20 + 17)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)


def weights(url: str, data: bytes = DATA, mib: float = 0.0) -> Weights:
    return Weights(url, hashlib.sha256(data).hexdigest()[:8], mib)


class Counter(Silent):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.steps = 0

    def advance(self, steps: int = 1) -> None:
        self.steps += steps


@pytest.mark.parametrize(
    "manners",
    [
        ("honest",),
        ("redirect", "honest"),
        ("half", "honest"),
        ("half", "half", "half", "half", "half", "half", "honest"),
        ("stall", "honest"),
        ("chunks", "honest"),
        ("half", "no range"),
        ("error 503", "error 429", "honest"),
        ("half", "error 500", "honest"),
        ("short", "honest"),
    ],
    ids=" then ".join,
)
def test_the_file_arrives_whole(manners: tuple[str, ...], tmp_path: Path) -> None:
    with serving(DATA, *manners) as server:
        download(weights(server.url, mib=3.0), tmp_path / "w", Silent())
    assert (tmp_path / "w").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


@pytest.mark.parametrize("mib", [2.9, 3.1, 40.0])
def test_a_size_that_a_card_says_roughly_is_no_obstacle(mib: float, tmp_path: Path) -> None:
    with serving(DATA, "no range") as server:
        download(weights(server.url, mib=mib), tmp_path / "w", Silent())
    assert (tmp_path / "w").read_bytes() == DATA and len(server.asked) == 1


def test_what_came_before_is_not_asked_for_again(tmp_path: Path) -> None:
    (tmp_path / "w.part").write_bytes(DATA[:1000])
    counter = Counter()
    with serving(DATA, "half", "honest") as server:
        download(weights(server.url), tmp_path / "w", counter)
    half = 1000 + (len(DATA) - 1000) // 2
    assert server.asked == ["bytes=1000-", f"bytes={half}-"] and counter.steps == 3
    assert (tmp_path / "w").read_bytes() == DATA


@pytest.mark.parametrize("left", [b"of another file", DATA + b"too long"])
def test_what_an_earlier_try_left_of_another_file_is_thrown_away(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.part").write_bytes(left)
    with serving(DATA) as server:
        download(weights(server.url), tmp_path / "w", Silent())
    assert server.asked[-1] == "" and (tmp_path / "w").read_bytes() == DATA


def test_a_part_that_is_complete_needs_no_byte_more(tmp_path: Path) -> None:
    (tmp_path / "w.part").write_bytes(DATA)
    with serving(DATA) as server:
        download(weights(server.url), tmp_path / "w", Silent())
    assert (tmp_path / "w").read_bytes() == DATA and len(server.asked) == 1


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("other", "sent another file: its sha256 begins with"),
        ("error 404", r"cannot be downloaded \(HTTP 404"),
        ("error 500", r"cannot be downloaded \(HTTP 500"),
        ("dizzy", r"cannot be downloaded \(HTTP 302"),
        ("more", "sends more than the 4 MiB"),
        ("stall", r"no byte for 0\.3 s\); the 2\.[0-9] MiB that came are kept"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_with_the_way_out(
    manner: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIES", 1)
    manners = ["stall", "half", "frozen"] if manner == "stall" else [manner]
    with serving(DATA, *manners) as server, pytest.raises(NetworkError, match=said) as caught:
        download(weights(server.url, mib=3.0), tmp_path / "w", Silent())
    assert server.url in str(caught.value) and (manner == "more" or str(tmp_path / "w") in str(caught.value))
    assert not (tmp_path / "w").exists()


def test_nobody_there_is_said_with_the_place_for_the_file(tmp_path: Path) -> None:
    with serving(DATA) as server:
        pass  # it disappears
    with pytest.raises(NetworkError, match=rf"{server.url}: .*refused.*put it at {tmp_path / 'w'}"):
        download(weights(server.url), tmp_path / "w", Silent())


def test_a_server_that_disappears_in_the_middle_leaves_what_came(tmp_path: Path) -> None:
    with (
        serving(DATA, "half", "error 503") as server,
        pytest.raises(NetworkError, match=r"1\.5 MiB that came are kept"),
    ):
        download(weights(server.url), tmp_path / "w", Silent())
    with serving(DATA) as server:
        download(weights(server.url), tmp_path / "w", Silent())
    assert server.asked == [f"bytes={len(DATA) // 2}-"] and is_complete(tmp_path / "w", weights(server.url))


def test_a_name_that_is_not_known_is_not_tried_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 60.0)
    with pytest.raises(NetworkError, match="the server's name is not known"):
        download(weights("http://no-such-host.invalid/w"), tmp_path / "w", Silent())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "w.part").mkdir()
    with serving(DATA) as server, pytest.raises(OutputError, match="cannot be written"):
        download(weights(server.url), tmp_path / "w", Silent())
