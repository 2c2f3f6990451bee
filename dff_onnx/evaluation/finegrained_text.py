"""Figures of fine-grained recognition: accuracies with intervals, beside the published row; as text, Markdown, JSON."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets.cub import NAME, LabelledSet
from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.finegrained import FineFigures, FineSettings, Step
from dff_onnx.evaluation.markdown import table_line
from dff_onnx.evaluation.stored import identity, to_json
from dff_onnx.evaluation.text import per_cent
from dff_onnx.metrics import Interval, bootstrap_interval
from dff_onnx.report.evaluation_plot import Bar, BarRow, bars_svg
from dff_onnx.report.names import cell, shown
from dff_onnx.runs.machine import versions

# Accuracy on CUB-200-2011 in per cent, by step, of GoogLeNet-GAP's features.
PUBLISHED = {"full image": 63.0, "map crop": 67.8, "true box": 70.5}
SOURCE = "Zhou et al.: Learning Deep Features for Discriminative Localization (CVPR 2016), slides; GoogLeNet-GAP"
TITLES = {
    "full image": "full image",
    "map crop": "crop by its own class map",
    "true box": "crop by the true box",
}


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One step's accuracy on the test set.

    Attributes:
        step: its name.
        by_class: mean over classes of the share that was classified right, with a 95 % interval over pictures.
        overall: the share of all pictures, likewise.
    """

    step: str
    by_class: Interval
    overall: Interval


def accuracies(figures: FineFigures) -> tuple[Accuracy, ...]:
    """Of each step."""
    return tuple(_accuracy(figures, step) for step in figures.steps)


def finegrained_identity(dataset: LabelledSet, activations: Activations, settings: FineSettings) -> dict[str, Any]:
    """What two evaluations into one folder must share."""
    return _identity(shown(dataset.name), activations.fingerprint.to_dict(), settings)


def finegrained_terminal(figures: FineFigures) -> str:
    """Ready to be printed, in 80 columns."""
    lines = [
        f"{figures.dataset}: {counted(len(figures.classes), 'class', 'classes')}, {figures.trained} pictures to train, "
        f"{len(figures.pictures)} to test",
        f"device {figures.device}; accuracy in per cent, 95 % interval over pictures",
        "",
        f"{'':<27}{'mean over classes':>26}{'overall':>26}",
    ]
    for one in accuracies(figures):
        by_class, overall = _spoken(one.by_class), _spoken(one.overall)
        lines.append(f"{TITLES[one.step]:<27}{by_class:>26}{overall:>26}")
    if figures.dataset == NAME:
        lines += ["", "published: " + ", ".join(f"{name} {figure}" for name, figure in PUBLISHED.items())]
        lines += [f"  {line}" for line in textwrap.wrap(SOURCE, 78)]
    return "\n".join(lines)


def finegrained_markdown(figures: FineFigures) -> str:
    """The same as a page."""
    lines = [
        f"# {cell(figures.dataset)}: fine-grained recognition",
        "",
        f"{len(figures.classes)} classes, {figures.trained} pictures to train, {len(figures.pictures)} to test; device "
        f"{figures.device}. Accuracy in per cent, with 95 % intervals over pictures.",
        "",
        table_line(["looked at", "C", "mean over classes", "overall", "published"]),
        "|---|--:|--:|--:|--:|",
    ]
    for step, one in zip(figures.steps, accuracies(figures), strict=True):
        published = f"{PUBLISHED[step.name]}" if figures.dataset == NAME else "-"
        row = [TITLES[one.step], f"{step.C:g}", _spoken(one.by_class), _spoken(one.overall), published]
        lines.append(table_line(row))
    lines += ["", f"Published: {SOURCE}."] if figures.dataset == NAME else []
    return "\n".join([*lines, "", *(f"- {cell(note)}" for note in figures.notes), ""])


def finegrained_plot(figures: FineFigures) -> str:
    """A bar for each step."""
    rows = [
        BarRow(TITLES[one.step], (Bar(one.by_class.estimate, one.by_class.low, one.by_class.high),))
        for one in accuracies(figures)
    ]
    return bars_svg(rows, ["measured"], figures.dataset, "accuracy, mean over classes")


def finegrained_json(figures: FineFigures) -> str:
    """`figures.json`: the class that each test picture was given at each step, from which all follows."""
    fields = _identity(figures.dataset, figures.fingerprint, figures.settings) | {
        "source": "measured",
        "device": figures.device,
        "versions": versions(),
        "classes": list(figures.classes),
        "notes": list(figures.notes),
        "failures": [asdict(failure) for failure in figures.failures],
        "trained": figures.trained,
        "steps": [
            {
                "name": step.name,
                "C": step.C,
                "converged": step.converged,
                "mean_over_classes": one.by_class.estimate,
                "interval": [one.by_class.low, one.by_class.high],
                "overall": one.overall.estimate,
                "overall_interval": [one.overall.low, one.overall.high],
                "published": round(PUBLISHED[step.name] / 100, 4) if figures.dataset == NAME else None,
            }
            for step, one in zip(figures.steps, accuracies(figures), strict=True)
        ],
        "images": [
            {
                "path": picture.path,
                "class": picture.label,
                "crop": None if picture.crop is None else list(asdict(picture.crop).values()),
                "found": [step.found[number] for step in figures.steps],
            }
            for number, picture in enumerate(figures.pictures)
        ],
    }
    return to_json(fields)


def _identity(dataset: str, fingerprint: Any, settings: FineSettings) -> dict[str, Any]:
    plain = {
        "resize": settings.resize.mode,
        "size": settings.resize.pixels,
        "pool": settings.pool,
        "C": "cv" if settings.C is None else settings.C,
        "unit": settings.unit,
        "fraction": settings.fraction,
    }
    used = [{"name": "svm", "title": "linear SVM on deep features", "settings": plain}]
    return identity("finegrained", dataset, fingerprint, used)


def _accuracy(figures: FineFigures, step: Step) -> Accuracy:
    labels = [picture.label for picture in figures.pictures]
    hits = [int(found == label) for found, label in zip(step.found, labels, strict=True)]
    ones = [1] * len(hits)
    return Accuracy(step.name, bootstrap_interval(hits, ones, labels), bootstrap_interval(hits, ones, ones))


def _spoken(interval: Interval) -> str:
    low, high = (per_cent(value, 1) for value in (interval.low, interval.high))
    return f"{per_cent(interval.estimate, 1)} ({low} to {high})"
