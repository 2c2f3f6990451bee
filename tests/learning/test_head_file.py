"""Files of heads: what is written comes back, and nothing else is taken."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from banks import archive_of, entries, npy
from mutations import mutated
from npz_attacks import attacks, replaced, told
from torture_tier import each, tiers

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.learning.head_file import FittedHead, head_bytes, read_head
from dff_onnx.linear_head import LinearHead
from dff_onnx.records import Fingerprint, Preprocessing

WEIGHTS = np.random.default_rng(0).normal(0, 1, (3, 5)).astype(np.float32)


def fitted(**changes: Any) -> FittedHead:
    known: dict[str, Any] = {
        "head": LinearHead(WEIGHTS, WEIGHTS[:, 0].copy(), pool="max", unit=True),
        "names": ("cats", "dogs", "ä, *"),
        "fingerprint": Fingerprint("ab" * 32, "relu5_4", Preprocessing(layout="NCHW", dtype="float32")),
        "resize": Resize("short", 256),
        "pictures": (3, 4, 5),
        "others": 2,
        "provenance": {"C": 1.0, "C_asked": "cv", "converged": True, "numpy": "2.0"},
    }
    return FittedHead(**known | changes)


def written(tmp_path: Path, data: bytes | None = None) -> Path:
    (tmp_path / "head.npz").write_bytes(head_bytes(fitted()) if data is None else data)
    return tmp_path / "head.npz"


def test_a_head_comes_back_as_it_was(tmp_path: Path) -> None:
    kept, found = fitted(), read_head(written(tmp_path))
    for field in fields(FittedHead):
        if field.name != "head":
            assert getattr(found, field.name) == getattr(kept, field.name)
    assert (found.head.pool, found.head.unit, found.head.rectified) == ("max", True, False)
    points = np.random.default_rng(1).random((4, 5), np.float32)
    np.testing.assert_array_equal(found.head.of_pooled(points), kept.head.of_pooled(points))
    assert found.settings() == kept.settings() and head_bytes(found) == head_bytes(kept)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": ("a", "b")}, "2 names"),
        ({"names": ("a", "b", "b")}, "2 names"),
        ({"names": ("a", "b", "\x1b[2J")}, "control character: '.x1b"),
        ({"pictures": (1, 2)}, "2 counts"),
        ({"pictures": (1, 2, -3)}, "no counts"),
        ({"pictures": (1, 2, True)}, "no counts"),
        ({"others": 1.5}, "no counts"),
        ({"head": LinearHead(WEIGHTS.astype(np.float64), WEIGHTS[:, 0])}, "float32"),
        ({"head": LinearHead(WEIGHTS * np.float32(1e13), WEIGHTS[:, 0])}, "below 1e"),
    ],
)
def test_a_head_that_cannot_be_is_refused_when_it_is_made(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        fitted(**changes)


HOSTILE = attacks("weights", WEIGHTS) | {
    "a bias of another length": replaced(bias=npy(np.zeros(2, np.float32))),
    "a bias that is a matrix": replaced(bias=npy(WEIGHTS)),
    "a bias that is no number": replaced(bias=npy(np.full(3, np.nan, np.float32))),
    "weights that leave float32": replaced(weights=npy(np.full((3, 5), 3e38, np.float32))),
    "names in one text": told(names="abc"),
    "a name that is a list": told(names=[["a"], "b", "c"]),
    "two equal names": told(names=["a", "a", "b"]),
    "a name that clears the screen": told(names=["a", "b", "\x1b[2J"]),
    "a name of two lines": told(names=["a", "b", "c\nd"]),
    "unit as a number": told(unit=1),
    "counts in a text": told(pictures="345"),
    "a count that is text": told(pictures=[3, "4", 5]),
    "a negative count": told(pictures=[3, -4, 5]),
    "others without end": told(others=10**400),
    "provenance with a tree": told(provenance={"a": {"b": 1}}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_head_is_refused_with_its_path_and_what_to_do(case: str, tmp_path: Path) -> None:
    path = written(tmp_path, archive_of(HOSTILE[case](entries(head_bytes(fitted())))))
    with pytest.raises(RefusedError, match=r"head\.npz: .*`dff-onnx fit` wrote") as caught:
        read_head(path)
    assert len(str(caught.value)) < 400 + len(str(path)) and str(caught.value).isprintable()


def test_features_are_no_head_and_no_file_is_a_wrong_argument(tmp_path: Path) -> None:
    contents = entries(head_bytes(fitted()))
    path = written(tmp_path, archive_of({"features.npy": contents["weights.npy"], "about.npy": contents["about.npy"]}))
    with pytest.raises(RefusedError, match=r"holds .*features"):
        read_head(path)
    with pytest.raises(UsageError, match="there is no such file"):
        read_head(tmp_path / "none.npz")


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    data = head_bytes(fitted())
    for size in range(0, len(data), 13):
        with pytest.raises(RefusedError):
            read_head(written(tmp_path, data[:size]))


@tiers("mutated heads")
def test_of_mutated_heads_each_is_refused_or_unchanged(cases: range, tmp_path: Path) -> None:
    good = head_bytes(fitted())

    def judge(_: int, rng: np.random.Generator) -> str:
        try:
            found = read_head(written(tmp_path, mutated(good, rng)))
        except RefusedError:
            return "refused"
        assert head_bytes(found) == good
        return "unchanged"

    found = each(cases, judge)
    assert 0 < found["unchanged"] < found["refused"]
