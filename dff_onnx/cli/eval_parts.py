"""`dff-onnx eval parts`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.eval_options import (
    AsJson,
    Clean,
    Groups,
    ImageSet,
    Masks,
    Output,
    Overwrite,
    SkipMissing,
    VocFilter,
    VocRule,
    ended,
    numbers,
    told,
    words,
)
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
from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import LongSide, ShortSide, Size, resize_of

if TYPE_CHECKING:
    from dff_onnx.evaluation import PartFigures


@with_network(without=["layer"])
def parts(
    dataset: Annotated[Path, typer.Argument(help="A tree with parts/, VOC 2010, or pictures with --masks, --parts.")],
    annotations: Annotated[Path | None, typer.Option(help="PASCAL-Part's Annotations_Part, over VOC 2010.")] = None,
    part_names: Annotated[Path | None, typer.Option(help="Which of its parts become one: TOML or JSON.")] = None,
    image_set: ImageSet = None,
    voc_filter: VocFilter = VocRule.own,
    clean: Clean = False,
    masks: Masks = None,
    part_masks: Annotated[Path | None, typer.Option("--parts", help="A folder of part masks, with --masks.")] = None,
    skip_missing: SkipMissing = False,
    groups: Groups = None,
    k: Annotated[str, typer.Option("-k", "--k", help="Numbers of concepts: 4, 1,2,4 or 1..10.")] = "4",
    layers: Annotated[str | None, typer.Option(help="Layers, with commas. [default: what the model says]")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many, from 0; parts are given with seed 0.")] = 5,
    labels: Annotated[Path | None, typer.Option(help="A labels.json: parts that a person saw in concepts.")] = None,
    threshold: Rule = RuleChoice.percentile,
    percentile: Percentile = 75.0,
    fraction: Fraction = 0.5,
    domain: Domain = DomainChoice.input,
    crf: CrfFlag = False,
    crf_mode: CrfMode = None,
    plot: Annotated[Path | None, typer.Option(help="An SVG file to write: quality by k and layer.")] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    *,
    network: NetworkOptions,
) -> None:
    """Parts: what each concept turns out to be, and how well.

    Quality is the IoU of each concept's best part, averaged over concepts, as mean and deviation over seeds (figure 4
    of the DFF paper). A concept is given the parts that it covers by more than a half, or those in --labels. Exit
    code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.evaluation import (
        PartPlan,
        VocChoice,
        check_plot,
        claimed,
        evaluate_parts,
        open_parts,
        parts_identity,
    )
    from dff_onnx.runs.settings import Settings

    resize, masks_by = resize_of(size, short_side, long_side), threshold_of(threshold, percentile, fraction, domain)
    settings = Settings(resize=resize, threshold=masks_by, crf=crf_of(crf, crf_mode))
    plan = PartPlan(numbers(k, "-k"), tuple(range(seeds)), words(layers) or (None,), settings, labels)
    voc = VocChoice(image_set, rule=voc_filter.value, clean=clean)
    opened = open_parts(dataset, annotations, part_names, masks, part_masks, words(groups), skip_missing, voc)
    if plot:
        check_plot(plot)
    with claimed(output, parts_identity(opened, plan), overwrite) as resume:
        with shown() as progress:
            figures = evaluate_parts(
                opened, lambda layer: replace(network, layer=layer).open(progress), plan, progress, resume
            )
        _scored(figures, plot, output, as_json)


def _scored(figures: PartFigures, plot: Path | None, output: Path | None, as_json: bool) -> None:
    from dff_onnx.evaluation import parts_json, parts_markdown, parts_plot, parts_terminal
    from dff_onnx.files import write_atomically

    drawn = parts_plot(figures)
    try:
        told(output, as_json, parts_json(figures), parts_terminal(figures), parts_markdown(figures), drawn)
    finally:
        if plot:
            write_atomically(plot, drawn.encode())
    ended(figures.notes, figures.failures)
