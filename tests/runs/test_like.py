"""New concepts take over the colours and names of a bank."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "concepts"))

from banks import bank, foreground_bank

from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.matching import LIKE, match, mean_cosine
from dff_onnx.errors import BankError, UsageError
from dff_onnx.report.found import LikeFound
from dff_onnx.report.palette import colour, hexadecimal
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.like import Dress, dressed
from dff_onnx.runs.settings import Settings
from dff_onnx.zoo.find import find_model

FIVE = (
    "015 Ferrari 599 GTB Fiorano-599-auTomoTiVe FreAk !",
    "017 Agra Taj Mahal-Taj Mahal-LeszekZadlo",
    "020 Pyramids-Egypt - 07-richardavis",
    "021 Elephants-safari June 2008-timd2000",
    "036 Gymnastics-1",
)
CONCAT = "/fires.7/Concat_output_0"  # of fire9


def test_concepts_are_dressed_as_those_they_come_from_and_new_ones_in_free_colours() -> None:
    known = bank(3, W=np.eye(3, 5, dtype=np.float32), colours=("#010203", hexadecimal(colour(0)), "#040506"))
    W = np.eye(5, dtype=np.float32)[[3, 1, 4, 0]]
    W[1, 4] = 0.2
    found = dressed(W, known)
    assert found[0] == Dress(None, hexadecimal(colour(1)), None), "colour 0 is the bank's"
    assert found[1].name is None and found[1].colour == hexadecimal(colour(0)) and found[1].like is not None
    assert found[1].like.concept == 1 and found[1].like.cosine == pytest.approx(1 / np.sqrt(1.04))
    assert found[2] == Dress(None, hexadecimal(colour(2)), None)
    assert found[3] == Dress("ear", "#010203", LikeFound(0, 1.0))


def test_a_concept_that_is_not_like_enough_is_new() -> None:
    known = bank(1, W=np.eye(1, 5, dtype=np.float32))
    for cosine, names in ((LIKE + 0.01, ["ear"]), (LIKE - 0.01, [None])):
        W = np.array([[cosine, np.sqrt(1 - cosine**2), 0, 0, 0]], np.float32)
        assert [one.name for one in dressed(W, known)] == names


def test_a_concept_that_nothing_uses_is_like_none() -> None:
    (one,) = dressed(np.zeros((1, 5), np.float32), bank())
    assert (one.name, one.like) == (None, None) and one.colour not in bank().colours


def test_a_bank_of_a_foreground_or_of_other_channels_is_refused() -> None:
    with pytest.raises(BankError, match="5 channels, and others of the same network 7"):
        dressed(np.eye(2, 7, dtype=np.float32), bank())
    with pytest.raises(UsageError, match="without --foreground"):
        dressed(np.eye(2, 5, dtype=np.float32), foreground_bank())


def shuffled(folder: Path, out: Path, rng: np.random.Generator) -> Path:
    """The same pictures under names that sort otherwise."""
    out.mkdir()
    paths = sorted(folder.iterdir())
    for number, path in zip(rng.permutation(len(paths)), paths, strict=True):
        shutil.copyfile(path, out / f"{number:03d}{path.suffix}")
    return out


NETWORKS: dict[str, Callable[[Path], Backbone]] = {
    "compact": lambda _data: Backbone.open(find_model("compact").path, threads=1),
    "squeezenet1_1": lambda data: Backbone.open(data / "models" / "squeezenet1_1.onnx", CONCAT, threads=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_seeds_and_the_order_of_files_change_neither_concepts_nor_colours_nor_names(
    real_data: Path, tmp_path: Path, network: str
) -> None:
    backbone, rng = NETWORKS[network](real_data), np.random.default_rng(0)

    def found(folder: Path, seed: int) -> Discovery:
        return discover(folder, backbone, Settings(k=4, seed=seed))

    for number, group in enumerate(FIVE):
        folder = real_data / "icoseg" / "images" / group
        first = found(folder, 0).bank()
        second = found(shuffled(folder, tmp_path / str(number), rng), number + 1).W
        assert first is not None and second is not None
        named = replace(first, names=("a", "b", "c", "d"), colours=("#0a0a0a", "#0b0b0b", "#0c0c0c", "#0d0d0d"))
        assert mean_cosine(match(second, first.W)) > 0.98
        counterparts = {one.ours: one.theirs for one in match(second, first.W)}
        assert [(one.name, one.colour) for one in dressed(second, named)] == [
            (named.names[counterparts[j]], named.colours[counterparts[j]]) for j in range(4)
        ]
