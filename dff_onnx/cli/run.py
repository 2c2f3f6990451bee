"""`dff-onnx run`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.masks_options import (
    CrfFlag,
    CrfMode,
    Domain,
    DomainChoice,
    Fraction,
    Percentile,
    Rule,
    RuleChoice,
    crf_of,
    threshold_of,
)
from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice, Layer, Network, open_network, tell_assumed
from dff_onnx.cli.options import (
    AsJson,
    CardFile,
    ChannelOrderOption,
    ClassNamesFile,
    LongSide,
    Mean,
    MinShare,
    Overlays,
    Overwrite,
    Rectify,
    RunFolder,
    Scale,
    ShortSide,
    Size,
    Split,
    Std,
    class_names_of,
    overlays_named,
    preprocessing_if_said,
    resize_of,
    sign_of,
)


class SolverChoice(StrEnum):
    """Solvers of the factorization."""

    coreset = "coreset"
    hals = "hals"
    mu = "mu"


def run(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: RunFolder,
    model: Network = "compact",
    card: CardFile = None,
    k: Annotated[int | None, typer.Option("-k", help="Number of concepts. [default: 4]")] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="The object the pictures share, in place of concepts; --size is 448.")
    ] = False,
    layer: Layer = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    per_image: Annotated[bool, typer.Option("--per-image", help="Factorize each picture by itself.")] = False,
    overlays: Overlays = "all",
    threshold: Rule = RuleChoice.percentile,
    percentile: Percentile = 75.0,
    fraction: Fraction = 0.5,
    domain: Domain = DomainChoice.input,
    crf: CrfFlag = False,
    crf_mode: CrfMode = None,
    min_share: MinShare = 0.01,
    solver: Annotated[SolverChoice, typer.Option(help="mu: the authors' updates.")] = SolverChoice.coreset,
    seed: Annotated[int, typer.Option(help="Of the factorization's starts.")] = 0,
    class_names: ClassNamesFile = None,
    rectify: Rectify = False,
    split: Split = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Find what the pictures of a folder have in common.

    Writes heat map overlays, results.json, boxes.csv, coco.json, maps.npz, bank.npz, failures.json and run.toml. Exit
    code 3 says that some pictures could not be used; failures.json lists them.

    The options --mean, --std, --scale and --channel-order are for models that do not say their preprocessing.
    """
    from dff_onnx.cli.progress import shown, summary
    from dff_onnx.report.results import results_json
    from dff_onnx.runs.run import run as run_folder
    from dff_onnx.runs.settings import Settings

    if foreground:
        _refuse_for_foreground(
            {
                "-k": k is not None,
                "--per-image": per_image,
                "--threshold": threshold is not RuleChoice.percentile,
                "--percentile": percentile != 75.0,
                "--domain": domain is not DomainChoice.input,
                "--solver": solver is not SolverChoice.coreset,
                "--seed": seed != 0,
                "--class-names": class_names is not None,
            }
        )
    settings = Settings(
        k=4 if k is None else k,
        foreground=foreground,
        resize=resize_of(size, short_side, long_side, 448 if foreground else 224),
        per_image=per_image,
        solver=solver.value,
        seed=seed,
        threshold=threshold_of(threshold, percentile, fraction, domain),
        crf=crf_of(crf, crf_mode),
        min_share=min_share,
        overlays=overlays_named(overlays),
    )
    preprocessing = preprocessing_if_said(mean, std, scale, channel_order)
    sign = sign_of(rectify, split)
    with shown() as progress:
        backbone = open_network(
            model, layer, progress,
            card=card, device=device, cuda_graph=cuda_graph, preprocessing=preprocessing, sign=sign,
        )  # fmt: skip
        names = class_names_of(class_names)
        found = run_folder(
            folder, output, backbone, settings, names=names, overwrite=overwrite, progress=progress
        ).found
    if as_json:
        typer.echo(results_json(found), nl=False)
    typer.echo(summary(found, output), err=True)
    tell_assumed(backbone)
    if (output / "labels.json").is_file():
        again = f"dff-onnx label {output} --from {output / 'labels.json'}"
        typer.echo(f"concepts have no names in these files; give them back with {again}", err=True)
    if found.failures:
        raise typer.Exit(3)


def _refuse_for_foreground(given: dict[str, bool]) -> None:
    """Options of a factorization, of which there is none."""
    from dff_onnx.errors import UsageError

    if named := [option for option, there in given.items() if there]:
        raise UsageError(f"{named[0]} does not go with --foreground; leave one out")
