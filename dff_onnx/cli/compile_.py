"""`dff-onnx compile`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.network import Layer
from dff_onnx.cli.options import (
    ChannelOrderOption,
    ClassNamesFile,
    Mean,
    Rectify,
    Scale,
    Size,
    Split,
    Std,
    class_names_of,
    preprocessing_if_said,
    resize_of,
    sign_of,
)


def compile_(
    source: Annotated[str, typer.Argument(metavar="BANK|MODEL", help="The bank.npz of a run; with --fit a network.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    model: Annotated[
        str | None, typer.Option("--model", help="The bank's network. [default: looked for by its sha256]")
    ] = None,
    unroll: Annotated[
        int | None, typer.Option(help="Rounds of least squares, written out: no control flow, boxes of whole masks.")
    ] = None,
    no_heatmaps: Annotated[bool, typer.Option("--no-heatmaps", help="Scores, boxes and losses only.")] = False,
    tight_boxes: Annotated[
        bool, typer.Option("--tight-boxes", help="Boxes of whole masks, not of the largest region: cheaper.")
    ] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Store the network's weights in half precision.")] = False,
    cam: Annotated[bool, typer.Option("--cam", help="Also class scores and class maps, of a classifier.")] = False,
    class_names: ClassNamesFile = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Also the foreground that the bank holds.")] = False,
    opset: Annotated[int | None, typer.Option(help="Of the file, from 18 on. [default: the network's]")] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Compile the factorization itself, with a network.")] = False,
    k: Annotated[int | None, typer.Option("-k", min=1, help="With --fit: concepts to find. [default: 4]")] = None,
    layer: Layer = None,
    size: Size = None,
    rectify: Rectify = False,
    split: Split = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
) -> None:
    """Compile concepts and their network into one ONNX file that needs no Python.

    Pictures go in as uint8, (n, height, width, 3); heat maps, scores, boxes, losses come out, on the scale of the
    bank's set. With --fit the file factorizes the pictures it is given. Layer, size and preprocessing are options of
    --fit: a bank knows its own.
    """
    from dff_onnx.cli.compile_text import written_lines
    from dff_onnx.cli.progress import shown
    from dff_onnx.deploy.form import Form
    from dff_onnx.errors import UsageError
    from dff_onnx.runs.compile_ import compile_bank, compile_fit
    from dff_onnx.zoo.find import find_model

    of_fit = {
        "-k": k, "--layer": layer, "--size": size, "--mean": mean, "--std": std, "--scale": scale,
        "--channel-order": channel_order, "--rectify": rectify, "--split": split,
    }  # fmt: skip
    of_bank = {
        "--model": model, "--unroll": unroll, "--no-heatmaps": no_heatmaps, "--tight-boxes": tight_boxes,
        "--cam": cam, "--class-names": class_names, "--foreground": foreground,
    }  # fmt: skip
    _check_options(source, fit, of_bank if fit else of_fit)
    if class_names is not None and not cam:
        raise UsageError("--class-names: goes with --cam; leave it out, or ask for class maps")
    form = Form(unroll, not no_heatmaps, tight_boxes, float16, cam, foreground, opset)
    with shown() as progress:
        if fit:
            found = find_model(source, layer, progress=progress)
            made = compile_fit(
                found.path, output, k or 4, layer=found.layer, sign=sign_of(rectify, split),
                preprocessing=preprocessing_if_said(mean, std, scale, channel_order),
                resize=resize_of(size, None, None), form=form, progress=progress,
            )  # fmt: skip
        else:
            network = find_model(model, progress=progress).path if model else None
            names = class_names_of(class_names)
            made = compile_bank(source, output, form, model=network, class_names=names, progress=progress)
    typer.echo("\n".join(written_lines(made, form)), err=True)


def _check_options(source: str, fit: bool, unfit: Mapping[str, object]) -> None:
    """Refuses options of the other kind of file."""
    from dff_onnx.errors import UsageError

    if not fit and source.endswith(".onnx"):
        raise UsageError(f"{source}: is a network; give the bank.npz of a run, or --fit to compile the factorization")
    if given := [option for option, value in unfit.items() if value is not None and value is not False]:
        raise UsageError(f"{given[0]}: {'is for banks, not for' if fit else 'goes with'} --fit; leave it out")
