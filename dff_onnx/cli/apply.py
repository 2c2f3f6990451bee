"""`dff-onnx apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.masks_options import CrfFlag, CrfMode, crf_of
from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice
from dff_onnx.cli.options import (
    AsJson,
    LongSide,
    MinShare,
    Overlays,
    Overwrite,
    ReportOf,
    RunFolder,
    ShortSide,
    Truth,
    overlays_named,
    resize_of,
)


def apply(
    bank: Annotated[Path, typer.Argument(help="The bank.npz of a run.")],
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: RunFolder,
    model: Annotated[
        str | None, typer.Option("--model", help="The bank's network. [default: looked for by its sha256]")
    ] = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    size: Annotated[
        int | None, typer.Option(help="Pixels of a square, aspect not kept. [default: as the bank's pictures]")
    ] = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    overlays: Overlays = "all",
    report: ReportOf = "1000",
    crf: CrfFlag = False,
    crf_mode: CrfMode = None,
    min_share: MinShare = 0.01,
    truth: Truth = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Find the concepts of a bank in new pictures.

    Nothing is fitted: concepts keep their numbers, names and colours, thresholds and scale are those of the bank.
    Writes what `dff-onnx run` writes, with the loss of each picture and the pictures that the bank does not explain.
    Exit code 3 says that some pictures could not be used; failures.json lists them.
    """
    from dff_onnx.cli.ending import ending
    from dff_onnx.cli.network import accelerator_of
    from dff_onnx.cli.progress import apply_summary, shown
    from dff_onnx.concepts.bank import read_bank
    from dff_onnx.runs.apply import ApplySettings
    from dff_onnx.runs.apply import apply as apply_bank
    from dff_onnx.runs.opening import Opening, open_for_bank
    from dff_onnx.zoo.find import find_model

    sizes = (size, short_side, long_side)
    settings = ApplySettings(
        resize=resize_of(*sizes) if any(one is not None for one in sizes) else None,
        crf=crf_of(crf, crf_mode),
        min_share=min_share,
        overlays=overlays_named(overlays),
        report=overlays_named(report, "--report"),
    )
    known = read_bank(bank)
    with shown() as progress:
        network = find_model(model, progress=progress).path if model else None
        opening = Opening(device.value, None, accelerator_of(cuda_graph))
        backbone = open_for_bank(known, bank, network, opening, progress)
        found = apply_bank(
            known, folder, output, backbone, settings, truth=truth, overwrite=overwrite, progress=progress
        ).found
    ending(found, output, apply_summary(found, output), as_json)
