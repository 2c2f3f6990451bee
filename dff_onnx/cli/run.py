"""`dff-onnx run`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.network import DeviceChoice, open_network
from dff_onnx.cli.options import (
    CardFile,
    ChannelOrderOption,
    Mean,
    Rectify,
    Scale,
    Split,
    Std,
    preprocessing_if_said,
    sign_of,
)

if TYPE_CHECKING:
    from dff_onnx.images import Resize
    from dff_onnx.runs.settings import Overlays


class SolverChoice(StrEnum):
    """Solvers of the factorization."""

    coreset = "coreset"
    hals = "hals"
    mu = "mu"


class RuleChoice(StrEnum):
    """Rules for the thresholds of masks."""

    percentile = "percentile"
    fraction = "fraction"
    otsu = "otsu"


class DomainChoice(StrEnum):
    """Sizes at which thresholds are taken."""

    native = "native"
    input = "input"
    original = "original"


class CrfChoice(StrEnum):
    """What the CRF decides between."""

    binary = "binary"
    joint = "joint"


def run(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run's folder, outside FOLDER.")],
    model: Annotated[
        str, typer.Option(help="An ONNX file, a card (.toml), or a name: `dff-onnx models list`.")
    ] = "compact",
    card: CardFile = None,
    k: Annotated[int, typer.Option("-k", help="Number of concepts.")] = 4,
    layer: Annotated[str | None, typer.Option(help="The layer to take. [default: what the model says]")] = None,
    device: Annotated[
        DeviceChoice, typer.Option(help="cuda and tensorrt are errors where they do not run.")
    ] = DeviceChoice.auto,
    cuda_graph: Annotated[bool, typer.Option("--cuda-graph", help="With CUDA: replay batches of one size.")] = False,
    size: Annotated[int | None, typer.Option(help="Pixels of a square, aspect not kept. [default: 224]")] = None,
    short_side: Annotated[int | None, typer.Option(help="Pixels of the shorter side, aspect kept.")] = None,
    long_side: Annotated[int | None, typer.Option(help="Pixels of the longer side, aspect kept.")] = None,
    per_image: Annotated[bool, typer.Option("--per-image", help="Factorize each picture by itself.")] = False,
    overlays: Annotated[str, typer.Option(help="Pictures to draw: all, none, or a number.")] = "all",
    threshold: Annotated[RuleChoice, typer.Option(help="Of the masks, over the whole set.")] = RuleChoice.percentile,
    percentile: Annotated[float, typer.Option(help="Of all values of a concept.")] = 75.0,
    fraction: Annotated[float, typer.Option(help="Of a concept's peak, for --threshold fraction.")] = 0.5,
    domain: Annotated[
        DomainChoice, typer.Option(help="Size at which percentile and otsu are taken.")
    ] = DomainChoice.input,
    crf: Annotated[bool, typer.Option("--crf", help="Sharpen the heat maps along the edges of the pictures.")] = False,
    crf_mode: Annotated[CrfChoice, typer.Option(help="Each concept by itself, or in competition.")] = CrfChoice.binary,
    min_share: Annotated[float, typer.Option(help="Share of a picture that a further region needs.")] = 0.01,
    solver: Annotated[SolverChoice, typer.Option(help="mu: the authors' updates.")] = SolverChoice.coreset,
    seed: Annotated[int, typer.Option(help="Of the factorization's starts.")] = 0,
    rectify: Rectify = False,
    split: Split = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of other settings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json on stdout.")] = False,
) -> None:
    """Find what the pictures of a folder have in common.

    Writes heat map overlays, results.json, boxes.csv, coco.json, bank.npz, failures.json and run.toml. Exit code 3
    says that some pictures could not be used; failures.json lists them.

    The options --mean, --std, --scale and --channel-order are for models that do not say their preprocessing.
    """
    from dff_onnx.cli.progress import shown, summary
    from dff_onnx.maps import Crf, Threshold
    from dff_onnx.report.results import results_json
    from dff_onnx.runs.run import run as run_folder
    from dff_onnx.runs.settings import Settings

    settings = Settings(
        k=k,
        resize=_resize(size, short_side, long_side),
        per_image=per_image,
        solver=solver.value,
        seed=seed,
        threshold=Threshold(threshold.value, percentile, fraction, domain.value),
        crf=Crf(crf_mode.value) if crf else None,
        min_share=min_share,
        overlays=_overlays(overlays),
    )
    preprocessing = preprocessing_if_said(mean, std, scale, channel_order)
    sign = sign_of(rectify, split)
    with shown() as progress:
        backbone = open_network(
            model, layer, progress,
            card=card, device=device, cuda_graph=cuda_graph, preprocessing=preprocessing, sign=sign,
        )  # fmt: skip
        found = run_folder(folder, output, backbone, settings, overwrite=overwrite, progress=progress).found
    if as_json:
        typer.echo(results_json(found), nl=False)
    typer.echo(summary(found, output), err=True)
    if found.failures:
        raise typer.Exit(3)


def _resize(size: int | None, short_side: int | None, long_side: int | None) -> Resize:
    from dff_onnx.errors import UsageError
    from dff_onnx.images import Resize

    given = {"square": size, "short": short_side, "long": long_side}
    said = [(mode, pixels) for mode, pixels in given.items() if pixels is not None]
    if len(said) > 1:
        raise UsageError("give one of --size, --short-side and --long-side")
    return Resize(*said[0]) if said else Resize()  # type: ignore[arg-type]


def _overlays(text: str) -> Overlays:
    from dff_onnx.errors import UsageError

    if text == "all":
        return "all"
    if text == "none":
        return "none"
    if not text.isdecimal():
        raise UsageError(f"--overlays: all, none or a number is needed, found {text!r}")
    return int(text)
