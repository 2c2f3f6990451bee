"""Where a run on a cluster reads and writes: paths on storage that all machines share, or addresses for fsspec."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dff_onnx.cluster.storage import is_address, place_of, present, put, remove, written
from dff_onnx.errors import UsageError
from dff_onnx.files import PASSING, RUN_MARKER, root_of
from dff_onnx.records import Fingerprint
from dff_onnx.report.found import Found
from dff_onnx.report.page.layout import FIRST, LATER
from dff_onnx.runs.claim import FILES, FOLDERS, LEVEL, RUN_FILE, Claim, claimed, identity_of
from dff_onnx.runs.drawing import OVERLAYS, remove_others

LAST = "results.json"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a run reads and writes.

    Attributes:
        given: the folder of pictures as it was given.
        folder: that paths are relative to, a path or an address.
        out: of the run, likewise.
        local: a folder here for what the driver writes: `out`, where that is a path.
        title: of the report.
        before: names of the files that an address had before, and still has.
    """

    given: str
    folder: str
    out: str
    local: Path
    title: Path
    before: list[str] = field(default_factory=list)

    def identity(self, settings: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
        """See `identity_of`; an address stands as it was given."""
        identity = identity_of(Path(self.given), settings, fingerprint)
        return identity | ({"folder": self.given} if is_address(self.given) else {})

    @contextlib.contextmanager
    def claimed(self, identity: Mapping[str, Any], overwrite: bool) -> Iterator[Claim]:
        """See `dff_onnx.runs.claim.claimed`; of an address, its `run.toml` is brought here to be compared.

        Raises:
            UsageError: when something else is there.
            OutputError: when an address cannot be read.
        """
        if not is_address(self.out):
            with claimed(self.local, Path(self.given), identity, overwrite) as work:
                yield work
            return
        if self.before and RUN_FILE not in self.before:
            raise UsageError(f"{self.out}: is not empty and holds no run; choose another folder with -o, or empty it")
        if self.before:
            self.local.mkdir()
            (self.local / RUN_FILE).write_bytes(written(self.out, RUN_FILE))
        nowhere = self.local / RUN_FILE / "pictures"  # whether pictures lie around the address was looked at
        with contextlib.ExitStack() as stack:
            try:
                work = stack.enter_context(claimed(self.local, nowhere, identity, overwrite))
            except UsageError as error:
                raise UsageError(str(error).replace(str(self.local), self.out)) from error
            yield work

    def settle(self, work: Claim) -> None:
        """See `Claim.settle`. An address says from now on whose it is: the same command may go on with it, or end it.

        Raises:
            OutputError: when a file cannot be written or removed.
        """
        other = work.other
        work.settle()
        if not is_address(self.out):
            return
        if other:
            gone = self._earlier()
            remove(self.out, sorted(gone))
            self.before[:] = [name for name in self.before if name not in gone]
        put(self.out, RUN_FILE, (self.local / RUN_FILE).read_bytes())

    def finish(self, found: Found) -> None:
        """Brings the driver's files to an address, `results.json` last; removes what an earlier run has beyond this.

        Raises:
            OutputError: when a file cannot be written or removed.
        """
        overlays = [image.overlay for image in found.images if image.overlay is not None]
        if not is_address(self.out):
            remove_others(self.local, overlays)
            return
        files = sorted(file for file in self.local.rglob("*") if file.is_file() and file.name != LAST)
        names = [file.relative_to(self.local).as_posix() for file in files]
        names = [name for name in names if not name.startswith(PASSING)]
        for name in names:
            put(self.out, name, (self.local / name).read_bytes())
        shown = {name for name in self.before if _is_overlay(name) or _is_page(name)}
        remove(self.out, sorted(shown - {*names, *overlays}))
        put(self.out, LAST, (self.local / LAST).read_bytes())

    def _earlier(self) -> set[str]:
        """Files of the run that is replaced: those that `dff_onnx.runs.claim` removes from a folder here."""
        tops = {name.partition("/")[0] for name in self.before}
        levels = [top for top in tops if LEVEL.fullmatch(top) and self._is_run(f"{top}/{RUN_FILE}")]
        folders = tuple(f"{name}/" for name in (*FOLDERS, *levels))
        return {name for name in self.before if name in FILES or name.startswith(folders) or _is_page(name)}

    def _is_run(self, name: str) -> bool:
        return name in self.before and written(self.out, name).startswith(RUN_MARKER.encode())


def _is_page(name: str) -> bool:
    return name == FIRST or LATER.fullmatch(name) is not None


def _is_overlay(name: str) -> bool:
    return name.startswith(f"{OVERLAYS}/") and name.endswith(".png")


@contextlib.contextmanager
def home_of(folder: str, out: str) -> Iterator[Home]:
    """Where a run reads and writes; what it keeps here for an address goes when it ends.

    Args:
        folder: of pictures.
        out: of the run.

    Raises:
        UsageError: when `out` lies inside `folder`, or an address cannot be opened here.
        OutputError: when an address cannot be listed.
    """
    address = is_address(folder)
    title = Path(PurePosixPath(folder).name) if address else root_of(Path(folder))
    source = folder if address else str(root_of(Path(folder)).resolve())
    if address or is_address(out):
        _refuse_inside(folder, out)
    if not is_address(out):
        yield Home(folder, source, str(Path(out).resolve()), Path(out), title)
        return
    # What a killed process left half-written makes an address nobody's.
    before = [name for name in present(out) if not name.startswith(PASSING)]
    with tempfile.TemporaryDirectory(prefix="dff-onnx-") as stage:
        yield Home(folder, source, out, Path(stage, "run"), title, before)


def _refuse_inside(folder: str, out: str) -> None:
    (there, outer), (here, inside) = place_of(folder), place_of(out)
    if here == there and inside.is_relative_to(outer):
        raise UsageError(f"{out}: lies inside the folder of pictures ({folder}); choose an output folder outside it")
