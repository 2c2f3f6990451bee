"""Options that the commands of `dff-onnx eval` share, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.network_options import NetworkOptions

if TYPE_CHECKING:
    from dff_onnx.evaluation import Figures, System
    from dff_onnx.progress import Progress
    from dff_onnx.report.found import Failure


class VocRule(StrEnum):
    """Which pictures a class of VOC keeps; see `dff_onnx.datasets.read_voc`."""

    own = "class"
    image = "image"
    all_both = "all-both"
    all_either = "all-either"
    all_difficult = "all-difficult"
    all_truncated = "all-truncated"
    none = "none"


# VOC's own word for it; --split is what becomes of negative activations.
ImageSet = Annotated[str | None, typer.Option("--image-set", help="VOC's list of pictures. [default: trainval]")]
VocFilter = Annotated[
    VocRule,
    typer.Option(
        "--voc-filter",
        metavar="RULE",
        help="Pictures a class keeps: class, image, all-both, all-either, all-difficult, all-truncated or none.",
    ),
]
Clean = Annotated[bool, typer.Option("--clean", help="VOC: no objects marked as difficult or truncated.")]
Groups = Annotated[str | None, typer.Option(help="Groups to take: words in their names, with commas.")]
Masks = Annotated[
    Path | None, typer.Option(help="A folder of masks with the pictures' names; DATASET is the pictures.")
]
SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Leave out pictures that have no mask.")]
Systems = Annotated[
    str,
    typer.Option(
        help="What to compare, with commas: plain, crf, otsu, foreground, foreground+crf; of a classifier also cam, "
        "cam+percentile."
    ),
]
Halves = Annotated[bool, typer.Option("--halves", help="Also the means of every other group.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A folder for figures.json, table.md and plot.svg.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace another evaluation there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print figures.json on stdout, no table.")]


def words(text: str | None) -> tuple[str, ...]:
    """`a,b` as words, without the space around them; empty where nothing was given."""
    return tuple(word.strip() for word in text.split(",")) if text is not None else ()


def numbers(text: str, option: str, least: int = 1, most: int = 1000) -> tuple[int, ...]:
    """`3`, `1,2,4` or `1..10` as whole numbers."""
    from dff_onnx.errors import UsageError

    first, dots, last = text.partition("..")
    try:
        found = tuple(map(int, (first, last) if dots else text.split(",")))
    except ValueError:
        found = ()
    if not found or min(found) < least or max(found) > most or (dots and found[0] > found[1]):
        raise UsageError(f"{option}: a number, 1,2,4 or 1..10 is needed, from {least} to {most}; found {text!r}")
    return tuple(range(found[0], found[1] + 1)) if dots else found


def with_layer_for(systems: Sequence[System], network: NetworkOptions, progress: Progress) -> NetworkOptions:
    """The network up to the layer asked for; without one, where a system makes class maps, what its head looks at."""
    from dff_onnx.evaluation import class_layer
    from dff_onnx.zoo.find import find_model

    found = find_model(network.model or "compact", network.layer, card=network.card, progress=progress)
    return replace(network, layer=class_layer(found.path, systems, found.layer if network.layer else None))


def ended(notes: Sequence[str], failures: Sequence[Failure]) -> None:
    """Says what was left out, and leaves with 3 where pictures could not be used."""
    from dff_onnx.report.names import shown

    for note in notes:
        typer.echo(f"note: {note}", err=True)
    for failure in failures:
        typer.echo(f"left out: {shown(failure.path)}: {shown(failure.reason)}", err=True)
    if failures:
        raise typer.Exit(3)


def told(output: Path | None, as_json: bool, figures: str, spoken: str, table: str, plot: str) -> None:
    """An evaluation is printed, then written: neither is lost when the other cannot be done.

    Args:
        output: a folder for all.
        as_json: print the figures.
        figures: `figures.json`.
        spoken: for a terminal.
        table: `table.md`.
        plot: `plot.svg`.
    """
    from dff_onnx.evaluation import write_folder

    try:
        typer.echo(figures if as_json else spoken, nl=not as_json)
    finally:
        if output:
            write_folder(output, figures, table, plot)


def scored(figures: Figures, output: Path | None, halves: bool, as_json: bool, last_words: Sequence[str] = ()) -> None:
    """How `eval coseg` and `corloc` end."""
    from dff_onnx.evaluation import bars, figures_json, markdown, tables, terminal

    made = tables(figures)
    spoken, drawn = terminal(figures, made, halves), bars(figures, made[0])
    told(output, as_json, figures_json(figures, made), spoken, markdown(figures, made), drawn)
    ended((*figures.notes, *last_words), figures.failures)
