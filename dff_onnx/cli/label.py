"""`dff-onnx label`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dff_onnx.report.found import ConceptFound
    from dff_onnx.report.labels_file import Labels
    from dff_onnx.runs.label import Sheet
    from dff_onnx.runs.stored import StoredRun


def label(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    show: Annotated[int, typer.Option(help="Pictures to show of each concept.")] = 5,
    source: Annotated[Path | None, typer.Option("--from", help="Take the names from a labels.json.")] = None,
) -> None:
    """Name the concepts of a run after a look at a few pictures.

    Draws RUN/label/contact.png: pictures that span the range of each concept. Then it asks for names and writes them
    to RUN/labels.json, results.json, boxes.csv, coco.json and bank.npz. Without a terminal it writes
    RUN/label/labels.json, with the names that the run has, to be filled in and given back with --from.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.report.labels_file import drop_empty, read_labels
    from dff_onnx.runs.label import LABELS, TEMPLATE, check_shared, write_names, write_sheet, write_template
    from dff_onnx.runs.stored import read_run

    with read_run(run) as stored:
        check_shared(stored)
        if source:
            labels = read_labels(source, len(stored.concepts))
        else:
            with shown() as progress:
                sheet = write_sheet(stored, show, progress)
            _say(_told(sheet, show, len(stored.concepts)))
            if not typer.get_text_stream("stdin").isatty():
                drop_empty(run / TEMPLATE, len(stored.concepts))
                template = write_template(stored)
                _say(f"write the names into {template}, then:")
                _say(f"  dff-onnx label {run} --from {template}")
                return
            labels = _asked(stored)
        write_names(stored, labels)
    _say(f"{_summary(labels)}\nwritten to {run / LABELS} and the files of the run")


def _asked(stored: StoredRun) -> Labels:
    from dff_onnx.cli.ended import EndedError
    from dff_onnx.runs.label import ask_names

    _say("Look at it, then name each concept. Several parts: head, neck. None: Enter.")
    try:
        return ask_names(stored, _ask)
    except EndedError:  # Ctrl-C
        _say("\nnothing was changed")
        raise
    except typer.Abort as error:  # the end of the input
        _say("\nnothing was changed")
        raise typer.Exit(130) from error


def _ask(concept: ConceptFound, complaint: str | None) -> str:
    from dff_onnx.report.palette import from_hexadecimal

    if complaint:
        _say(f"  {complaint}")
    else:
        swatch = typer.style("    ", bg=from_hexadecimal(concept.colour))
        now = f", now {concept.name!a}" if concept.name else ""
        _say(f"\n{swatch} concept {concept.number}  {concept.colour}, energy {concept.energy:.1%}{now}")
    return str(typer.prompt("  name", default="", show_default=False, err=True))


def _told(sheet: Sheet, show: int, concepts: int) -> str:
    from dff_onnx.datasets.dataset import counted

    told = f"{counted(concepts, 'row')} of up to {counted(show, 'picture')}: {sheet.path}"
    if sheet.missing:
        told += f"\n{counted(len(sheet.missing), 'picture')} gone or not to be read; the first: {sheet.missing[0]!a}"
    return told


def _summary(labels: Labels) -> str:
    named = [name for name in labels.names if name]
    told = "1 concept has" if len(labels.names) == 1 else f"{len(labels.names)} concepts have"
    return f"{len(named)} of {told} a name" + (f": {', '.join(named)}" if named else "")


def _say(text: str) -> None:
    typer.echo(text, err=True)
