"""`predictions.csv`: what a classifier says of each picture, best first, with a box for each guess.

The order of the lines is the order of the guesses, as the localization task of ILSVRC wants them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from dff_onnx.datasets.ilsvrc_predictions import COLUMNS
from dff_onnx.records import Box
from dff_onnx.report.results import csv_cell, nine_digits


@dataclass(frozen=True, slots=True)
class Prediction:
    """One guess.

    Attributes:
        image: path of the picture, relative to its folder.
        rank: from 1.
        number: of the class.
        label: its synset, or its name where it has none.
        name: of the class.
        score, probability: before and behind the softmax.
        box: half-open, in pixels of the picture; None where the map is nowhere above zero.
    """

    image: str
    rank: int
    number: int
    label: str
    name: str
    score: float
    probability: float
    box: Box | None


def predictions_csv(predictions: Iterable[Prediction]) -> bytes:
    """All guesses, one a line (RFC 4180, UTF-8); texts as in `boxes.csv`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in predictions:
        corners = (one.box.x0, one.box.y0, one.box.x1, one.box.y1) if one.box else ("",) * 4
        names = (one.number, csv_cell(one.label), csv_cell(one.name))
        figures = (nine_digits(one.score), nine_digits(one.probability))
        writer.writerow((csv_cell(one.image), one.rank, *names, *figures, *corners))
    return text.getvalue().encode("utf-8", "backslashreplace")
