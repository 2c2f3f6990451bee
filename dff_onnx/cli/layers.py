"""`dff-onnx layers`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.options import ChannelOrderOption, Mean, Model, Scale, Std, preprocessing_if_said
from dff_onnx.errors import UsageError

if TYPE_CHECKING:
    from dff_onnx.backbone.model_file import ModelFile
    from dff_onnx.records import Preprocessing
    from dff_onnx.runs.compare_layers import LayerComparison


def layers(
    model: Model,
    on: Annotated[Path | None, typer.Option(help="A folder of pictures: compare the layers on them.")] = None,
    k: Annotated[int, typer.Option("-k", help="With --on: concepts of the columns shown.")] = 4,
    pictures: Annotated[int, typer.Option(help="With --on: pictures to take, evenly.")] = 64,
    per_stride: Annotated[int, typer.Option(min=1, help="With --on: layers of each stride.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="With --on: an SVG file to write.")] = None,
    size: Annotated[int, typer.Option(min=32, help="Height and width of the probe, in pixels.")] = 224,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the tensors of an ONNX file that can feed DFF, or compare them on pictures.

    With --on, the last wide layer of each stride is tried: share of zeros, channels that are dead, effective rank,
    energy that k concepts explain, how alike the concepts of two halves of the pictures are, time up to there. One is
    recommended, and it is said why.
    """
    from dff_onnx.backbone.model_file import load_model
    from dff_onnx.cli.progress import shown
    from dff_onnx.zoo.find import find_model

    with shown() as progress:
        file = load_model(find_model(model, progress=progress).path)
    if on is None:
        if plot:
            raise UsageError("--plot needs --on FOLDER")
        _list(file, size, as_json)
        return
    preprocessing = preprocessing_if_said(mean, std, scale, channel_order)
    compared = _compare(file, on, sorted({1, 2, 3, 4, 6, 8, k}), pictures, per_stride, size, preprocessing)
    if plot:
        _write_plot(compared, plot, f"{file.path.name} on {on.name}")
    typer.echo(json.dumps(compared.to_dict(), indent=2) if as_json else _table(compared, k))


def _list(file: ModelFile, size: int, as_json: bool) -> None:
    from dff_onnx.backbone.graph import list_layers

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


def _compare(
    file: ModelFile,
    folder: Path,
    ks: list[int],
    pictures: int,
    per_stride: int,
    size: int,
    preprocessing: Preprocessing | None,
) -> LayerComparison:
    from dff_onnx.backbone.graph import candidate_layers
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.cli.progress import shown
    from dff_onnx.images import Resize
    from dff_onnx.runs.compare_layers import compare_layers

    candidates = candidate_layers(file.model, file.path, size, per_stride)

    def opened(layer: str) -> Backbone:
        return Backbone.open(file.path, layer, preprocessing=preprocessing)

    with shown() as progress:
        return compare_layers(
            folder, candidates, opened, resize=Resize("square", size), ks=ks, pictures=pictures, progress=progress
        )


def _table(compared: LayerComparison, k: int) -> str:
    columns = (
        ("channels", 8),
        ("grid", 9),
        ("zeros", 5),
        ("dead", 5),
        ("rank", 6),
        (f"k={k}", 6),
        ("stable", 6),
        ("ms", 6),
    )
    lines = [" ".join(f"{name:>{width}}" for name, width in columns) + "  layer"]
    for layer in compared.layers:
        explained, stable = (f"{layer.at(k)[0]:.1%}", f"{layer.at(k)[1]:.2f}") if k in layer.ks else ("-", "-")
        grid, mark = f"{layer.height}x{layer.width}", " *" if layer.name == compared.recommended else ""
        figures = f"{layer.channels:>8} {grid:>9} {layer.zeros:>5.0%} {layer.dead:>5.0%} {layer.effective_rank:>6.1f}"
        lines.append(f"{figures} {explained:>6} {stable:>6} {layer.milliseconds:>6.1f}  {layer.name}{mark}")
    return "\n".join([*lines, f"* --layer {compared.recommended} -k {compared.k}: {compared.reason}"])


def _write_plot(compared: LayerComparison, path: Path, title: str) -> None:
    from dff_onnx.files import write_atomically
    from dff_onnx.report.layers_plot import Curve, layers_svg

    curves = [
        Curve(layer.name, layer.ks, layer.explained, layer.stability, layer.name == compared.recommended)
        for layer in compared.layers
    ]
    write_atomically(path, layers_svg(curves, title).encode())
