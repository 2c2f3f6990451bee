"""A folder's concepts at several k, and how they hang together: the whole way, nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank, check_belongs
from dff_onnx.concepts.edits import check_concepts
from dff_onnx.concepts.tree import Level, Tree, family_names, grow
from dff_onnx.errors import UsageError
from dff_onnx.factorization.checks import checked_rank
from dff_onnx.files import root_of, walk_pictures
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import ConceptFound, Found
from dff_onnx.report.palette import from_hexadecimal, hexadecimal
from dff_onnx.report.shades import RGB, tree_colours
from dff_onnx.runs.collect import collect
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.like import dressed
from dff_onnx.runs.settings import Settings


@dataclass(frozen=True, slots=True)
class TreeRun:
    """What the pictures have in common at several k.

    Attributes:
        folder: that the paths are relative to.
        tree: how the concepts hang together.
        levels: a discovery for each k, ascending; their concepts have the tree's names and colours.
    """

    folder: Path
    tree: Tree
    levels: tuple[Discovery, ...]

    @property
    def found(self) -> tuple[Found, ...]:
        """What was found on each level."""
        return tuple(level.found for level in self.levels)


def grow_tree(
    folder: str | Path,
    activations: Activations,
    ks: Sequence[int],
    settings: Settings | None = None,
    *,
    like: Bank | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> TreeRun:
    """Factorizes a folder at several k and links the concepts.

    Pictures are read once.

    Args:
        folder: of pictures, or one picture.
        activations: the network, as `Backbone.open` gives it.
        ks: numbers of concepts, two or more, ascending.
        settings: how; their `k` is not looked at.
        like: a bank whose colours and names the level with as many concepts takes over; they flow from there.
        progress: follows the stages.
        keep: where work is kept for a run that may be killed; None keeps everything in memory.

    Raises:
        UsageError: when `ks` are impossible, there is no such folder, or no level has as many concepts as the bank.
        BankError: when the bank is of another network.
        NoImagesError, ModelError: as `discover`.
    """
    folder, settings, progress = Path(folder), settings or Settings(), progress or Silent()
    check_levels(ks, settings)
    if like is not None:
        _check_bank(like, ks, activations)
    paths = walk_pictures(folder)
    progress.start("reading", len(paths))
    rows = collect(root_of(folder), paths, activations, settings.resize, progress, keep)
    checked_rank(ks[-1], rows.A.shape)  # before the smaller ones are computed
    levels = [
        discover_in(rows, root_of(folder), activations, replace(settings, k=k, report="none"), progress) for k in ks
    ]
    tree = grow([Level(level.W, level.H) for level in levels if level.W is not None])
    return TreeRun(root_of(folder), tree, _dressed(tree, levels, like))


def check_levels(ks: Sequence[int], settings: Settings) -> None:
    """Raises `UsageError` where no tree has such levels."""
    if len(ks) < 2:
        raise UsageError(f"tree: two numbers of concepts or more are needed, found {list(ks)}; `run` takes one")
    if ks[0] < 1 or any(a >= b for a, b in pairwise(ks)):
        raise UsageError(f"tree: the numbers of concepts must be at least 1 and ascend, found {list(ks)}")
    if settings.foreground or settings.per_image:
        raise UsageError("tree: needs concepts that all pictures share; leave foreground and per-image out")


def _check_bank(like: Bank, ks: Sequence[int], activations: Activations) -> None:
    check_concepts(like, "--like")
    check_belongs(like, activations.fingerprint, "--like", "the tree")
    if len(like.W) not in ks:
        raise UsageError(
            f"--like: the bank has {len(like.W)} concepts, and no level has as many; the levels are "
            f"{', '.join(map(str, ks))}"
        )


def _dressed(tree: Tree, levels: Sequence[Discovery], like: Bank | None) -> tuple[Discovery, ...]:
    """The levels with the names and colours that flow through the tree."""
    names: Sequence[Sequence[str | None]] = [[None] * k for k in tree.ks]
    if like is None:
        return _with_all(levels, names, tree_colours(tree))
    start = tree.ks.index(len(like.W))
    named = _like(levels[start], like)
    concepts = named.found.concepts
    names = family_names(tree, start, [one.name for one in concepts])
    colours = tree_colours(tree, start, [from_hexadecimal(one.colour) for one in concepts])
    return _with_all([named if level is levels[start] else level for level in levels], names, colours)


def _like(level: Discovery, like: Bank) -> Discovery:
    """A level whose concepts look like those of a bank."""
    dresses = dressed(level.W, like) if level.W is not None else ()
    concepts = [
        replace(concept, name=dress.name, colour=dress.colour, like=dress.like)
        for concept, dress in zip(level.found.concepts, dresses, strict=True)
    ]
    return _with(level, concepts)


def _with_all(
    levels: Sequence[Discovery], names: Sequence[Sequence[str | None]], colours: Sequence[Sequence[RGB]]
) -> tuple[Discovery, ...]:
    return tuple(
        _with(
            level,
            [
                replace(concept, name=name, colour=hexadecimal(colour))
                for concept, name, colour in zip(level.found.concepts, *of_level, strict=True)
            ],
        )
        for level, *of_level in zip(levels, names, colours, strict=True)
    )


def _with(level: Discovery, concepts: Sequence[ConceptFound]) -> Discovery:
    return replace(level, found=replace(level.found, concepts=tuple(concepts)))
