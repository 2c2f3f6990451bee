"""Figures that others published, with their sources. They are printed beside ours and never mixed with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dff_onnx.datasets import CLASSES


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        name: of the method.
        figures: in per cent, one for each class of VOC in the official order.
        mean: in per cent, as printed.
        source: where it was read.
    """

    name: str
    figures: tuple[int, ...]
    mean: float
    source: str


# The data set that the table belongs to, as `read_voc` names it.
VOC_2007 = "VOC2007 trainval"

# The heads of the poster's columns.
ABBREVIATIONS: Mapping[str, str] = dict(
    zip(
        CLASSES,
        "aero bicy bird boa bot bus car cat cha cow dtab dog hors mbik pers plnt she sofa trai tv".split(),  # noqa: SIM905
        strict=True,
    )
)

POSTER = "Collins, Achanta, Suesstrunk: Deep Feature Factorization for Concept Discovery (ECCV 2018), poster"

# CorLoc on VOC 2007 trainval, k = 1. The printed cells of DFF and DFF-CRF average 43.05 and 43.70, not the printed
# means: they are rounded by a way of their own, so that 1 is the least difference that means something.
CORLOC_VOC_2007 = tuple(
    PublishedRow(name, tuple(map(int, figures.split())), mean, POSTER)
    for name, figures, mean in (
        ("DFF", "61 49 54 20 10 60 46 79 4 51 32 67 66 70 19 15 40 32 66 20", 42.87),
        ("DFF-CRF", "64 47 50 16 10 62 52 75 8 53 35 65 65 72 16 14 41 36 63 30", 43.51),
        ("Joulin", "33 17 21 18 5 27 33 41 6 29 35 32 26 40 18 12 25 28 36 12", 25.60),
        ("Cho", "50 43 30 19 4 62 65 43 9 49 12 44 64 57 15 9 31 34 62 32", 36.60),
        ("Li", "73 45 43 28 7 53 58 45 6 48 14 47 69 67 24 13 52 26 65 17", 40.00),
        ("Le (A)", "70 52 44 30 5 56 60 59 6 49 16 51 59 67 23 12 47 27 59 16", 40.36),
        ("Le (V)", "72 62 48 28 12 64 59 72 6 37 12 45 67 72 19 11 37 29 67 23", 41.97),
    )
)

# Pictures of VOC 2007 trainval, and how often one is in the set of a class: the official counts of pictures with an
# object that is not difficult, summed over the classes. The paper's filter leaves fewer; how many is not known.
VOC_2007_PICTURES = 5011
VOC_2007_MEMBERSHIPS = 7306
