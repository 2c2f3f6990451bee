"""`report.html` and its further pages, written as they fill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dff_onnx.errors import OutputError
from dff_onnx.files import printable, write_atomically
from dff_onnx.report.found import Found
from dff_onnx.report.overlays import Pixels
from dff_onnx.report.page.data import Entry, budget_of, entry_of, page_of
from dff_onnx.report.page.layout import Kind, Level, Report, layout_of, pages_in

LABEL = "dff-onnx label {} --from labels.json"
RUN = "RUN"  # stands for the run's folder: equal runs in different folders have equal pages


class Pages:
    """The pages of a run: entries go in, in the order that `order` asks for, and pages come out as they fill.

    At any time it holds one page's entries and those that several pages have.

    Args:
        report: what they show.
        out: the run's folder.

    Attributes:
        order: numbers of the pictures whose entries are wanted.
        budget: bytes that one of them may take, see `entry_of`.
    """

    def __init__(self, report: Report, out: Path) -> None:
        self._report, self._out, self._layout = report, out, layout_of(report)
        self.budget = budget_of(report, self._layout)
        self._entries: dict[int, Entry] = {}
        self._number = 0
        self._missing = self._wanted()
        self.order = self._layout.order()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the pages."""
        return self._layout.files

    def entry(self, index: int, picture: Pixels | None, overlay: str | None) -> Entry:
        """What the pages have of a picture; any thread may ask for it."""
        return entry_of(self._report, index, picture, overlay, self.budget)

    def add(self, index: int, entry: Entry) -> None:
        """Takes a picture's entry, and writes the page that is whole with it.

        Raises:
            OutputError: when it cannot be written.
        """
        self._entries[index] = entry
        self._missing.discard(index)
        while not self._missing and self._number < len(self.files):
            self._write()

    def _write(self) -> None:
        content = page_of(self._report, self._layout, self._number, self._entries)
        write_atomically(self._out / self.files[self._number], content)
        self._number += 1
        if self._number < len(self.files):
            shared = set(self._layout.more(self._number - 1)) | set(self._layout.more(self._number))
            self._entries = {index: entry for index, entry in self._entries.items() if index in shared}
            self._missing = self._wanted() - self._entries.keys()

    def _wanted(self) -> set[int]:
        return {*self._layout.pages[self._number], *self._layout.more(self._number)}


def report_of(
    folder: Path, levels: Sequence[Level], shown: int, tables: dict[str, Any], kind: Kind | None = None, start: int = 0
) -> Report:
    """What the pages of a run show.

    Args:
        folder: of the pictures; its name is the title.
        levels: one; a tree has several, over the same pictures.
        shown: how many pictures.
        tables: of `run.toml`.
        kind: by default what the first level's figures say.
        start: number of the level that is shown first.
    """
    title = printable(Path(folder.resolve().name)) or "pictures"
    return Report(title, kind or _kind(levels[start].found), tuple(levels), shown, tables, start)


def label_command(found: Found, below: str = "") -> str | None:
    """The command that gives names to concepts; None where pictures have their own.

    Args:
        found: what was found.
        below: where below the run's folder the concepts' own run lies, for a tree: `k4`.
    """
    return LABEL.format(f"{RUN}/{below}" if below else RUN) if found.concepts else None


def remove_pages(out: Path, kept: Sequence[str] = ()) -> None:
    """Removes the pages of an earlier run that this one has not.

    Raises:
        OutputError: when one cannot be removed.
    """
    try:
        for path in pages_in(out):
            if path.name not in kept:
                path.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: an earlier page cannot be removed ({error.strerror})") from error


def _kind(found: Found) -> Kind:
    if found.applied is not None:
        return "apply"
    if found.class_maps is not None:
        return "cam"
    return "run" if found.foreground is None else "foreground"
