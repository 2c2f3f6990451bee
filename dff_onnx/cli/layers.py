"""`dff-onnx layers`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from dff_onnx.cli.options import Model


def layers(
    model: Model,
    size: Annotated[int, typer.Option(min=32, help="Height and width of the probe, in pixels.")] = 224,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the tensors of an ONNX file that can feed DFF."""
    from dff_onnx.backbone.graph import list_layers
    from dff_onnx.backbone.model_file import load_model
    from dff_onnx.cli.progress import shown
    from dff_onnx.zoo.find import find_model

    with shown() as progress:
        path = find_model(model, progress=progress).path
    file = load_model(path)
    found = list_layers(file.model, file.path, size)
    if as_json:
        typer.echo(json.dumps([asdict(layer) for layer in found], indent=2))
        return
    typer.echo(f"{'channels':>8} {'grid':>9} {'stride':>6}  {'>= 0':<4}  {'operator':<12} layer")
    for layer in found:
        grid = f"{layer.height}x{layer.width}"
        sign = "yes" if layer.nonnegative else "?"
        typer.echo(f"{layer.channels:>8} {grid:>9} {layer.stride:>6}  {sign:<4}  {layer.operator:<12} {layer.name}")
    typer.echo(f"{len(found)} layers, {sum(layer.nonnegative for layer in found)} provably >= 0", err=True)
