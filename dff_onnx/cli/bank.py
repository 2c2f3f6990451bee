"""`dff-onnx bank show|merge|split|rename|diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bank = typer.Typer(
    help="Banks of concepts: look at them, join and part them, name their concepts, compare two.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

BankFile = Annotated[Path, typer.Argument(metavar="BANK", help="The bank.npz of a run, or one made of such.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The bank to write.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a bank of another making.")]


@bank.command()
def show(path: BankFile, as_json: AsJson = False) -> None:
    """Show the concepts of a bank, and where they come from."""
    from dff_onnx.cli.bank_text import bank_fields, bank_lines
    from dff_onnx.concepts.bank import read_bank
    from dff_onnx.report.results import strict_json

    found = read_bank(path)
    if as_json:
        typer.echo(strict_json(bank_fields(found)), nl=False)
    else:
        typer.echo("\n".join(bank_lines(found)))


@bank.command()
def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="BANK...", help="Banks of one network and layer.")],
    output: Output,
    same: Annotated[float, typer.Option(help="The cosine from which concepts of two banks become one.")] = 0.9,
    overwrite: Overwrite = False,
) -> None:
    """Join banks of one network: what they share becomes one concept.

    The first bank's names and colours hold.
    """
    from dff_onnx.cli.bank_text import summary
    from dff_onnx.runs.edit_banks import merge_banks

    _say(output, summary(merge_banks(paths, output, same, overwrite)))


@bank.command()
def split(
    path: BankFile,
    keep: Annotated[str, typer.Option(help="Numbers of the concepts to keep: 0,2.")],
    output: Output,
    rest: Annotated[Path | None, typer.Option(help="A bank to write with the others.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Take some concepts of a bank into a bank of their own.

    The heat of the others rises where one is missing: they share what they have in common.
    """
    from dff_onnx.cli.bank_text import summary
    from dff_onnx.runs.edit_banks import numbers_said, split_bank

    chosen, others = split_bank(path, numbers_said(keep), output, rest, overwrite)
    _say(output, summary(chosen))
    if rest and others:
        _say(rest, summary(others))


@bank.command()
def rename(
    path: BankFile,
    names: Annotated[
        list[str], typer.Argument(metavar="NUMBER=NAME...", help='0=head 2="left arm"; 2= takes it away.')
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The bank to write. [default: BANK itself]")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Name concepts of a bank; those that are not mentioned keep their names.

    The files of a run know nothing of it: `dff-onnx label` names the concepts of a run.
    """
    from dff_onnx.cli.bank_text import summary
    from dff_onnx.runs.edit_banks import names_said, rename_concepts

    _say(output or path, summary(rename_concepts(path, names_said(names), output, overwrite)))


@bank.command()
def diff(
    ours: Annotated[Path, typer.Argument(metavar="A", help="A bank.")],
    theirs: Annotated[Path, typer.Argument(metavar="B", help="Another, of the same network and layer.")],
    as_json: AsJson = False,
) -> None:
    """Show which concepts two banks share, what changed, and what only one has."""
    from dff_onnx.cli.bank_text import difference_fields, difference_lines
    from dff_onnx.report.results import strict_json
    from dff_onnx.runs.edit_banks import compare_banks

    one, other, found = compare_banks(ours, theirs)
    if as_json:
        typer.echo(strict_json(difference_fields(found)), nl=False)
    else:
        typer.echo("\n".join(difference_lines(found, one, other)))


def _say(path: Path, text: str) -> None:
    typer.echo(f"{path}\n{text}", err=True)
