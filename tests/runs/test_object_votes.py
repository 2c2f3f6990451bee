"""Votes of regions as an index keeps them: equal bytes for equal votes, damage refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dff_onnx.errors import RefusedError, StoreError, UsageError
from dff_onnx.npz_file import npz_bytes
from dff_onnx.retrieval import normalized
from dff_onnx.retrieval.saliency import RegionVotes
from dff_onnx.runs import object_votes
from dff_onnx.runs.object_votes import FORM, ObjectVotes, votes_bytes, votes_of, votes_sha256

PATHS = ("a/b.jpg", "c\udcff.jpg", "ä.png")


def some_votes(**changes: Any) -> ObjectVotes:
    rng = np.random.default_rng(0)
    vectors = normalized(rng.random((7, 4)).astype(np.float32))
    scores, centralities = (rng.random(7).astype(np.float32) for _ in range(2))
    votes = ObjectVotes(RegionVotes(vectors, np.arange(7) % 3, scores, centralities), PATHS, "ab" * 32, 20)
    return replace(votes, **changes)


def fields_of(votes: ObjectVotes) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays = {name: np.asarray(getattr(votes.regions, name)) for name in FORM.sides}
    return arrays, {"paths": ["a", "b", "c"], "state": votes.state, "neighbours": votes.neighbours}


def test_votes_come_back_as_they_were_kept_paths_of_any_bytes_too() -> None:
    votes = some_votes()
    found = votes_of(votes_bytes(votes), "x")
    assert (found.paths, found.state, found.neighbours) == (votes.paths, votes.state, 20)
    for name in FORM.sides:
        assert np.array_equal(getattr(found.regions, name), getattr(votes.regions, name))
    assert votes_bytes(found) == votes_bytes(votes) and votes_sha256(found) == votes_sha256(votes)


def test_a_picture_is_known_by_its_path() -> None:
    assert [some_votes().number_of(path) for path in (*PATHS, "other.jpg")] == [0, 1, 2, None]


@pytest.mark.parametrize(
    ("arrays", "about"),
    [
        ({"owners": np.array([0, 1, 2, 0, 1, 2, 3])}, {}),
        ({"owners": np.array([0, 1, 2, 0, 1, 2, 0.5])}, {}),
        ({"owners": np.array([0, 1, 2, 0, 1, 2, -1])}, {}),
        ({"scores": np.ones(6)}, {}),
        ({"centralities": np.full(7, -1.0)}, {}),
        ({"scores": np.full(7, np.nan)}, {}),
        ({}, {"paths": ["a", "a", "b"]}),
        ({}, {"paths": ["a", "b", "\u20ac"]}),
        ({}, {"neighbours": 0}),
        ({}, {"neighbours": "many"}),
        ({}, {"state": 3}),
    ],
)
def test_votes_that_cannot_be_are_refused_by_the_name_of_their_index(arrays: Any, about: Any) -> None:
    good, said = fields_of(some_votes())
    with pytest.raises(StoreError, match=r"^index\.db: its votes"):
        votes_of(npz_bytes(FORM, good | arrays, said | about), "index.db: its votes")


def test_damaged_bytes_are_refused() -> None:
    data = votes_bytes(some_votes())
    for wrong in (b"", data[:200], data[:-40]):
        with pytest.raises(StoreError, match=r"^x: "):
            votes_of(wrong, "x")


def test_regions_of_nobody_are_refused() -> None:
    with pytest.raises(RefusedError, match="belongs to none of the 2 pictures"):
        some_votes(paths=PATHS[:2])


def test_more_than_can_be_kept_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_votes, "FORM", replace(FORM, largest=2**20 + 100))
    with pytest.raises(UsageError, match="7 regions are more than"):
        votes_bytes(some_votes())
