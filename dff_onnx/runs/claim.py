"""An output folder belongs to one folder of pictures and one set of settings; others are refused."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dff_onnx.differences import THERE_AND_NOW, differences
from dff_onnx.errors import DffError, NetworkError, OutputError, UsageError
from dff_onnx.files import RUN_MARKER, is_nobodys, is_run_folder, printable, write_atomically
from dff_onnx.records import Fingerprint
from dff_onnx.report.page.layout import pages_in
from dff_onnx.report.toml import to_toml
from dff_onnx.runs.workplace import Workplace

RUN_FILE = "run.toml"
# What runs of any kind leave, but for the pages of the report and the levels of a tree.
FOLDERS = ("overlays", "label", "objects")
FILES = (
    "results.json", "boxes.csv", "coco.json", "maps.npz", "bank.npz", "failures.json",
    "labels.json", "predictions.csv", "tree.json", "tree.svg", "search.html", "contact_sheet.png",
    "objects.html", "objects.json",
)  # fmt: skip
LEVEL = re.compile("k[1-9][0-9]*")


def identity_of(folder: Path, settings: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
    """The tables of `run.toml` that two runs must share.

    Args:
        folder: of the pictures.
        settings: plain values, all that changes what is written.
        fingerprint: of the network.
    """
    return {
        "folder": printable(folder.resolve()),
        "settings": dict(settings),
        "fingerprint": fingerprint.to_dict(),
    }


@contextmanager
def claimed(out: Path, folder: Path, identity: Mapping[str, Any], overwrite: bool) -> Iterator[Claim]:
    """Makes `out` the home of a run with this identity around all the work, or refuses.

    A mistake before anything is written takes no folder's name, and no earlier run. Meanwhile no other process can
    claim the folder. What the work keeps in `Claim.resume` is removed at a good end; after another one, a kill for
    instance, the same command finds it there again.

    Args:
        out: created where it is missing.
        folder: of the pictures.
        identity: the tables of `run.toml` that two runs must share: what goes in and how.
        overwrite: whether a run of other settings may be replaced.

    Raises:
        UsageError: when `out` lies inside `folder`, holds another run or files that are no run, or when another process
            is at work in it, naming it.
        OutputError: when it cannot be written.
    """
    _judged(out, folder, identity, overwrite)
    place = Workplace(out)
    try:
        new, other = _judged(out, folder, identity, overwrite)  # again: nobody else can change it now
        if not other:
            _take(out, identity)
        work = Claim(out, identity, place.folder, other)
        try:
            yield work
        except DffError as error:
            # What failed for want of room, or of a server, is gone on with; what cannot be is forgotten.
            if not (work.settled or isinstance(error, OutputError | NetworkError)):
                place.clear()
                if new:
                    (out / RUN_FILE).unlink(missing_ok=True)
            raise
        place.clear()
    finally:
        place.leave()


@dataclass(slots=True)
class Claim:
    """A folder that work is being done for.

    Attributes:
        out: the run's folder.
        identity: of the run, see `claim`.
        resume: for what the work keeps until it has ended; nobody else writes there.
        other: whether it still holds a run of other settings.
        settled: whether all that can go wrong but for writing is behind us.
    """

    out: Path
    identity: Mapping[str, Any]
    resume: Path
    other: bool
    settled: bool = False

    def settle(self) -> None:
        """All that is to be written is known: a run of other settings gives way now."""
        if self.other:
            _take(self.out, self.identity, True)
        self.other, self.settled = False, True


def write_run_file(out: Path, tables: Mapping[str, Any]) -> None:
    """`run.toml`, its first line saying that the folder is a run."""
    write_atomically(out / RUN_FILE, f"{RUN_MARKER}\n{to_toml(tables)}".encode())


def _refuse_inside(out: Path, folder: Path) -> None:
    inside, outer = out.resolve(), folder.resolve()
    if outer.is_dir() and inside.is_relative_to(outer):
        raise UsageError(f"{out}: lies inside the folder of pictures ({folder}); choose an output folder outside it")


def _judged(out: Path, folder: Path, identity: Mapping[str, Any], overwrite: bool) -> tuple[bool, bool]:
    """Whether `out` was no run before, and whether it holds one of other settings, to be replaced."""
    _refuse_inside(out, folder)
    new = is_nobodys(out)
    return new, not new and _is_other(out, identity, overwrite)


def _take(out: Path, identity: Mapping[str, Any], other: bool = False) -> None:
    """Makes `out` a run's home; of another run there, nothing is left."""
    if other and out.is_dir():  # the level of a tree went with the tree
        _remove_earlier(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made a folder ({error.strerror}); choose another with -o") from error
    write_run_file(out, identity)


def _is_other(out: Path, identity: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether a run of other settings is there; raises where it may not be replaced."""
    earlier = _read(out / RUN_FILE)
    if earlier is None:
        raise UsageError(f"{out}: is not empty and holds no run; choose another folder with -o, or empty it")
    found = differences({name: earlier.get(name, {}) for name in identity}, identity)
    if found and not overwrite:
        told = "; ".join(one.told(THERE_AND_NOW) for one in found[:4])
        raise UsageError(
            f"{out}: holds a run of other settings ({told}); "
            "choose another folder with -o, or replace it with --overwrite"
        )
    return bool(found)


def _read(path: Path) -> dict[str, Any] | None:
    """The tables of a run file; None where there is no file of ours."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if text.startswith(RUN_MARKER) else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


def _remove_earlier(out: Path) -> None:
    """All that belongs to the run that is replaced: it may be of another kind, and some is not written anew."""
    try:
        levels = [home for home in out.iterdir() if LEVEL.fullmatch(home.name) and is_run_folder(home)]
        for folder in (*(out / name for name in FOLDERS), *levels):
            if folder.is_dir():
                shutil.rmtree(folder)
        for file in (*(out / name for name in FILES), *pages_in(out)):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename}: the earlier run's file cannot be removed ({error.strerror})") from error
