"""Joining, parting, naming and comparing banks."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from banks import bank, foreground_bank
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.concepts.bank import Bank, bank_bytes
from dff_onnx.concepts.edits import diff, free_colours, merged, renamed, split
from dff_onnx.concepts.matching import LIKE, alike, match, unit_rows
from dff_onnx.errors import BankError, UsageError
from dff_onnx.images import Resize
from dff_onnx.records import Fingerprint, Preprocessing


def palette(number: int) -> str:
    return f"#0000{number:02x}"


def made(W: Any, **changes: Any) -> Bank:
    """A bank of these directions; figures count up, colours are the palette's first."""
    rows = unit_rows(np.asarray(W, np.float32)).astype(np.float32)
    k = len(rows)
    fields: dict[str, Any] = {
        "thresholds": np.arange(1, k + 1, dtype=np.float32),
        "peaks": np.arange(11, k + 11, dtype=np.float32),
        "energy": np.full(k, 1 / k, np.float32),
        "names": tuple("abcdefgh"[:k]),
        "colours": tuple(map(palette, range(k))),
        "resize": Resize("square", 224),
        "losses": (0.1, 0.2, 0.3, 0.4, 0.5),
    }
    return bank(k, rows.shape[1], W=rows, **fields | changes)


E = np.eye(4, 5)


def test_concepts_that_point_the_same_way_become_one_and_others_stay() -> None:
    tilted = E[1] + 0.2 * E[0]  # cosine 0.98
    one = made(E[:2], energy=np.float32([0.75, 0.25]), names=("head", None))
    other = made([tilted, E[2]], energy=np.float32([0.75, 0.25]), names=("torso", "leg"), peaks=np.float32([15, 3]))
    found = merged([one, other], palette)
    assert found.names == ("torso", "head", "leg")
    np.testing.assert_allclose(found.energy, [0.5, 0.375, 0.125])
    mean = 0.25 * E[1] + 0.75 * tilted / np.linalg.norm(tilted)
    np.testing.assert_allclose(found.W[0], mean / np.linalg.norm(mean), rtol=1e-6)
    assert found.colours == (palette(1), palette(0), palette(2)), "the first bank's, and a free one for the clash"
    np.testing.assert_allclose(found.thresholds, [0.25 * 2 + 0.75 * 1, 1, 2])
    assert found.peaks.tolist() == [15, 11, 3]
    assert (found.losses, found.resize) == ((), Resize("square", 224))


def test_a_first_name_wins_over_a_later_one() -> None:
    found = merged([made(E[:2], names=("head", None)), made(E[:2], names=("tail", "leg"))], palette)
    assert sorted(filter(None, found.names)) == ["head", "leg"]


@pytest.mark.parametrize(("same", "left"), [(0.9, 3), (0.99, 4), (0.05, 2)])
def test_how_alike_concepts_must_be_is_asked(same: float, left: int) -> None:
    other = made([E[0] + 0.2 * E[1], E[1] + E[2] * 9], colours=("#ffffff", "#fffffe"))
    assert len(merged([made(E[:2]), other], palette, same).W) == left


def test_concepts_of_one_bank_stay_apart_however_alike() -> None:
    twins = made([E[0], E[0] + 0.1 * E[1]])
    assert len(merged([twins, twins], palette).W) == 2
    assert len(merged([made(E[:1]), twins], palette).W) == 2


def test_a_bank_joined_with_itself_is_that_bank() -> None:
    kept = made(E + 0.1, energy=np.float32([0.4, 0.3, 0.2, 0.1]))
    found = merged([kept, kept, kept], palette)
    for name in ("W", "thresholds", "peaks", "energy"):
        np.testing.assert_allclose(getattr(found, name), getattr(kept, name), rtol=1e-6)
    assert (found.names, found.colours) == (kept.names, kept.colours)


def test_the_order_of_banks_decides_names_and_colours_alone() -> None:
    rng = np.random.default_rng(3)
    banks = [made(E + 0.1 * rng.random((4, 5)), energy=rng.dirichlet(np.ones(4)).astype(np.float32)) for _ in range(3)]
    results = [merged([banks[i] for i in order], palette) for order in permutations(range(3))]
    for found in results[1:]:
        for name in ("W", "thresholds", "peaks", "energy"):
            np.testing.assert_allclose(getattr(found, name), getattr(results[0], name), rtol=1e-5)


def test_no_two_concepts_of_a_joined_bank_have_one_colour() -> None:
    banks = [made(np.roll(np.eye(12), -4 * i, axis=0)[:4]) for i in range(3)]
    assert sorted(merged(banks, palette).colours) == sorted(map(palette, range(12)))


def test_free_colours_end_nowhere_though_the_palette_does() -> None:
    free = free_colours(["#000000"], lambda _number: "#000000")
    assert [next(free), next(free)] == ["#000000", "#000000"]


def test_unused_concepts_are_left_out() -> None:
    W = E.copy()
    W[3] = 0
    found = merged([made(W), made(W)], palette)
    assert len(found.W) == 3 and found.W.any(axis=1).all()
    with pytest.raises(UsageError, match="used by anything"):
        merged([made(np.zeros((2, 5)))] * 2, palette)


def test_banks_without_energy_can_be_joined() -> None:
    none = made(E, energy=np.zeros(4, np.float32))
    found = merged([none, none], palette)
    np.testing.assert_allclose(found.W, none.W)
    assert not found.energy.any()


def test_what_banks_say_alike_of_their_making_stays_and_pictures_are_counted() -> None:
    banks = [made(E, provenance={"images": n, "seed": n, "k": 4}) for n in (6, 8)]
    assert merged(banks, palette).provenance == {"k": 4, "banks": 2, "images": 14}
    odd = replace(banks[0], provenance={"images": "many"}, resize=None)
    found = merged([banks[0], odd], palette)
    assert (dict(found.provenance), found.resize) == ({"banks": 2}, None)


def test_banks_of_two_networks_are_never_joined_or_compared() -> None:
    other = made(E, fingerprint=Fingerprint("cd" * 32, "relu5_4", Preprocessing()))
    for edit in (lambda: merged([made(E), other], palette), lambda: diff(made(E), other)):
        with pytest.raises(BankError, match=r"abababababab.* and of network cdcdcdcdcdcd"):
            edit()
    wide = made(np.eye(4, 6))
    for edit in (lambda: merged([made(E), wide], palette), lambda: diff(made(E), wide)):
        with pytest.raises(BankError, match="5 channels, and others of the same network 6"):
            edit()


def test_a_foreground_is_no_concept() -> None:
    for edit in (
        lambda: split(foreground_bank(), [0]),
        lambda: diff(foreground_bank(), made(E)),
    ):
        with pytest.raises(UsageError, match="run without --foreground"):
            edit()


def test_the_foreground_of_one_bank_is_kept_beside_the_concepts_of_another() -> None:
    concepts, foreground = made(E), foreground_bank()
    for order in ([concepts, foreground], [foreground, concepts]):
        both = merged(order, palette)
        assert both.foreground is foreground.foreground and both.resize == concepts.resize
        np.testing.assert_array_equal(both.W, merged([concepts, concepts], palette).W)
    assert split(both, [0])[0].foreground is both.foreground
    with pytest.raises(UsageError, match="2 of the banks hold a foreground"):
        merged([both, foreground], palette)
    with pytest.raises(UsageError, match="no concept of these banks"):
        merged([foreground], palette)


@pytest.mark.parametrize("same", [0, -0.5, 1.01, float("nan")])
def test_a_cosine_that_cannot_be_is_refused(same: float) -> None:
    with pytest.raises(UsageError, match="same: a cosine"):
        merged([made(E), made(E)], palette, same)


def test_a_bank_parts_into_what_is_kept_and_the_rest() -> None:
    whole = made(E, energy=np.float32([0.4, 0.3, 0.2, 0.1]))
    chosen, rest = split(whole, [2, 0, 2])
    assert rest is not None and (chosen.names, rest.names) == (("a", "c"), ("b", "d"))
    np.testing.assert_array_equal(chosen.W, whole.W[[0, 2]])
    np.testing.assert_allclose(chosen.energy, [2 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(rest.energy, [0.75, 0.25], rtol=1e-6)
    assert (chosen.thresholds.tolist(), rest.peaks.tolist()) == ([1, 3], [12, 14])
    assert (chosen.losses, chosen.colours, chosen.resize) == ((), (palette(0), palette(2)), whole.resize)
    assert split(whole, range(4))[1] is None


@pytest.mark.parametrize("keep", [[4], [0, 9], [-1], []])
def test_numbers_that_a_bank_has_not_are_refused(keep: list[int]) -> None:
    with pytest.raises(UsageError, match="concept"):
        split(made(E), keep)


def test_parts_joined_again_are_the_whole_but_for_energy_between_them() -> None:
    whole = made(E, thresholds=np.full(4, 2, np.float32))
    chosen, rest = split(whole, [1, 3])
    assert rest is not None
    found = merged([rest, chosen], palette)
    numbers = [one.theirs for one in match(found.W, whole.W)]
    np.testing.assert_array_equal(found.W, whole.W[numbers])
    assert found.names == tuple(whole.names[j] for j in numbers)


def test_names_change_and_nothing_else() -> None:
    kept = made(E)
    found = renamed(kept, {0: "head + neck", 2: None})
    assert found.names == ("head + neck", "b", None, "d")
    assert bank_bytes(replace(found, names=kept.names)) == bank_bytes(kept)
    with pytest.raises(UsageError, match="no concept 4: the bank has 0 to 3"):
        renamed(kept, {4: "x"})
    with pytest.raises(UsageError, match="has no concepts"):
        renamed(foreground_bank(), {0: "x"})
    with pytest.raises(BankError, match="control character"):
        renamed(kept, {0: "a\nb"})


def test_a_difference_says_what_changed_and_what_one_alone_has() -> None:
    ours = made(E[:3], names=("head", None, "leg"))
    theirs = made([E[3], E[0] + 0.1 * E[1]], names=("beam", "face"))
    found = diff(ours, theirs)
    (pair,) = found.pairs
    assert (pair.ours, pair.theirs, pair.names) == (0, 1, ("head", "face"))
    assert pair.cosine == pytest.approx(1 / np.sqrt(1.01))
    assert (pair.energy, pair.threshold) == (pytest.approx((1 / 3, 1 / 2)), (1, 2))
    assert (found.ours, found.theirs) == ((1, 2), (0,))


def test_a_bank_does_not_differ_from_itself() -> None:
    found = diff(bank(), bank())
    assert [(one.ours, one.theirs) for one in found.pairs] == [(0, 0), (1, 1), (2, 2)]
    assert not found.ours and not found.theirs


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6), st.floats(0.3, 0.99))
def test_alike_pairs_have_the_largest_sum_that_brute_force_finds(k: int, m: int, seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    ours, theirs = rng.random((k, 3)) ** 3, rng.random((m, 3)) ** 3
    cosines = unit_rows(ours) @ unit_rows(theirs).T
    worth = np.where(cosines >= least, cosines, 0)
    square = np.zeros((max(k, m),) * 2)
    square[:k, :m] = worth
    best = max(square[range(len(square)), list(order)].sum() for order in permutations(range(len(square))))
    found = alike(ours, theirs, least)
    assert all(one.cosine >= least for one in found)
    assert len({one.ours for one in found}) == len({one.theirs for one in found}) == len(found)
    assert sum(one.cosine for one in found) == pytest.approx(best)


def test_a_poor_pair_draws_nobody_away_from_a_good_one() -> None:
    """0.70 + 0.72 is more than 0.95, but neither is enough."""
    ours = np.array([[1.0, 0.0, 0.0], [0.31, 0.0, 0.95]])
    theirs = np.array([[0.95, 0.31, 0.0], [0.70, 0.0, 0.71]])
    plain = [(one.ours, one.theirs) for one in alike(ours, theirs, 0.94)]
    assert plain == [(0, 0)]
    assert LIKE == 0.75 and not alike(np.eye(2), np.zeros((2, 2)))
