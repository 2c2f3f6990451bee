"""`dff-onnx cam`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice
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
    ReportOf,
    RunFolder,
    Scale,
    ShortSide,
    Size,
    Std,
    class_names_of,
    overlays_named,
    preprocessing_if_said,
    resize_of,
)

if TYPE_CHECKING:
    from dff_onnx.datasets.class_names import ClassNames


class MethodChoice(StrEnum):
    """Ways from features to class maps."""

    cam = "cam"
    grad_cam = "grad-cam"
    eigen_cam = "eigen-cam"
    score_cam = "score-cam"
    ablation_cam = "ablation-cam"


class BoxChoice(StrEnum):
    """Rules for boxes."""

    paper = "paper"
    release = "release"
    heuristic = "heuristic"


def cam(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: RunFolder,
    model: Annotated[str, typer.Option("--model", help="A classifier: an ONNX file, a card (.toml), or a name.")],
    card: CardFile = None,
    classes: Annotated[
        str, typer.Option(help="topN: each picture's best; or numbers, names, WordNet ids with commas between them.")
    ] = "top5",
    class_names: ClassNamesFile = None,
    method: Annotated[MethodChoice, typer.Option(help="How features become maps.")] = MethodChoice.cam,
    features: Annotated[str | None, typer.Option(help="The layer to look at. [default: what the head takes]")] = None,
    head: Annotated[
        str | None, typer.Option(help="The linear layer, where it is not found; or a .npz of `dff-onnx fit`.")
    ] = None,
    gradients: Annotated[
        Path | None, typer.Option(help="With grad-cam: the tail's gradients, of exporters/tail_gradient.py.")
    ] = None,
    box: Annotated[BoxChoice, typer.Option(help="release: the authors' code; heuristic: its five guesses.")] = (
        BoxChoice.paper
    ),
    fraction: Annotated[
        float | None, typer.Option(help="Of a map's maximum, for --box paper. [default: 0.2; grad-cam 0.15]")
    ] = None,
    crops: Annotated[int, typer.Option(help="10: corners, centre and their mirror images, at --size 256.")] = 1,
    from_minimum: Annotated[
        bool, typer.Option("--from-minimum", help="Take each map from its minimum up, not from zero.")
    ] = False,
    per_image: Annotated[bool, typer.Option("--per-image", help="Scale each map by its own peak.")] = False,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    overlays: Overlays = "all",
    report: ReportOf = "1000",
    min_share: MinShare = 0.01,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Map where a classifier sees its classes, with boxes and its answers.

    Writes report.html, overlays, results.json, predictions.csv, boxes.csv, coco.json, maps.npz, failures.json and
    run.toml. Exit code 3 says that some pictures could not be used; failures.json lists them.

    The options --mean, --std, --scale and --channel-order are for models that do not say their preprocessing.
    """
    from dff_onnx.cli.ending import ending
    from dff_onnx.cli.network import accelerator_of, tell_assumed
    from dff_onnx.cli.progress import cam_summary, shown
    from dff_onnx.datasets.class_names import names_for
    from dff_onnx.runs.cam import run_cam
    from dff_onnx.runs.cam_settings import CamSettings
    from dff_onnx.runs.classifier import open_classifier
    from dff_onnx.runs.opening import Opening
    from dff_onnx.zoo.find import find_model

    with shown() as progress:
        found = find_model(model, card=card, classifier=True, progress=progress)
        opening = Opening(
            device.value, preprocessing_if_said(mean, std, scale, channel_order), accelerator_of(cuda_graph)
        )
        classifier = open_classifier(
            found.path, method.value, features=features, head=head, gradients=gradients, opening=opening
        )
        names = names_for(classifier.mapping.classes, class_names_of(class_names) or classifier.names)
        top, numbers = _classes(classes, names)
        said = any(option is not None for option in (size, short_side, long_side)) or crops == 10
        resize = resize_of(size, short_side, long_side, 256 if crops == 10 else 224)
        settings = CamSettings(
            method=method.value,
            top=top,
            classes=numbers,
            resize=resize if said else classifier.resize or resize,
            crops=crops,
            from_minimum=from_minimum,
            per_image=per_image,
            box=box.value,
            fraction=fraction,
            min_share=min_share,
            overlays=overlays_named(overlays),
            report=overlays_named(report, "--report"),
        )
        made = run_cam(
            folder, output, classifier.backbone, classifier.mapping, names, settings,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    tell_assumed(classifier.backbone)
    ending(made.found, output, cam_summary(made, output), as_json)


def _classes(text: str, names: ClassNames) -> tuple[int, tuple[int, ...]]:
    """`top5`, or classes with commas between them."""
    from dff_onnx.errors import UsageError

    words = [word.strip() for word in text.split(",")]
    tops = [found[1] for word in words if (found := re.fullmatch("top *([0-9]{1,9})", word, re.IGNORECASE))]
    if tops and len(words) == 1:
        return int(tops[0]), ()
    if tops or not all(words):
        what = f"top{tops[0]} stands alone" if tops else "a class is missing"
        raise UsageError(f"--classes: {what} in {ascii(text)[:70]}; give topN, or classes with commas between them")
    return 5, tuple(names.find(word) for word in words)
