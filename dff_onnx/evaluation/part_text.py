"""An evaluation of parts for a terminal of 80 columns, as Markdown, JSON, and figure 4."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.markdown import table_line
from dff_onnx.evaluation.opening import Opened
from dff_onnx.evaluation.part_scores import ConceptScore, PartFigures, Spread, Trial
from dff_onnx.evaluation.parts import PartPlan
from dff_onnx.evaluation.stored import identity, to_json
from dff_onnx.evaluation.text import number
from dff_onnx.report.evaluation_plot import QualityCurve, quality_svg
from dff_onnx.report.names import cell, fitted, shown
from dff_onnx.runs.machine import versions

WIDTH = 80
HOW = {"coverage": "parts by coverage above 0.5", "labels": "parts by labels"}


def parts_identity(opened: Opened, plan: PartPlan) -> dict[str, Any]:
    """What two evaluations into one folder must share, but for the fingerprints."""
    return _identity(shown(opened.dataset.name), plan.ks, plan.seeds, plan.shared_settings())


def _identity(dataset: str, ks: Sequence[int], seeds: Sequence[int], settings: Mapping[str, Any]) -> dict[str, Any]:
    plan = {"ks": list(ks), "seeds": list(seeds), "settings": settings}
    fields = identity("parts", dataset, None, [plan])
    return {key: value for key, value in fields.items() if key != "fingerprint"}


def parts_terminal(figures: PartFigures) -> str:
    """Ready to be printed: quality at each k, then what each concept was given."""
    lines = [f"{figures.dataset}: {counted(len(figures.groups), 'group')}, {_seeds(figures.seeds)}, measured"]
    lines += ["", "quality: IoU of each concept's best part, averaged; mean and s.d. over seeds"]
    for layer in figures.layers:
        lines += ["", f"layer {fitted(layer.name, WIDTH - 6).rstrip()}", *_quality_lines(figures, layer.name)]
    for how in ("coverage", "labels"):
        concepts = [one for one in figures.concepts if one.how == how]
        if concepts:
            lines += ["", f"{HOW[how]}, seed {figures.seeds[0]}: IoU dataset-wide, mean over pictures"]
            lines += _concept_lines(concepts)
    return "\n".join(lines)


def _quality_lines(figures: PartFigures, layer: str) -> list[str]:
    """Ks as rows: the mean over groups, then the groups, a few beside each other."""
    names: list[str | None] = [None, *(figures.groups if len(figures.groups) > 1 else ())]
    lines: list[str] = []
    for start in range(0, len(names), 5):
        some = names[start : start + 5]
        lines.append(f"{'k':>4}" + "".join(f" {fitted(name or 'mean', 13)} " for name in some).rstrip())
        for k in figures.ks:
            cells = (_spread_text(figures.quality(layer, k, name)) for name in some)
            lines.append(f"{k:>4}" + "".join(f" {text:<13} " for text in cells).rstrip())
    return lines


def _spread_text(spread: Spread) -> str:
    return number(spread.mean) + ("" if math.isnan(spread.deviation) else f" ± {spread.deviation:.3f}")


def _concept_lines(concepts: Sequence[ConceptScore]) -> list[str]:
    lines: list[str] = []
    place: tuple[str, str, int] | None = None
    for one in concepts:
        if (one.layer, one.group, one.k) != place:
            place = (one.layer, one.group, one.k)
            mine = [other for other in concepts if (other.layer, other.group, other.k) == place]
            lines += ["", f"{fitted(f'{one.group}, {one.layer}', 46)} k = {one.k:<3} {_means(mine)}"]
        figures = f"{number(one.iou)} {number(one.per_image):>6}"
        lines.append(f"  concept {one.concept:<3} {figures}  {fitted(_parts(one), WIDTH - 28).rstrip()}")
    return lines


def _means(concepts: Sequence[ConceptScore]) -> str:
    there = [one.iou for one in concepts if one.iou is not None and not math.isnan(one.iou)]
    none = sum(one.iou is None for one in concepts)
    mean = f"mean {number(math.fsum(there) / len(there) if there else None)}"
    return f"{mean}, {none} without" if none else mean


def _parts(one: ConceptScore) -> str:
    return ", ".join(one.parts) or "-"


def parts_markdown(figures: PartFigures) -> str:
    """The same as a page of Markdown."""
    lines = [f"# {cell(figures.dataset)}: parts", "", f"All figures measured; {_seeds(figures.seeds)}."]
    for layer in figures.layers:
        lines += ["", f"## Quality, layer {cell(layer.name)}, device {layer.device}", ""]
        lines += [table_line(["k", "mean", *map(cell, figures.groups)]), "|--:|--:|" + "--:|" * len(figures.groups)]
        for k in figures.ks:
            cells = [_spread_text(figures.quality(layer.name, k, name)) for name in (None, *figures.groups)]
            lines.append(table_line([str(k), *cells]))
    lines += ["", "## What each concept is", ""]
    lines += [
        table_line(["layer", "group", "k", "concept", "given by", "parts", "IoU", "per image"]),
        "|---|---|--:|--:|---|---|--:|--:|",
    ]
    for one in figures.concepts:
        names = [cell(one.layer), cell(one.group), str(one.k), str(one.concept), one.how, cell(_parts(one))]
        lines.append(table_line([*names, number(one.iou), number(one.per_image)]))
    return "\n".join([*lines, "", *(f"- {cell(note)}" for note in figures.notes), ""])


def parts_json(figures: PartFigures) -> str:
    """`figures.json`: the counts of every factorization, and of every picture for the parts that were given."""
    fields = _identity(figures.dataset, figures.ks, figures.seeds, figures.settings) | {
        "fingerprint": [layer.fingerprint for layer in figures.layers],
        "source": "measured",
        "device": [layer.device for layer in figures.layers],
        "versions": versions(),
        "groups": list(figures.groups),
        "parts": figures.parts,
        "notes": list(figures.notes),
        "failures": [asdict(failure) for failure in figures.failures],
        "trials": [_trial(trial) for trial in figures.trials],
        "concepts": [asdict(one) for one in figures.concepts],
        "images": [asdict(one) for one in figures.images],
    }
    return to_json(fields)


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "layer": trial.layer,
        "group": trial.group,
        "k": trial.k,
        "seed": trial.seed,
        "quality": trial.quality,
        "inter": trial.counts.inter.tolist(),
        "concepts": trial.counts.concepts.tolist(),
        "parts": trial.counts.parts.tolist(),
    }


def parts_plot(figures: PartFigures) -> str:
    """Figure 4 of the DFF paper: quality by k, a line for each layer."""
    ks = tuple(sorted(figures.ks))
    curves = []
    for layer in figures.layers:
        spreads = [figures.quality(layer.name, k) for k in ks]
        means, deviations = tuple(one.mean for one in spreads), tuple(one.deviation for one in spreads)
        curves.append(QualityCurve(layer.name, ks, means, deviations))
    return quality_svg(curves, figures.dataset)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
