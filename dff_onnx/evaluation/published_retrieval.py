"""Mean average precisions that others published; printed beside ours and never mixed with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tag = Literal["read", "code", "recalled"]

SLIDES = "Avrithis: talk on image retrieval (2017), slides"
README = "Radenovic et al.: cnnimageretrieval-pytorch, README"
RECALLED = "recalled from the papers"


@dataclass(frozen=True, slots=True)
class PublishedRetrieval:
    """One row of a published table.

    Attributes:
        name: of the method, with its network and dimensions where they are known.
        figures: mAP in per cent, as printed, by data set and protocol.
        source: where it was read.
        tag: how sure that is: `read` in the source itself, read in the authors' `code`, or `recalled` from the
            published paper and not read again. What is recalled is a soft reference.
    """

    name: str
    figures: Mapping[tuple[str, str], float]
    source: str
    tag: Tag

    @property
    def origin(self) -> str:
        """The source, and whether it was read."""
        return self.source if self.tag != "recalled" else f"{self.source}, not read again"


def _classic(names: str, figures: str) -> dict[tuple[str, str], float]:
    """Figures by data set; a dash where there is none."""
    pairs = zip(names.split(), figures.split(), strict=True)
    return {(name, "classic"): float(figure) for name, figure in pairs if figure != "-"}


# Global descriptors of cropped queries.
DESCRIPTORS = tuple(
    PublishedRetrieval(
        name, _classic("Oxford5k Paris6k Oxford105k Paris106k Holidays", figures), RECALLED, "recalled"
    )
    for name, figures in (
        ("MAC VGG16 512-D", "56.4 72.3 47.8 58.0 -"),
        ("R-MAC VGG16 512-D", "66.9 83.0 61.6 75.7 -"),
        ("CroW 512-D", "70.8 79.7 65.3 72.2 85.1"),
        ("CroW+QE 512-D", "74.9 84.8 70.6 79.4 -"),
        ("SPoC 256-D", "53.1 - - - 80.2"),
        ("neural codes", "43.5 - - - -"),
        ("neural codes, retrained", "54.5 - - - -"),
    )
)  # fmt: skip

# Networks trained for retrieval, with learned whitening; of the revisited sets the README has the medium protocol.
TRAINED = tuple(
    PublishedRetrieval(
        name,
        _classic("Oxford5k Paris6k", classic)
        | {("ROxford5k", "medium"): oxford, ("RParis6k", "medium"): paris},
        README,
        "code",
    )
    for name, classic, oxford, paris in (
        ("GeM VGG16", "87.3 87.8", 60.9, 69.3),
        ("GeM ResNet101", "88.2 92.5", 65.4, 76.7),
    )
)  # fmt: skip

# Saliency of features and of objects; VGG fine-tuned without labels. The triangle variant is undefined in the talk.
SALIENCY = tuple(
    PublishedRetrieval(name, _classic("INSTRE Oxford5k Oxford105k", figures), SLIDES, "read")
    for name, figures in (
        ("MAC", "48.5 79.7 73.9"),
        ("R-MAC", "47.7 77.7 70.1"),
        ("FS.EGM", "48.4 77.5 70.2"),
        ("OS.EGM", "50.1 79.6 71.8"),
        ("OS.EGM-triangle", "53.7 79.8 71.4"),
        ("MAC+QE", "71.8 87.4 86.0"),
        ("R-MAC+QE", "70.3 85.7 82.7"),
        ("FS.EGM+QE", "71.2 89.8 87.9"),
        ("OS.EGM+QE", "72.7 90.4 88.0"),
        ("OS.EGM-triangle+QE", "75.4 90.1 84.3"),
    )
)

# Ranking on graphs: VGG of 512, ResNet of 2048 dimensions, both trained for retrieval.
DIFFUSION = tuple(
    PublishedRetrieval(
        name, _classic("INSTRE Oxford5k Oxford105k Paris6k Paris106k", figures), RECALLED, "recalled"
    )
    for name, figures in (
        ("R-MAC VGG, kNN", "47.7 77.7 70.1 84.1 76.8"),
        ("R-MAC VGG, kNN+AQE", "57.3 85.4 79.7 88.4 83.5"),
        ("R-MAC VGG, diffusion", "70.3 85.7 82.7 94.1 92.5"),
        ("R-match VGG", "55.5 81.5 76.5 86.1 79.9"),
        ("regional diffusion VGG", "80.0 93.2 90.3 96.5 92.6"),
        ("R-MAC ResNet, kNN", "62.6 83.9 80.8 93.8 89.9"),
        ("R-MAC ResNet, diffusion", "80.5 87.1 87.4 96.5 95.4"),
        ("regional diffusion ResNet", "89.6 95.8 94.2 96.9 95.3"),
    )
)  # fmt: skip

ROWS = (*DESCRIPTORS, *TRAINED, *SALIENCY, *DIFFUSION)


def published_retrieval(dataset: str, protocol: str) -> tuple[PublishedRetrieval, ...]:
    """The rows that have a figure for a data set, as its reader names it, and one of its protocols.

    >>> [row.name for row in published_retrieval("Holidays", "classic")]
    ['CroW 512-D', 'SPoC 256-D']
    """
    return tuple(row for row in ROWS if (dataset, protocol) in row.figures)
