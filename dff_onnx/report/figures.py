"""Figures about a run: how it was made, and how far its concepts may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from dff_onnx.metrics.statistics import Interval


@dataclass(frozen=True, slots=True)
class TrialFound:
    """One way in which foreground mode started; see `dff_onnx.concepts.foreground.Trial`.

    Attributes:
        pixels: of the size the network saw.
        prior: `centre` or `border`.
        quality: by which trials are compared.
        bimodality, overlap, halves, contact: what it is made of.
    """

    pixels: int
    prior: str
    quality: float
    bimodality: float
    overlap: float
    halves: float
    contact: float


@dataclass(frozen=True, slots=True)
class ForegroundFound:
    """How foreground mode went.

    Attributes:
        sure: `low`, `medium` or `high`.
        agreement: mean IoU of the masks with those of the trials that were not taken, 0..1.
        chosen: number of the trial that was taken.
        trials: all of them.
    """

    sure: str
    agreement: float
    chosen: int
    trials: tuple[TrialFound, ...]


@dataclass(frozen=True, slots=True)
class ClassMapsFound:
    """How class maps were made.

    Attributes:
        method: `cam`, `grad-cam`, `eigen-cam`, `score-cam` or `ablation-cam`.
        classes: how many the classifier knows.
        names: where their names come from: `imagenet`, a file, `numbers`.
        box: by which rule boxes were made.
    """

    method: str
    classes: int
    names: str
    box: str


@dataclass(frozen=True, slots=True)
class AppliedFound:
    """The bank that was applied.

    Attributes:
        bank_sha256: of its file.
        usual: median loss of the pictures its concepts come from; None where the bank does not know it.
        limit: a picture with more loss is not explained by the bank; None where the bank does not know it.
    """

    bank_sha256: str
    usual: float | None
    limit: float | None


@dataclass(frozen=True, slots=True)
class TriedK:
    """What so many concepts make of the set.

    Attributes:
        k: how many.
        explained: share of `||A||^2`.
        seeds: how well the concepts of single random starts agree with the best ones, at most 1; see
            `dff_onnx.concepts.halves.distinct_agreement`.
        halves: the same between the concepts of halves of the pictures; None where there are too few pictures.
    """

    k: int
    explained: float
    seeds: float
    halves: float | None


@dataclass(frozen=True, slots=True)
class ChoiceFound:
    """How `-k auto` went.

    Attributes:
        k: what was chosen.
        reason: why, in a sentence.
        tried: the figures it was chosen by, by k.
    """

    k: int
    reason: str
    tried: tuple[TriedK, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """What the classifier's score does while concepts go, or come, strongest first.

    Attributes:
        fidelity: share of the images that keep their first class when `HW` takes the place of `A`.
        deletion: score with 0, 1 .. k concepts taken away from `HW`, summed over the images, relative to that of `A`.
        insertion: score with 0, 1 .. k concepts put in, likewise.
        importance: total Sobol index of each concept, mean over the images, in the order of the concepts; of random
            ones, strongest first.
    """

    fidelity: Interval
    deletion: tuple[Interval, ...]
    insertion: tuple[Interval, ...]
    importance: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class FaithfulnessFound:
    """Whether the concepts are what the classifier goes by; see `dff_onnx.concepts.faithfulness`.

    Attributes:
        images: how many were looked at.
        designs: masks drawn for an index.
        score: what `deletion` and `insertion` are figures of: `probability` or `logit`.
        concepts: what was found.
        control: the same of random concepts.
    """

    images: int
    designs: int
    score: str
    concepts: Curves
    control: Curves


@dataclass(frozen=True, slots=True)
class TruthFound:
    """A run beside masks that somebody drew.

    Attributes:
        images: that have a mask.
        iou: of each concept's masks with them, summed over the images and divided once.
        corloc: of each concept, share of images whose largest region's box has an IoU above 0.5 with the object's.
        union: IoU of the best union of concepts with them, and which concepts it is made of; the choice saw the masks.
    """

    images: int
    iou: tuple[Interval, ...]
    corloc: tuple[Interval, ...]
    union: Interval
    best: tuple[int, ...]
