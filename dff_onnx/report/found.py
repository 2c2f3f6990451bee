"""What a run found, as small frozen records: what every file of a run is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dff_onnx.records import Box, Fingerprint, Grid, Region
from dff_onnx.report.figures import (
    AppliedFound,
    ChoiceFound,
    ClassMapsFound,
    FaithfulnessFound,
    ForegroundFound,
    TruthFound,
)

Scale = Literal["set", "image"]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a factorization went; see `dff_onnx.factorization.Factorization`.

    Attributes:
        k, rows, channels: of `A ~ H W`.
        solver, seed, start: what made it.
        loss: `||A-HW||^2 / ||A||^2`.
        reconstruction_err: `||A-HW||_F`.
        kkt: how far the factors are from optimal; 0 is an optimum.
        spread: how much more loss the worst start had than the best, as a share.
        n_iter, converged, stopped: how it ended.
    """

    k: int
    rows: int
    channels: int
    solver: str
    seed: int
    start: str
    loss: float
    reconstruction_err: float
    kkt: float
    spread: float
    n_iter: int
    converged: bool
    stopped: str


@dataclass(frozen=True, slots=True)
class ClassWeight:
    """What a classifier's head says of one class.

    Attributes:
        number: of the class.
        name: of the class.
        weight: what the head adds to the class's map where nothing but the concept is seen, at its peak.
    """

    number: int
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class LikeFound:
    """The concept of a bank that a concept was matched with.

    Attributes:
        concept: its number in the bank.
        cosine: of the two directions.
    """

    concept: int
    cosine: float


@dataclass(frozen=True, slots=True)
class ConceptFound:
    """One concept, or one class.

    Attributes:
        number: from 0, in the order of energy; of a class, its place among those that were mapped.
        name: None until somebody names it.
        colour: `#rrggbb`, on the overlays.
        energy: its share of the energy of all concepts; None for a class.
        threshold: a heat map that reaches it is on.
        peak: the largest value of its heat maps over the set.
        classes: that the concept speaks for most, where the network has a head that looks at its layer.
        class_number: of a class; None for a concept.
        like: the concept of `--like BANK` whose colour and name it has.
    """

    number: int
    name: str | None
    colour: str
    energy: float | None
    threshold: float
    peak: float
    classes: tuple[ClassWeight, ...] = ()
    class_number: int | None = None
    like: LikeFound | None = None

    @property
    def label(self) -> str:
        """Its name, or its number."""
        return self.name or f"concept {self.number}"

    @property
    def legend(self) -> str:
        """Its name, or its number with the class it speaks for."""
        return self.label if self.name or not self.classes else f"{self.number} {self.classes[0].name}"


@dataclass(frozen=True, slots=True)
class ConceptInImage:
    """One concept in one image.

    Attributes:
        concept: its number.
        score: its peak here relative to its peak over the whole set, 0..1.
        share: of the image's pixels that its mask covers.
        regions: of the mask, largest first.
    """

    concept: int
    score: float
    share: float
    regions: tuple[Region, ...]

    @property
    def box(self) -> Box | None:
        """Around the largest region; None where the mask is empty."""
        return self.regions[0].box if self.regions else None


@dataclass(frozen=True, slots=True)
class Answer:
    """One class of a classifier's answer to a picture.

    Attributes:
        number: of the class.
        name: of the class.
        score: before the softmax.
        probability: behind it.
    """

    number: int
    name: str
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class ImageFound:
    """One image.

    Attributes:
        path: relative to the folder, with slashes, as text any format takes.
        size: of the picture in pixels, after its EXIF turn.
        input: as the network saw it.
        grid: of the activations.
        concepts: one entry for each concept, by number.
        fit, table: the image's own factorization and concepts, where each image has its own.
        overlay: path of its overlay below the run's folder, None where there is none.
        answers: the classifier's classes, best first, where a classifier was asked.
        loss: `||A-HW||^2 / ||A||^2` of this image's rows; None where there are no concepts but a foreground or classes.
    """

    path: str
    size: Grid
    input: Grid
    grid: Grid
    concepts: tuple[ConceptInImage, ...]
    fit: Fit | None = None
    table: tuple[ConceptFound, ...] = ()
    overlay: str | None = None
    answers: tuple[Answer, ...] = ()
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One picture that could not be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a run found.

    Attributes:
        fingerprint: of the backbone.
        device: the network really ran on.
        scale: `set` where concepts, thresholds and scores are shared by all images, `image` where each has its own.
        fit, concepts: shared by all images; None and empty where each has its own.
        images: in sorted order.
        failures: pictures that could not be used.
        foreground: how foreground mode went, where that was asked for; its one concept is then the foreground.
        class_maps: how class maps were made, where they are what was asked for; each image then has its own table, of
            classes, and `scale` says whether a class's peak is that of the set or of the image.
        applied: the bank that the concepts come from, where nothing was factorized.
        choice: how `-k auto` went.
        faithfulness: to the classifier behind the layer, where that was measured.
        truth: beside masks that somebody drew, where they were given.
        scores: `(images, concepts)` float32 of shared concepts, where images are on disk and this spares reading them.
    """

    fingerprint: Fingerprint
    device: str
    scale: Scale
    fit: Fit | None
    concepts: tuple[ConceptFound, ...]
    images: Sequence[ImageFound]
    failures: tuple[Failure, ...]
    foreground: ForegroundFound | None = None
    class_maps: ClassMapsFound | None = None
    applied: AppliedFound | None = None
    choice: ChoiceFound | None = None
    faithfulness: FaithfulnessFound | None = None
    truth: TruthFound | None = None
    scores: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def scores_of(self, number: int) -> list[float]:
        """A shared concept's score in each image."""
        if self.scores is not None:
            return [float(score) for score in self.scores[:, number]]
        return [image.concepts[number].score for image in self.images]

    @property
    def unexplained(self) -> tuple[ImageFound, ...]:
        """The images that a bank does not explain, worst first."""
        beyond = [image for image in self.images if self.is_unexplained(image)]
        return tuple(sorted(beyond, key=lambda image: -(image.loss or 0)))

    def is_unexplained(self, image: ImageFound) -> bool:
        """Whether a bank was applied that does not explain this image."""
        limit = self.applied.limit if self.applied else None
        return limit is not None and image.loss is not None and image.loss > limit

    def concepts_of(self, image: ImageFound) -> tuple[ConceptFound, ...]:
        """The concepts that an image's numbers refer to."""
        return image.table or self.concepts
