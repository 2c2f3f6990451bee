"""Colours that flow through a tree: shades of the parent, and still apart for everyone."""

from __future__ import annotations

import numpy as np
import pytest
from colour_vision import DEFICIENCIES, ciede2000, distances, seen_with

from dff_onnx.concepts.tree import Node, Tree
from dff_onnx.report.colour_space import differences, from_oklch, to_oklch
from dff_onnx.report.palette import SAFE, colour
from dff_onnx.report.shades import RGB, shade, tree_colours

VISIONS = ("normal", *DEFICIENCIES)


def tree(*parents: tuple[int | None, ...]) -> Tree:
    """From the parents of each level below the first; of a parent's children the first carries on."""
    levels: list[tuple[int | None, ...]] = [(None,) * max(1, *(p + 1 for p in parents[0] if p is not None)), *parents]
    nodes = []
    for place, above in enumerate(levels):
        below = levels[place + 1] if place + 1 < len(levels) else ()
        nodes.append(
            tuple(
                Node(place, j, parent, tuple(c for c, its in enumerate(below) if its == j))
                for j, parent in enumerate(above)
            )
        )
    return Tree(tuple(nodes), ())


def random_tree(seed: int, k: int = 8) -> Tree:
    """One concept more on each level: one of those above splits in two."""
    rng = np.random.default_rng(seed)
    return tree(*((*range(n), int(rng.integers(n))) for n in range(1, k)))


def hue_apart(one: RGB, other: RGB) -> float:
    turn = np.degrees(np.diff(to_oklch([one, other])[:, 2])[0])
    return abs(float((turn + 180) % 360 - 180))


def test_the_difference_is_that_of_an_independent_implementation() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 256, (40, 3)), rng.integers(0, 256, (30, 3))
    ours[0] = theirs[0] = 128  # a grey has no hue
    expected = np.min([ciede2000(seen_with(ours, v)[:, None], seen_with(theirs, v)[None]) for v in VISIONS], axis=0)
    np.testing.assert_allclose(differences(ours, theirs), expected, atol=1e-9)


def test_oklch_and_back_changes_nothing() -> None:
    rgb = np.random.default_rng(1).integers(1, 255, (200, 3))
    np.testing.assert_array_equal(from_oklch(to_oklch(rgb)), rgb)
    assert len(from_oklch([[0.7, 0.5, 1.0]])) == 0  # no screen shows it


@pytest.mark.parametrize("parent", SAFE[:7])
def test_a_shade_keeps_the_hue_of_its_parent(parent: RGB) -> None:
    others = [parent]
    for _ in range(5):
        others.append(shade(parent, others))
        assert hue_apart(parent, others[-1]) <= 45  # 40, and rounding where there is little chroma
    assert len(set(others)) == 6


@pytest.mark.parametrize("seed", range(4))
def test_all_concepts_of_a_level_can_be_told_apart(seed: int) -> None:
    least = {2: 50, 3: 25, 4: 13, 5: 10, 6: 9, 7: 8, 8: 8}
    for colours in tree_colours(random_tree(seed))[1:]:
        for vision in VISIONS:
            assert distances(colours, vision).min() >= least[len(colours)], (len(colours), vision)


@pytest.mark.parametrize("vision", VISIONS)
def test_shades_stand_out_from_the_darkened_picture(vision: str) -> None:
    greys = np.repeat(np.arange(0, 167)[:, None], 3, axis=1)
    colours = tree_colours(random_tree(0))[-1]
    assert ciede2000(seen_with(colours, vision)[:, None], seen_with(greys, vision)[None]).min() >= 7


@pytest.mark.parametrize("seed", range(4))
def test_at_half_its_heat_a_shade_is_still_no_grey_picture(seed: int) -> None:
    greys = np.repeat(np.arange(0, 167)[:, None], 3, axis=1)
    colours = np.asarray(tree_colours(random_tree(seed))[-1])
    half = seen_with((colours + 77) / 2, "normal")  # over a mid-grey picture, darkened
    assert ciede2000(half[:, None], seen_with(greys, "normal")[None]).min() >= 9


def test_the_first_child_goes_on_in_the_colour_of_its_parent() -> None:
    grown = random_tree(5)
    colours = tree_colours(grown)
    for level, nodes in enumerate(grown.nodes[:-1]):
        for node in nodes:
            assert colours[level + 1][node.children[0]] == colours[level][node.number]


def test_families_begin_with_the_palette() -> None:
    root = Node(0, 0, None, (1, 0))
    below = (Node(1, 0, 0, ()), Node(1, 1, 0, ()))
    assert tree_colours(Tree(((root,), below), ())) == ((colour(0),), (colour(1), colour(0)))
    several = tree((0, 1, 2, 0))
    assert tree_colours(several)[0] == (colour(0), colour(1), colour(2))


def test_what_is_new_has_a_colour_of_the_palette_that_nothing_had() -> None:
    grown = tree((0, 1, None), (0, 1, 2, None))
    colours = tree_colours(grown)
    fresh = colours[1][2], colours[2][3]
    assert set(fresh) <= set(SAFE) and len({*colours[0], *fresh}) == 4


def test_a_colour_that_ends_does_not_come_back_at_once() -> None:
    grown = Tree(
        (
            (Node(0, 0, None, (0,)), Node(0, 1, None, ())),
            (Node(1, 0, 0, (0, 1)), Node(1, 1, None, (2,))),
            (Node(2, 0, 0, ()), Node(2, 1, 0, ()), Node(2, 2, 1, ())),
        ),
        (),
    )
    colours = tree_colours(grown)
    assert colours[0][1] not in {*colours[1], *colours[2]}


def test_a_colour_that_ended_long_ago_is_not_that_of_what_is_new() -> None:
    grown = Tree(
        (
            (Node(0, 0, None, (0,)), Node(0, 1, None, ())),
            (Node(1, 0, 0, (0,)),),
            (Node(2, 0, 0, ()), Node(2, 1, None, ())),
        ),
        (),
    )
    preferred = tree_colours(grown, 0, (SAFE[0], (1, 2, 3)))[2][1]
    other = tree_colours(grown, 0, (SAFE[0], preferred))[2][1]
    assert preferred in SAFE and other in SAFE and preferred != other


def test_beyond_the_safe_colours_new_ones_go_on_in_the_palette() -> None:
    colours = tree_colours(tree((*range(8), None)))
    assert colours[1][:8] == SAFE and colours[1][8] in {colour(number) for number in range(8, 16)}


def test_given_colours_flow_up_and_down() -> None:
    grown = tree((0, 0), (0, 0, 1), (0, 1, 2, 0))
    given = ((1, 200, 3), (250, 20, 30), (20, 40, 250))
    colours = tree_colours(grown, 2, given)
    assert colours[2] == given
    assert colours[1] == (given[0], given[2]) and colours[0] == (given[0],)
    assert colours[3][:3] == given and hue_apart(colours[3][3], given[0]) <= 45


def test_where_nothing_goes_on_above_the_palette_fills_in() -> None:
    grown = Tree(((Node(0, 0, None, (0,)), Node(0, 1, None, ())), (Node(1, 0, 0, ()), Node(1, 1, None, ()))), ())
    colours = tree_colours(grown, 1, (SAFE[0], SAFE[1]))
    assert colours[0][0] == SAFE[0] and colours[0][1] in SAFE[2:]
