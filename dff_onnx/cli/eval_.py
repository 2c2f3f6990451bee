"""`dff-onnx eval coseg|corloc|parts|finegrained|ilsvrc|retrieval|where|patterns|compare`."""

from __future__ import annotations

import typer

from dff_onnx.cli.eval_compare import compare
from dff_onnx.cli.eval_corloc import corloc
from dff_onnx.cli.eval_coseg import coseg
from dff_onnx.cli.eval_finegrained import finegrained
from dff_onnx.cli.eval_ilsvrc import ilsvrc
from dff_onnx.cli.eval_parts import parts
from dff_onnx.cli.eval_patterns import patterns
from dff_onnx.cli.eval_retrieval import retrieval
from dff_onnx.cli.eval_where import where

eval_ = typer.Typer(
    help="The papers' evaluations on annotated data: co-segmentation, CorLoc, parts, recognition, retrieval.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (coseg, corloc, parts, finegrained, ilsvrc, retrieval, where, patterns, compare):
    eval_.command()(command)
