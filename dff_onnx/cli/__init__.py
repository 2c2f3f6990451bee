"""The command line: one file per command, no logic. Heavy imports stay inside the commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dff_onnx import __version__
from dff_onnx.cli.apply import apply
from dff_onnx.cli.bank import bank
from dff_onnx.cli.cam import cam
from dff_onnx.cli.compile_ import compile_
from dff_onnx.cli.cut import cut
from dff_onnx.cli.doctor import doctor
from dff_onnx.cli.ended import EndedError, heed_signals
from dff_onnx.cli.eval_ import eval_
from dff_onnx.cli.export import export
from dff_onnx.cli.features import features
from dff_onnx.cli.fit import fit
from dff_onnx.cli.index import index
from dff_onnx.cli.index_augment import index_augment
from dff_onnx.cli.index_graph import index_graph
from dff_onnx.cli.index_info import index_info
from dff_onnx.cli.index_prepare import index_prepare
from dff_onnx.cli.label import label
from dff_onnx.cli.layers import layers
from dff_onnx.cli.masks import masks
from dff_onnx.cli.models import models
from dff_onnx.cli.objects import objects
from dff_onnx.cli.quantize import quantize
from dff_onnx.cli.run import run
from dff_onnx.cli.search import search
from dff_onnx.cli.tree import tree
from dff_onnx.cli.verify import verify
from dff_onnx.cli.whiten import whiten
from dff_onnx.errors import DffError
from dff_onnx.report.names import shown

# Plain help starts twice as fast as Typer's boxes, and reads the same in a pipe.
app = typer.Typer(
    name="dff-onnx",
    help="Find what pictures have in common: Deep Feature Factorization on ONNX Runtime.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run, apply, tree, cam, label, masks, export, features, fit, layers, cut, compile_, verify, quantize,
    whiten, index, index_info, index_prepare, index_graph, index_augment, search, objects, doctor,
):  # fmt: skip
    app.command(command.__name__.removesuffix("_").replace("_", "-"))(command)
app.add_typer(eval_, name="eval")
app.add_typer(models, name="models")
app.add_typer(bank, name="bank")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dff-onnx {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The `dff-onnx` program: runs a command; an error becomes one sentence on stderr and its exit code."""
    heed_signals()
    try:
        app()
    except EndedError as error:
        typer.echo(shown(error.told(sys.argv[1:])), err=True)
        sys.exit(error.exit_code)
    except DffError as error:
        typer.echo("\n".join(map(shown, f"dff-onnx: {error}".split("\n"))), err=True)
        sys.exit(error.exit_code)
