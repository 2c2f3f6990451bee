"""`dff-onnx eval coseg|corloc|parts|compare`."""

from __future__ import annotations

import typer

from dff_onnx.cli.eval_compare import compare
from dff_onnx.cli.eval_corloc import corloc
from dff_onnx.cli.eval_coseg import coseg
from dff_onnx.cli.eval_parts import parts

eval_ = typer.Typer(
    help="The papers' evaluations on annotated data: co-segmentation, CorLoc, parts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (coseg, corloc, parts, compare):
    eval_.command()(command)
