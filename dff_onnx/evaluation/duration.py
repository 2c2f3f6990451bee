"""How long the paper's data set would take, from the rate of a run that was measured."""

from __future__ import annotations

from dff_onnx.evaluation.published import VOC_2007_MEMBERSHIPS, VOC_2007_PICTURES
from dff_onnx.evaluation.scores import Figures


def voc_2007_time(figures: Figures, seconds: float) -> tuple[str, ...]:
    """A sentence; none where the data set is not VOC.

    Args:
        figures: an evaluation.
        seconds: that it took, network and all.
    """
    return (told(figures.pictures, seconds),) if figures.dataset.startswith("VOC") else ()


def told(scored: int, seconds: float) -> str:
    """The rate, and what follows from it for VOC 2007 trainval.

    >>> told(100, 10.0)
    'measured 10.0 pictures/s; estimate for VOC 2007: 5011 pictures 8.4 min, its 20 sets (7306 at most) 12.2 min'
    """
    rate = scored / max(seconds, 1e-9)
    once, sets = (many / rate / 60 for many in (VOC_2007_PICTURES, VOC_2007_MEMBERSHIPS))
    return (
        f"measured {rate:.1f} pictures/s; estimate for VOC 2007: {VOC_2007_PICTURES} pictures {once:.1f} min, "
        f"its 20 sets ({VOC_2007_MEMBERSHIPS} at most) {sets:.1f} min"
    )
