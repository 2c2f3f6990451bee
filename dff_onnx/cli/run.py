"""`dff-onnx run`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

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
from dff_onnx.cli.network import tell_assumed
from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import (
    AsJson,
    ClassNamesFile,
    LongSide,
    Memory,
    MinShare,
    Overlays,
    Overwrite,
    ReportOf,
    Sample,
    ShortSide,
    Size,
    Truth,
    class_names_of,
    memory_of,
    overlays_named,
    resize_of,
)


class SolverChoice(StrEnum):
    """Solvers of the factorization."""

    coreset = "coreset"
    hals = "hals"
    mu = "mu"


@with_network()
def run(
    folder: Annotated[str, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The run's folder, outside FOLDER.")],
    k: Annotated[str | None, typer.Option("-k", help="Number of concepts, or auto. [default: 4]")] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="The object the pictures share, in place of concepts; --size is 448.")
    ] = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    per_image: Annotated[bool, typer.Option("--per-image", help="Factorize each picture by itself.")] = False,
    overlays: Overlays = "all",
    report: ReportOf = "1000",
    threshold: Rule = RuleChoice.percentile,
    percentile: Percentile = 75.0,
    fraction: Fraction = 0.5,
    domain: Domain = DomainChoice.input,
    crf: CrfFlag = False,
    crf_mode: CrfMode = None,
    min_share: MinShare = 0.01,
    sample: Sample = None,
    memory: Memory = None,
    like: Annotated[
        Path | None, typer.Option(help="A bank.npz: concepts that are its own take over names and colours.")
    ] = None,
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness", help="Measure whether the network's classifier goes by the concepts.")
    ] = False,
    truth: Truth = None,
    solver: Annotated[SolverChoice, typer.Option(help="mu: the authors' updates.")] = SolverChoice.coreset,
    seed: Annotated[int, typer.Option(help="Of the factorization's starts.")] = 0,
    class_names: ClassNamesFile = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="A Dask scheduler, tcp://host:8786: its workers do it; s3://... may be FOLDER, OUT."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    *,
    network: NetworkOptions,
) -> None:
    """Find what the pictures of a folder have in common.

    Writes report.html, heat map overlays, results.json, boxes.csv, coco.json, maps.npz, bank.npz, failures.json and
    run.toml. Exit code 3 says that some pictures could not be used; failures.json lists them.

    A run that was ended, by a kill or a full disk, goes on where it was when the same command is given again; no
    picture goes through the network twice. Folders of any size fit: what memory does not hold stays in OUTPUT while
    the run lasts.

    The options --mean, --std, --scale and --channel-order are for models that do not say their preprocessing.
    """
    from dff_onnx.cli.cluster_run import on_cluster
    from dff_onnx.cli.ending import ending
    from dff_onnx.cli.progress import shown, summary
    from dff_onnx.concepts.bank import read_bank
    from dff_onnx.runs.faithful import scores_behind
    from dff_onnx.runs.run import run as run_folder
    from dff_onnx.runs.settings import Settings

    if foreground:
        _refuse_for("--foreground", {
            "-k": k is not None, "--per-image": per_image, "--threshold": threshold is not RuleChoice.percentile,
            "--percentile": percentile != 75.0, "--domain": domain is not DomainChoice.input,
            "--solver": solver is not SolverChoice.coreset, "--seed": seed != 0,
            "--class-names": class_names is not None, "--like": like is not None, "--faithfulness": faithfulness,
        })  # fmt: skip
    if cluster is not None:
        _refuse_for("--cluster", {
            "--truth": truth is not None, "--faithfulness": faithfulness, "--cuda-graph": network.cuda_graph,
            "--memory": memory is not None,
        })  # fmt: skip
    settings = Settings(
        k=_number(k),
        foreground=foreground,
        resize=resize_of(size, short_side, long_side, 448 if foreground else 224),
        per_image=per_image,
        solver=solver.value, seed=seed,
        threshold=threshold_of(threshold, percentile, fraction, domain),
        crf=crf_of(crf, crf_mode),
        min_share=min_share, sample=sample,
        overlays=overlays_named(overlays),
        report=overlays_named(report, "--report"),
    )  # fmt: skip
    names, bank = class_names_of(class_names), read_bank(like) if like else None
    with shown() as progress:
        backbone = network.open(progress)
        found = on_cluster(
            cluster, folder, output, backbone, network, settings, names=names, like=bank,
            overwrite=overwrite, progress=progress,
        ) if cluster is not None else run_folder(
            folder, output, backbone, settings,
            names=names, like=bank,
            scores=scores_behind(backbone) if faithfulness else None, truth=truth,
            overwrite=overwrite, memory=memory_of(memory), progress=progress,
        ).found  # fmt: skip
    tell_assumed(backbone)
    home = Path(output)
    ending(found, home, summary(found, home).replace(str(home), output), as_json)


def _number(k: str | None) -> int | Literal["auto"]:
    from dff_onnx.errors import UsageError

    if k is None or k == "auto":
        return "auto" if k else 4
    if not (k.isascii() and k.isdigit()) or len(k) > 9:
        raise UsageError(f"-k: a number or auto is needed, found {k!r}")
    return int(k)


def _refuse_for(mode: str, given: dict[str, bool]) -> None:
    """Options that cannot be had in a mode: of a factorization where there is none, say."""
    from dff_onnx.errors import UsageError

    if named := [option for option, there in given.items() if there]:
        raise UsageError(f"{named[0]} does not go with {mode}; leave one out")
