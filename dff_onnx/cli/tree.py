"""`dff-onnx tree`."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.network import tell_assumed
from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import (
    LongSide,
    Overlays,
    Overwrite,
    ReportOf,
    ShortSide,
    Size,
    overlays_named,
    resize_of,
)
from dff_onnx.cli.run import SolverChoice

if TYPE_CHECKING:
    from dff_onnx.runs.tree import TreeRun

MOST_LEVELS = 50


@with_network()
def tree(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The tree's folder, outside FOLDER.")],
    k: Annotated[str, typer.Option("--k", "-k", help="Numbers of concepts: 1..6, or 1,2,4.")] = "1..6",
    like: Annotated[
        Path | None, typer.Option(help="A bank.npz: the level with as many concepts has its names and colours.")
    ] = None,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    overlays: Overlays = "none",
    report: ReportOf = "1000",
    solver: Annotated[SolverChoice, typer.Option(help="mu: the authors' updates.")] = SolverChoice.coreset,
    seed: Annotated[int, typer.Option(help="Of the factorizations' starts.")] = 0,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print tree.json on stdout.")] = False,
    *,
    network: NetworkOptions,
) -> None:
    """Show how the concepts of a folder split as their number grows.

    Writes report.html, tree.svg, a picture of it, tree.json, failures.json and run.toml, and each level as a run of
    its own: k1, k2, ..., which label, masks and the other commands take. Exit code 3 says that some pictures could not
    be used.

    A concept's first child has its colour, the others have shades of it.
    """
    from dff_onnx.cli.ending import tell_of_names
    from dff_onnx.cli.progress import shown
    from dff_onnx.concepts.bank import read_bank
    from dff_onnx.report.tree_files import level_folder, tree_json
    from dff_onnx.runs.settings import Settings
    from dff_onnx.runs.write_tree import run_tree

    ks = levels_named(k)
    settings = Settings(
        resize=resize_of(size, short_side, long_side),
        solver=solver.value,
        seed=seed,
        overlays=overlays_named(overlays),
        report=overlays_named(report, "--report"),
    )
    bank = read_bank(like) if like else None
    with shown() as progress:
        backbone = network.open(progress)
        made = run_tree(folder, output, backbone, ks, settings, like=bank, overwrite=overwrite, progress=progress)
    if as_json:
        typer.echo(tree_json(made.tree, made.found), nl=False)
    typer.echo(_summary(made, output), err=True)
    for level in made.found:
        tell_of_names(output / level_folder(len(level.concepts)))
    tell_assumed(backbone)
    if made.found[0].failures:
        raise typer.Exit(3)


def levels_named(text: str) -> tuple[int, ...]:
    """The option as numbers.

    Raises:
        UsageError: for anything but `1..6` and `1,2,4`, for numbers that do not ascend, and for too many levels.

    >>> levels_named("1..3"), levels_named("2,4,8")
    ((1, 2, 3), (2, 4, 8))
    """
    from dff_onnx.errors import UsageError

    if not re.fullmatch(r"[0-9]{1,6}(\.\.[0-9]{1,6}|(,[0-9]{1,6})*)", text):
        raise UsageError(f"--k: numbers of concepts such as 1..6 or 1,2,4 are needed, found {text!r}")
    first, dots, last = text.partition("..")
    if not dots:
        found = tuple(map(int, text.split(",")))
    elif int(first) > int(last):
        raise UsageError(f"--k: {text} runs backwards; give {last}..{first}")
    else:
        found = tuple(range(int(first), min(int(last), int(first) + MOST_LEVELS) + 1))
    if len(found) < 2:
        raise UsageError(f"--k: a tree needs two levels or more, found {text!r}; `dff-onnx run -k {text}` takes one")
    if len(found) > MOST_LEVELS:
        raise UsageError(f"--k: {text} are more than {MOST_LEVELS} levels; leave some out, such as 1,2,4,8")
    if found[0] < 1 or any(a >= b for a, b in pairwise(found)):
        raise UsageError(f"--k: numbers from 1 on that ascend are needed, found {text!r}")
    return found


def _summary(made: TreeRun, out: Path) -> str:
    """How concepts split, in a few lines of at most 80 columns but for names."""
    from dff_onnx.cli.progress import how_it_ended

    first = made.found[0]
    many = "1 picture" if len(first.images) == 1 else f"{len(first.images)} pictures"
    lines = [f"{many}, device {first.device}"]
    for place, found in enumerate(made.found):
        explained = f"{1 - found.fit.loss:.1%} explained" if found.fit else ""
        lines.append(f"  k = {len(found.concepts)}  {explained}{_news(made, place)}")
    return "\n".join([*lines, *how_it_ended(first, out)])


def _news(made: TreeRun, place: int) -> str:
    """What happened on the way to a level."""
    if place == 0:
        return ""
    above, here = made.found[place - 1].concepts, made.found[place].concepts
    splits = [
        f"{above[node.number].label} splits into {len(node.children)}"
        for node in made.tree.nodes[place - 1]
        if len(node.children) > 1
    ]
    new = [f"{here[node.number].label} is new" for node in made.tree.nodes[place] if node.parent is None]
    ends = [f"{above[node.number].label} ends" for node in made.tree.nodes[place - 1] if not node.children]
    return "".join(f"\n    {one}" for one in splits + new + ends)
