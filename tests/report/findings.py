"""What a run might have found, file names and numbers as awkward as they come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dff_onnx.metrics.statistics import Interval
from dff_onnx.records import Box, Fingerprint, Grid, Preprocessing, Region
from dff_onnx.report.figures import (
    AppliedFound,
    ChoiceFound,
    ClassMapsFound,
    Curves,
    FaithfulnessFound,
    ForegroundFound,
    TrialFound,
    TriedK,
    TruthFound,
)
from dff_onnx.report.found import (
    Answer,
    ClassWeight,
    ConceptFound,
    ConceptInImage,
    Failure,
    Fit,
    Found,
    ImageFound,
    LikeFound,
)

HOSTILE_PATHS = (
    "=cmd|' /C calc'!A0.jpg",
    "+1.jpg",
    "-1.jpg",
    "@SUM(A1).jpg",
    "\t=1.jpg",
    "\r=1.jpg",
    "'=1.jpg",
    'quote".jpg',
    "comma, semicolon;.jpg",
    "new\nline.jpg",
    "new\r\nline.jpg",
    "<script>alert(1)</script>.jpg",
    "\u202egpj.exe",
    "\u2028\u2029\x00\x7f.jpg",
    "ünïcödé 🐘.jpg",
    " leading and trailing ",
    "lone \udcff byte.jpg",
    "folder/a\\xff.jpg",
)

FIT = Fit(
    k=2,
    rows=98,
    channels=512,
    solver="hals",
    seed=0,
    start="nndsvd",
    loss=0.1234567891234,
    reconstruction_err=1e-30,
    kkt=0.0009,
    spread=0.013,
    n_iter=17,
    converged=True,
    stopped="the projected gradient fell below 1e-4",
)


def concept(number: int, **changes: Any) -> ConceptFound:
    tenth = float(np.float32(0.1))
    found = ConceptFound(number, None, "#e69f00", energy=0.5, threshold=tenth, peak=3.0)
    return replace(found, **changes)


def regions(*boxes: tuple[int, int, int, int]) -> tuple[Region, ...]:
    return tuple(Region(Box(*box), Box(*box).area - 1) for box in boxes)


def image(path: str, **changes: Any) -> ImageFound:
    concepts = (
        ConceptInImage(0, score=1 / 3, share=0.25, regions=regions((0, 0, 20, 30), (40, 1, 43, 4))),
        ConceptInImage(1, score=0.0, share=0.0, regions=()),
    )
    return replace(ImageFound(path, Grid(48, 64), Grid(224, 224), Grid(14, 14), concepts), **changes)


def found(**changes: Any) -> Found:
    """A run that shares its concepts."""
    images = tuple(image(path) for path in HOSTILE_PATHS)
    failures = (Failure("broken.jpg", "is no picture"), Failure("lone \udcff.png", "ends too early"))
    base = Found(
        fingerprint=Fingerprint("ab" * 32, "relu5_4", Preprocessing()),
        device="cpu",
        scale="set",
        fit=FIT,
        concepts=(concept(0, name="=head"), concept(1, colour="#0072b2")),
        images=images,
        failures=failures,
    )
    return replace(base, **changes)


def found_per_image() -> Found:
    """A run in which every image has its own concepts."""
    own = {"fit": FIT, "table": (concept(0, peak=1.0), concept(1)), "overlay": "overlays/a.png"}
    return found(scale="image", fit=None, concepts=(), images=(image("a.jpg", **own), image("b.jpg", **own)))


FOREGROUND = found(
    fit=None, foreground=ForegroundFound("medium", 0.75, 0, (TrialFound(448, "centre", 3.5, 0.8, 0.3, 0.75, 0.1),))
)

CLASS_MAPS = found(
    scale="set",
    fit=None,
    concepts=(),
    images=tuple(
        image(
            path,
            table=(
                concept(0, name="=tench", energy=None, class_number=3),
                concept(1, name="crane", energy=None, class_number=900, peak=0.0),
            ),
            answers=(Answer(900, "crane", -12.5, 0.25), Answer(3, "=tench", -1e30, 0.0)),
        )
        for path in HOSTILE_PATHS
    ),
    class_maps=ClassMapsFound("cam", 1000, "imagenet", "paper"),
)

SPEAKING = found(concepts=(concept(0, classes=(ClassWeight(3, "tench", -0.5),)), concept(1)))

A_FIGURE = Interval(0.5, 0.75, 2 / 3)
CURVES = Curves(A_FIGURE, (A_FIGURE,) * 3, (A_FIGURE,) * 3, (A_FIGURE,) * 2)

MEASURED = found(
    concepts=(concept(0, like=LikeFound(2, 1 / 3)), concept(1)),
    images=tuple(image(path, loss=0.1 * number) for number, path in enumerate(HOSTILE_PATHS)),
    choice=ChoiceFound(2, "=because", (TriedK(1, 1 / 3, 1.0, None), TriedK(2, 0.5, 0.75, 0.5))),
    faithfulness=FaithfulnessFound(18, 32, "probability", CURVES, CURVES),
    truth=TruthFound(18, (A_FIGURE,) * 2, (A_FIGURE,) * 2, A_FIGURE, (0, 1)),
)

APPLIED = found(fit=None, images=MEASURED.images, applied=AppliedFound("cd" * 32, 1 / 3, 0.75))
