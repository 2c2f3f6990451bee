"""What a person at a terminal sees of a run: a bar with rate and remaining time, and a summary."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from textwrap import wrap

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dff_onnx.cli.pictures_text import counted
from dff_onnx.progress import Progress as Follower
from dff_onnx.progress import Silent
from dff_onnx.report.found import Found
from dff_onnx.report.names import shown as printed
from dff_onnx.runs.class_maps import ClassMaps

WORST = 3  # pictures that a bank does not explain, named


class _Rate(ProgressColumn):
    """Steps a second, once a second step says it."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed and task.total and task.total > 1 else "")


class _Bar:
    """One line per stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        self._finish()
        self._task = self._progress.add_task(stage, total=total)

    def advance(self, steps: int = 1) -> None:
        if self._task is not None:
            self._progress.advance(self._task, steps)

    def _finish(self) -> None:
        if self._task is not None and self._progress.tasks[-1].total is None:
            self._progress.update(self._task, total=1, completed=1)


@contextmanager
def shown() -> Iterator[Follower]:
    """A follower that draws on the terminal; silent where stderr is none."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(progress)


def summary(found: Found, out: Path) -> str:
    """What was found, in a few lines of at most 80 columns but for names."""
    lines = [f"{counted(len(found.images))}, device {found.device}"]
    if found.fit:
        fit = found.fit
        ending = "converged" if fit.converged else f"stopped: {fit.stopped}"
        lines[0] += f", {1 - fit.loss:.1%} explained by {_many(fit.k, 'concept')} ({ending})"
    if found.foreground:
        lines[0] += f", foreground found; sure: {found.foreground.sure}"
        lines.append(f"  agreement of {len(found.foreground.trials)} trials: IoU {found.foreground.agreement:.2f}")
        covered = sum(image.concepts[0].share for image in found.images) / len(found.images)
        empty = sum(not image.concepts[0].regions for image in found.images)
        lines.append(f"  it covers {covered:.1%} of the pictures; {empty} show none")
    for concept in () if found.foreground else found.concepts:
        strong = sum(score >= 0.5 for score in found.scores_of(concept.number))
        lines.append(
            f"  {concept.label}  {concept.colour}  energy {concept.energy or 0:5.1%}, score above a half in {strong}"
            + (f", {concept.classes[0].name}" if concept.classes else "")
        )
    return "\n".join(lines + _figures(found) + how_it_ended(found, out))


def _figures(found: Found) -> list[str]:
    """How k was chosen, what a bank knows of the concepts, what a classifier and masks say of them."""
    told = []
    if found.choice:
        told.append(f"k = {found.choice.reason}")
    same = sum(concept.like is not None for concept in found.concepts)
    if same:
        told.append(f"{same} of {len(found.concepts)} concepts are the bank's")
    if found.faithfulness:
        kept, others = (one.fidelity.estimate for one in (found.faithfulness.concepts, found.faithfulness.control))
        told.append(
            f"the classifier keeps its first class in {kept:.0%} of {counted(found.faithfulness.images)} when it "
            f"sees the concepts alone, in {others:.0%} with random ones"
        )
    if found.truth:
        best, union = found.truth.best, found.truth.union
        many = _many(found.truth.images, "mask")
        of = "concept" if len(best) == 1 else "union of concepts:"
        whose = f", the best {of} {' + '.join(map(str, best))}" if len(found.concepts) > 1 else ""
        told.append(f"IoU with {many}: {union.estimate:.3f} [{union.low:.3f}, {union.high:.3f}]{whose}")
    return [line for text in told for line in wrap(text, 80, initial_indent="  ", subsequent_indent="    ")]


def _many(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"


def apply_summary(found: Found, out: Path) -> str:
    """What a bank's concepts are in new pictures, in a few lines of at most 80 columns but for names."""
    lines = [f"{counted(len(found.images))}, device {found.device}, nothing fitted"]
    for concept in found.concepts:
        strong = sum(score >= 0.5 for score in found.scores_of(concept.number))
        lines.append(f"  {concept.label}  {concept.colour}  score above a half in {strong}")
    losses = [image.loss for image in found.images if image.loss is not None]
    if losses:
        usual = found.applied.usual if found.applied else None
        beside = "" if usual is None else f", {1 - usual:.1%} of the bank's own pictures"
        lines.append(f"  median picture {1 - median(losses):.1%} explained{beside}")
    return "\n".join(lines + _unexplained(found) + _figures(found) + how_it_ended(found, out))


def _unexplained(found: Found) -> list[str]:
    """How many pictures a bank does not explain, and the worst."""
    limit = found.applied.limit if found.applied else None
    if limit is None:
        return []
    if not found.unexplained:
        return ["  the bank explains all of them"]
    many = len(found.unexplained)
    lines = [f"  {counted(many)} not explained (less than {1 - limit:.1%}):"]
    lines += [f"    {1 - (image.loss or 0):6.1%}  {printed(image.path)}" for image in found.unexplained[:WORST]]
    return lines + ([f"    and {many - WORST} more in results.json"] if many > WORST else [])


def cam_summary(made: ClassMaps, out: Path) -> str:
    """What a classifier said, in a few lines of at most 80 columns but for names."""
    found, said = made.found, made.found.class_maps
    lines = [f"{counted(len(found.images))}, device {found.device}"]
    if said:
        classes = "1 class" if said.classes == 1 else f"{said.classes} classes; first answers:"
        lines[0] += f", {said.method} of a network of {classes}"
    lines += _first_answers(found)
    if made.settings.classes and found.images[0].table[0].class_number is not None:
        names = [one.name or "" for one in found.images[0].table]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        lines.append(f"  mapped in all: {', '.join(names[:5])}{more}")
    return "\n".join(lines + how_it_ended(found, out))


def _first_answers(found: Found) -> list[str]:
    """The classes that come first in most pictures; of a single class, how many pictures are of it."""
    first = [image.answers[0] for image in found.images]
    if found.class_maps and found.class_maps.classes == 1:
        return [f"  {sum(one.score > 0 for one in first)} score above 0 for {first[0].name}"]
    best = Counter(one.name for one in first)
    lines = [f"  {many} of {name}" for name, many in best.most_common(5)]
    if len(best) > 5:
        lines.append(f"  and {len(best) - 5} more come first somewhere")
    return lines


def how_it_ended(found: Found, out: Path) -> list[str]:
    """Pictures that could not be used, and where to look."""
    lines = []
    if found.failures:
        first = found.failures[0]
        lines.append(f"{counted(len(found.failures))} could not be used; the first: {printed(first.path)}:")
        lines.append(f"  {printed(first.reason)} (all in {out / 'failures.json'})")
    page = out / "report.html"
    return [*lines, f"written to {out}" + (f"; look at {page}" if page.is_file() else "")]
