"""Pictures in words: how many, and which could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dff_onnx.report.names import shown

if TYPE_CHECKING:
    from dff_onnx.report.found import Failure


def counted(pictures: int) -> str:
    """So many pictures.

    >>> counted(1), counted(2)
    ('1 picture', '2 pictures')
    """
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def unusable_lines(failures: Sequence[Failure]) -> list[str]:
    """All pictures that could not be used, and why; no line where there are none."""
    if not failures:
        return []
    named = [f"  {shown(one.path)}: {shown(one.reason)}" for one in failures]
    return [f"{counted(len(failures))} could not be used:", *named]
