"""Guesses at ILSVRC's validation set against what is true: classification and localization errors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dff_onnx.datasets import Ilsvrc, Predictions, read_ilsvrc, read_predictions
from dff_onnx.datasets.dataset import counted
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.evaluation.stored import identity
from dff_onnx.files import printable
from dff_onnx.metrics import Interval, mean_error, picture_errors
from dff_onnx.report.names import shown

Task = Literal["classification", "localization"]
TASKS: tuple[Task, ...] = ("classification", "localization")
FIRST = (1, 5)  # guesses that count
CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class IlsvrcOpened:
    """What is evaluated.

    Attributes:
        dataset: what is true.
        predictions: what was guessed.
        sha256: of the file of the guesses.
    """

    dataset: Ilsvrc
    predictions: Predictions
    sha256: str

    def identity(self) -> dict[str, Any]:
        """What two evaluations into one folder must share."""
        name = shown(printable(self.predictions.path))
        return identity("ilsvrc", self.dataset.name, None, [{"name": name, "sha256": self.sha256}])


@dataclass(frozen=True, slots=True)
class IlsvrcScore:
    """One picture.

    Attributes:
        name: without folder and suffix.
        errors: 0..1 for each task, with one guess and with five; None where the picture does not count.
    """

    name: str
    errors: Mapping[Task, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class IlsvrcFigures:
    """An evaluation.

    Attributes:
        opened: what was evaluated.
        scores: of each picture that is in both, sorted by name.
        errors: their means with 95 % intervals for each task, with one guess and with five.
        missing: pictures of the data set at which nothing was guessed.
        unknown: pictures with guesses that the data set does not have.
    """

    opened: IlsvrcOpened
    scores: tuple[IlsvrcScore, ...]
    errors: Mapping[Task, tuple[Interval, ...]]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def blacklisted(self) -> int:
        """Pictures that count in classification alone."""
        return sum(score.errors["localization"][0] is None for score in self.scores)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was left out."""
        notes = [shown(note) for note in self.opened.dataset.notes]
        for names, told in ((self.missing, "without a guess"), (self.unknown, "with guesses that are not in it")):
            if names:
                notes.append(
                    f"{self.opened.dataset.name}: {counted(len(names), 'picture')} {told}: left out, the first is "
                    f"{shown(names[0])}"
                )
        return tuple(notes)


def open_ilsvrc(dataset: Path, run: Path | None, predictions: Path | None, truth: Sequence[Path] = ()) -> IlsvrcOpened:
    """Reads what is true and what was guessed.

    Args:
        dataset, truth: as `read_ilsvrc` takes them.
        run: a folder of `dff-onnx cam`.
        predictions: a file of guesses, in its place.

    Raises:
        UsageError: when not one of `run` and `predictions` is given, or there is no such path.
        DatasetError: when a file is malformed.
    """
    if (run is None) == (predictions is None):
        raise UsageError("give one of --run and --predictions")
    if run is not None and not run.is_dir():
        raise UsageError(f"--run {run}: there is no such folder; give the output folder of `dff-onnx cam`")
    true = read_ilsvrc(dataset, truth)
    guessed = read_predictions(run or predictions or "", true)
    return IlsvrcOpened(true, guessed, _sha256(guessed.path))


def evaluate_ilsvrc(opened: IlsvrcOpened) -> IlsvrcFigures:
    """Scores guesses. Pictures at which nothing was guessed are left out, as those that cannot be read elsewhere.

    Raises:
        DatasetError: when guesses and truth have no picture or no label in common.
    """
    guesses, pictures = opened.predictions.guesses, opened.dataset.pictures
    there = [picture for picture in pictures if picture.name in guesses]
    known = {picture.name for picture in pictures}
    if not there:
        first = shown(next(iter(guesses)))
        raise DatasetError(
            f"{opened.predictions.path}: not one of its pictures ({first}, ...) is in {opened.dataset.name} "
            f"({shown(pictures[0].name)}, ...); folders and suffixes do not count, names do"
        )
    _check_labels(opened)
    scores = []
    for picture in there:
        each = [picture_errors(guesses[picture.name], picture.truths, n, picture.blacklisted) for n in FIRST]
        errors: dict[Task, tuple[float | None, ...]] = {
            "classification": tuple(one.classification for one in each),
            "localization": tuple(one.localization for one in each),
        }
        scores.append(IlsvrcScore(picture.name, errors))
    return IlsvrcFigures(
        opened,
        tuple(scores),
        {task: tuple(_mean(scores, task, at) for at in range(len(FIRST))) for task in TASKS},
        tuple(picture.name for picture in pictures if picture.name not in guesses),
        tuple(sorted(guesses.keys() - known)),
    )


def _mean(scores: Sequence[IlsvrcScore], task: Task, at: int) -> Interval:
    return mean_error([score.errors[task][at] for score in scores])


def _check_labels(opened: IlsvrcOpened) -> None:
    """Class names and synsets never meet: without this check all guesses would be wrong, and nobody would know why."""
    true = {label for picture in opened.dataset.pictures for label in picture.truths}
    true |= set(opened.dataset.synsets.values())
    said = {label for guesses in opened.predictions.guesses.values() for label, _ in guesses}
    if said and not said & true:
        raise DatasetError(
            f"{opened.predictions.path}: guesses {shown(min(said))[:40]!r}, and {opened.dataset.name} has labels like "
            f"{min(true)!r}; make the predictions with class names that have synsets (--class-names)"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give the predictions again") from error
    return digest.hexdigest()
