"""Concepts of several k as a tree: who comes from whom, and under what name."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dff_onnx.concepts.bank import LONGEST_NAME
from dff_onnx.concepts.tree import PARENT, PART, Level, Tree, family_names, grow
from dff_onnx.errors import UsageError
from dff_onnx.factorization import factorize


def level(W: NDArray[np.float64], H: NDArray[np.float64]) -> Level:
    return Level(W / np.linalg.norm(W, axis=1, keepdims=True), H)


def planted(seed: int = 0) -> NDArray[np.float64]:
    """Rows of four parts: 0 and 1 share most of their channels, as do 2 and 3; a cell shows one part."""
    rng = np.random.default_rng(seed)
    channels = np.array([[4, 3, 0, 0, 0, 0], [4, 0, 3, 0, 0, 0], [0, 0, 0, 4, 2, 0], [0, 0, 0, 4, 0, 2]], float)
    # The first pair is more different than the second, and splits first.
    parts = rng.integers(0, 4, 600)
    return channels[parts] * rng.uniform(0.5, 1.5, (600, 1)) + 0.01 * rng.random((600, 6))


def grown(A: NDArray[np.float64]) -> Tree:
    return grow([Level(one.W, one.H) for one in (factorize(A, k) for k in (1, 2, 4))])


def test_a_planted_hierarchy_is_found() -> None:
    A = planted()
    found = {k: factorize(A, k) for k in (2, 3, 4)}
    tree = grow([Level(one.W, one.H) for one in found.values()])
    families = [0 if W[:3].sum() > W[3:].sum() else 1 for W in found[2].W]
    assert sorted(families) == [0, 1]
    for node in tree.nodes[1]:
        assert node.parent is not None
        of_first = found[3].W[node.number][:3].sum() > found[3].W[node.number][3:].sum()
        assert families[node.parent] == (0 if of_first else 1)
    assert len(tree.nodes[0][families.index(0)].children) == 2  # the first pair splits, the second stays
    assert len(tree.nodes[0][families.index(1)].children) == 1
    assert sorted(len(node.children) for node in tree.nodes[1]) == [1, 1, 2]
    assert all(node.parent is not None for nodes in tree.nodes[1:] for node in nodes)


def test_figures_are_those_of_independent_implementations() -> None:
    found = [factorize(planted(), k) for k in (2, 4)]
    links = {(one.child, one.parent): one for one in grow([Level(one.W, one.H) for one in found]).links}
    assert len(links) >= 4
    for child in range(4):
        weights, _ = scipy.optimize.nnls(found[0].W.T, found[1].W[child])
        for parent in range(2):
            h, g = found[1].H[:, child], found[0].H[:, parent]
            overlap = sum(a * b for a, b in zip(h, g, strict=True)) / (sum(h * h) * sum(g * g)) ** 0.5
            there = links.get((child, parent))
            if there is None:
                assert weights[parent] < PART
            else:
                assert there.overlap == pytest.approx(overlap, abs=1e-9)
                assert there.weight == pytest.approx(weights[parent], abs=1e-5)


def test_the_order_of_the_rows_does_not_matter() -> None:
    A = planted()
    found = [factorize(A, k) for k in (2, 3)]
    order = np.random.default_rng(1).permutation(len(A))
    one = grow([Level(f.W, f.H) for f in found])
    other = grow([Level(f.W, f.H[order]) for f in found])
    assert one.nodes == other.nodes
    assert [a.overlap for a in one.links] == pytest.approx([b.overlap for b in other.links])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 7), min_size=2, max_size=4, unique=True))
def test_the_parent_has_the_largest_overlap_and_the_first_child_the_largest_of_its_parent(
    seed: int, sizes: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    levels = [level(rng.random((k, 9)), rng.random((30, k)) * (rng.random((30, k)) < 0.5)) for k in sorted(sizes)]
    tree = grow(levels)
    assert tree.ks == tuple(sorted(sizes))
    for place, (above, here) in enumerate(pairwise(levels), 1):
        G, H = (one.H / np.maximum(np.linalg.norm(one.H, axis=0), 1e-300) for one in (above, here))
        overlaps = H.T @ G
        for node in tree.nodes[place]:
            row = overlaps[node.number]
            assert node.parent == (int(row.argmax()) if row.max() >= PARENT else None)
            known = tree.overlap(place, node.number)
            assert known is None if node.parent is None else known == pytest.approx(row.max())
        for node in tree.nodes[place - 1]:
            of_children = [overlaps[child, node.number] for child in node.children]
            assert of_children == sorted(of_children, reverse=True)
            assert set(node.children) == {one.number for one in tree.nodes[place] if one.parent == node.number}


def test_what_lies_elsewhere_is_new_and_what_has_no_child_ends() -> None:
    cells = np.eye(4)
    above = Level(np.eye(5)[:2], cells[:, [0, 1]])
    here = Level(np.eye(5)[[0, 3, 4]], cells[:, [0, 2, 3]])
    tree = grow([above, here])
    assert [node.parent for node in tree.nodes[1]] == [0, None, None]
    assert [node.children for node in tree.nodes[0]] == [(0,), ()]
    assert len(tree.links) == 1


def test_a_concept_of_two_has_links_to_both_and_one_parent() -> None:
    rows = np.array([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    above = Level(np.eye(4)[:2], rows)
    both = np.array([[1.0, 1, 0, 0]]) / np.sqrt(2)
    tree = grow([above, Level(np.concatenate([both, np.eye(4)[:2]]), np.stack([rows.sum(axis=1), *rows.T], axis=1))])
    assert [(one.child, one.parent) for one in tree.links] == [(0, 0), (0, 1), (1, 0), (2, 1)]
    assert [one.weight for one in tree.links] == pytest.approx([0.5**0.5, 0.5**0.5, 1, 1])
    assert [node.parent for node in tree.nodes[1]] == [0, 0, 1]
    assert tree.nodes[0][0].children == (1, 0)


def test_a_concept_that_nothing_uses_breaks_nothing() -> None:
    W, H = np.zeros((2, 3)), np.zeros((4, 2))
    W[0, 0] = H[0, 0] = 1
    tree = grow(
        [Level(W, H), Level(np.concatenate([W, np.eye(3)[1:2]]), np.concatenate([H, np.zeros((4, 1))], axis=1))]
    )
    assert [node.parent for node in tree.nodes[1]] == [0, None, None]
    assert all(np.isfinite([one.overlap, one.weight]).all() for one in tree.links)


def test_equal_input_gives_equal_trees() -> None:
    assert grown(planted(3)) == grown(planted(3))


@pytest.mark.parametrize("ks", [(2,), (3, 2), (2, 2)])
def test_levels_that_do_not_ascend_are_refused(ks: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="ascending k"):
        grow([Level(np.eye(4)[:k], np.ones((5, k))) for k in ks])


def test_levels_of_other_pictures_are_refused() -> None:
    with pytest.raises(UsageError, match="5 to 6 rows"):
        grow([Level(np.eye(4)[:1], np.ones((5, 1))), Level(np.eye(4)[:2], np.ones((6, 2)))])


@pytest.fixture
def family() -> Tree:
    """0 has the children 0, 2 and 3, 1 has 1; below, each of the four goes on, and a fifth comes from 2."""
    cells = np.eye(6)
    first = np.stack([3 * cells[0] + 2 * cells[1] + cells[2] * 1.9, cells[3]], axis=1)
    second = np.stack([3 * cells[0], cells[3], 2 * cells[1], 1.9 * cells[2]], axis=1)
    third = np.stack([3 * cells[0], cells[3], 2 * cells[1], 1.9 * cells[2], cells[1]], axis=1)
    # Overlaps with 0 are 0.74, 0.49 and 0.47.
    return grow([Level(np.ones((k, 5)) + np.eye(5)[:k], H) for k, H in ((2, first), (4, second), (5, third))])


def test_names_flow_down_and_are_numbered_within_their_family(family: Tree) -> None:
    assert family.nodes[0][0].children == (0, 2, 3) and family.nodes[1][2].children == (2, 4)
    assert family_names(family, 0, ("head", "leg")) == (
        ("head", "leg"),
        ("head", "leg", "head 2", "head 3"),
        ("head", "leg", "head 2", "head 3", "head 4"),
    )


def test_what_has_no_name_hands_none_down_and_what_lies_above_has_none(family: Tree) -> None:
    assert family_names(family, 0, (None, "leg"))[1:] == ((None, "leg", None, None), (None, "leg", None, None, None))
    names = family_names(family, 1, ("a", None, "b", "c"))
    assert names == ((None, None), ("a", None, "b", "c"), ("a", None, "b", "c", "b 2"))


def test_a_number_that_is_taken_is_passed_over(family: Tree) -> None:
    names = family_names(family, 0, ("head", "head 2"))
    assert names[1] == ("head", "head 2", "head 3", "head 4")
    assert all(len(set(of_level)) == len(of_level) for of_level in names)


def test_a_numbered_name_fits_into_a_bank(family: Tree) -> None:
    names = family_names(family, 0, ("x" * LONGEST_NAME, "y"))[2]
    assert max(len(name or "") for name in names) == LONGEST_NAME and len(set(names)) == 5
