"""What the Python and the C++ example print, read back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PICTURE = re.compile(r"(.*): loss ([\d.]+)(, not explained by these concepts)?")
CONCEPT = re.compile(r"  (.*) score ([\d.]+) box (\d+) (\d+) (\d+) (\d+)")


@dataclass
class Spoken:
    """One picture: its path, its loss, and each concept's name, score and box."""

    path: str
    loss: float
    explained: bool
    named: list[tuple[str, float]] = field(default_factory=list)
    boxes: list[list[int]] = field(default_factory=list)

    @property
    def scores(self) -> list[float]:
        return [score for _, score in self.named]


def parse(text: str) -> list[Spoken]:
    """Every line is understood, or the test fails."""
    pictures: list[Spoken] = []
    for line in text.splitlines():
        if found := CONCEPT.fullmatch(line):
            pictures[-1].named.append((found[1], float(found[2])))
            pictures[-1].boxes.append([int(side) for side in found.groups()[2:]])
        else:
            found = PICTURE.fullmatch(line)
            assert found is not None, line
            pictures.append(Spoken(found[1], float(found[2]), found[3] is None))
    return pictures
