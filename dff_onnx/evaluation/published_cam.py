"""Errors on ILSVRC that the CAM paper published; printed beside ours and never mixed with them."""

from __future__ import annotations

from dataclasses import dataclass

SLIDES = "Zhou et al.: Learning Deep Features for Discriminative Localization (CVPR 2016), slides"
RECALLED_NAMES = f"{SLIDES}; which network a localization error belongs to is recalled from the paper"
GRAD_CAM = "Selvaraju et al.: Grad-CAM (ICCV 2017), recalled from the paper"


@dataclass(frozen=True, slots=True)
class PublishedErrors:
    """One row of the published tables.

    Attributes:
        name: of the network or method.
        classification, localization: top-1 and top-5 errors in per cent, as printed; None where there is none.
        source: where they were read.
    """

    name: str
    classification: tuple[float | None, float | None]
    localization: tuple[float | None, float | None]
    source: str


NONE = (None, None)

PICTURES = 50_000  # of the validation set

# On the validation set.
VALIDATION = (
    PublishedErrors("GoogLeNet-GAP", (35.0, 13.2), (56.40, 43.00), RECALLED_NAMES),
    PublishedErrors("VGGnet-GAP", (33.4, 12.2), (57.20, 45.14), RECALLED_NAMES),
    PublishedErrors("GoogLeNet", (31.9, 11.3), (60.09, 49.34), RECALLED_NAMES),
    PublishedErrors("AlexNet*-GAP", (44.9, 20.9), (63.75, 49.53), RECALLED_NAMES),
    PublishedErrors("AlexNet-GAP", (51.1, 26.3), (67.19, 52.16), RECALLED_NAMES),
    PublishedErrors("NIN", (41.9, 19.6), (65.47, 54.19), RECALLED_NAMES),
    PublishedErrors("Backprop GoogLeNet", NONE, (61.31, 50.55), RECALLED_NAMES),
    PublishedErrors("Backprop VGGnet", NONE, (61.12, 51.46), RECALLED_NAMES),
    PublishedErrors("Backprop AlexNet", NONE, (65.17, 52.64), RECALLED_NAMES),
    PublishedErrors("GoogLeNet-GMP", (35.6, 13.9), (57.78, 45.26), RECALLED_NAMES),
    PublishedErrors("VGGnet", (31.2, 11.4), NONE, SLIDES),
    PublishedErrors("AlexNet", (42.6, 19.5), NONE, SLIDES),
    PublishedErrors("Grad-CAM VGG-16", NONE, (56.51, 46.41), GRAD_CAM),
)

# On the test set, which is not public: localization among five guesses, without and with boxes in training.
TEST = (
    PublishedErrors("GoogLeNet-GAP heuristics", NONE, (None, 37.1), SLIDES),
    PublishedErrors("GoogLeNet-GAP", NONE, (None, 42.9), SLIDES),
    PublishedErrors("Backprop", NONE, (None, 46.4), SLIDES),
    PublishedErrors("GoogLeNet (boxes)", NONE, (None, 26.7), SLIDES),
    PublishedErrors("OverFeat (boxes)", NONE, (None, 29.9), SLIDES),
    PublishedErrors("AlexNet (boxes)", NONE, (None, 34.2), SLIDES),
)
