"""What the pages show, and which picture goes on which page: decided before the first picture is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dff_onnx.report.found import Found, ImageFound
from dff_onnx.report.maps_file import Maps

Kind = Literal["run", "apply", "foreground", "cam", "tree"]

LIMIT = 9_800_000  # bytes of a page; names that are given later come on top
RESERVE = 1_000_000  # of these, kept for what grows with neither pictures nor concepts: style, script, tables, plots
PICTURES = 200  # of a page
MORE = 60  # pictures of other pages that a page has for its concepts
TOP = 12  # pictures of a concept
# The most that one picture takes without its thumbnail, in bytes of JSON: its texts, the boxes of a level, its maps,
# and for each concept the figures, and where each picture has its own concepts these as well.
TEXTS = 8_000
BOXES, BOX_BYTES = 40, 30
MAP_BYTES = 16_384  # before base64
FIGURES, OWN_CONCEPT = 90, 1_000

FIRST = "report.html"
LATER = re.compile(r"report-[1-9][0-9]*\.html")


@dataclass(frozen=True, slots=True)
class Level:
    """The concepts of one factorization, over the pictures that all levels share.

    Attributes:
        found: what was found.
        maps: from a picture's number to its maps `(k, h, w)`: float32 heat maps, or uint8 of sharpened ones.
        label: the command that gives its concepts the names of a file; None where they can have none.
        parents: in a tree, for each concept the number of its parent one level up, or None.
    """

    found: Found
    maps: Callable[[int], Maps]
    label: str | None = None
    parents: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What the pages show.

    Attributes:
        title: the name of the folder of pictures.
        kind: of the run.
        levels: one; a tree has several.
        shown: how many pictures, at least one.
        tables: of `run.toml`.
        start: number of the level that is shown first.
    """

    title: str
    kind: Kind
    levels: tuple[Level, ...]
    shown: int
    tables: dict[str, Any]
    start: int = 0

    @property
    def found(self) -> Found:
        """Of the level that is shown first."""
        return self.levels[self.start].found

    @property
    def images(self) -> Sequence[ImageFound]:
        """All pictures of the run."""
        return self.found.images

    @property
    def shared(self) -> bool:
        """Whether pictures share their concepts; otherwise each has a table of its own."""
        return bool(self.found.concepts)

    @property
    def concepts(self) -> int:
        """How many maps a picture has, over all levels: as many as any other."""
        return sum(len(level.found.images[0].concepts) for level in self.levels)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which picture goes where.

    Attributes:
        pages: numbers of the pictures of each page.
        tops: for each level and concept its strongest pictures, strongest first.
    """

    pages: tuple[range, ...]
    tops: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the pages."""
        return tuple(FIRST if number == 1 else f"report-{number}.html" for number in range(1, len(self.pages) + 1))

    def more(self, page: int) -> tuple[int, ...]:
        """Pictures of other pages that a page's concepts need, ascending."""
        wanted = {index for level in self.tops for one in level for index in one}
        return tuple(sorted(wanted.difference(self.pages[page])))

    def order(self) -> list[int]:
        """All pictures of all pages, each once: those that several pages have come first, so that every page can be
        written as soon as its own are there.
        """
        first = self.more(0)
        known = set(first)
        return [*first, *(index for page in self.pages for index in page if index not in known)]


def layout_of(report: Report) -> Layout:
    """Cuts the pictures into pages that stay below `LIMIT`, and chooses each concept's strongest ones."""
    many = pictures_of_a_page(report)
    pages = tuple(range(i, min(i + many, report.shown)) for i in range(0, report.shown, many))
    ranked = [_ranked(level) for level in report.levels]
    top = next(n for n in range(TOP, -1, -1) if _beyond(ranked, n, pages) <= MORE)
    return Layout(pages, tuple(tuple(one[:top] for one in level) for level in ranked))


def pictures_of_a_page(report: Report) -> int:
    """Fewer than `PICTURES` where there are hundreds of concepts."""
    room = (LIMIT - RESERVE - report.concepts * OWN_CONCEPT) // bare_bytes(report)
    return max(1, min(PICTURES, room - (MORE if report.shared else 0)))


def bare_bytes(report: Report) -> int:
    """The most that a picture takes on a page without its thumbnail."""
    own = 0 if report.shared else OWN_CONCEPT
    return TEXTS + len(report.levels) * BOXES * BOX_BYTES + MAP_BYTES * 4 // 3 + report.concepts * (FIGURES + own)


def pages_in(folder: Path) -> list[Path]:
    """The pages that a folder has, first and later ones."""
    names = sorted(path.name for path in folder.glob("report*.html"))
    return [folder / name for name in names if name == FIRST or LATER.fullmatch(name)]


def _ranked(level: Level) -> list[tuple[int, ...]]:
    """For each concept the pictures that have it, strongest first; none where pictures have their own."""
    return [_strongest(level.found.scores_of(j)) for j in range(len(level.found.concepts))]


def _strongest(scores: Sequence[float]) -> tuple[int, ...]:
    """Of equal scores the first comes first."""
    return tuple(sorted((i for i, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])[:TOP])


def _beyond(ranked: Sequence[list[tuple[int, ...]]], top: int, pages: Sequence[range]) -> int:
    """How many pictures a page needs at most that are not its own."""
    wanted = {index for level in ranked for one in level for index in one[:top]}
    return max((len(wanted.difference(page)) for page in pages), default=0)
