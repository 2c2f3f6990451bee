"""Where a run on a cluster reads and writes: paths on storage that all machines share, or addresses for fsspec."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dff_onnx.cluster.storage import content_of, is_address, present, put, remove
from dff_onnx.errors import UsageError
from dff_onnx.files import PASSING, root_of
from dff_onnx.records import Fingerprint
from dff_onnx.report.found import Found
from dff_onnx.runs.claim import FILES, RUN_FILE, Claim, claimed, identity_of
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
        before: files of an earlier run at an address.
    """

    given: str
    folder: str
    out: str
    local: Path
    title: Path
    before: tuple[str, ...] = ()

    def identity(self, settings: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
        """See `identity_of`; an address stands as it was given."""
        identity = identity_of(Path(self.given), settings, fingerprint)
        return identity | ({"folder": self.given} if is_address(self.given) else {})

    @contextlib.contextmanager
    def claimed(self, identity: Mapping[str, Any], overwrite: bool) -> Iterator[Claim]:
        """See `dff_onnx.runs.claim.claimed`; of an address, its `run.toml` is brought here to be compared.

        Raises:
            UsageError: when something else is there.
        """
        if self.before and RUN_FILE not in self.before:
            raise UsageError(f"{self.out}: is not empty and holds no run; choose another folder with -o, or empty it")
        if self.before:
            self.local.mkdir()
            (self.local / RUN_FILE).write_bytes(content_of(self.out, Path(RUN_FILE)) or b"")
        with claimed(self.local, Path(self.given), identity, overwrite) as work:
            yield work

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
        for name in [*names, LAST]:
            put(self.out, name, (self.local / name).read_bytes())
        ours = {*FILES, *(name for name in self.before if name.startswith(f"{OVERLAYS}/") or _is_page(name))}
        remove(self.out, [name for name in self.before if name in ours - {*names, *overlays, LAST}])


def _is_page(name: str) -> bool:
    return name.startswith("report") and name.endswith(".html") and "/" not in name


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
    title = Path(PurePosixPath(folder).name) if address else Path(folder)
    source = folder if address else str(root_of(Path(folder)).resolve())
    if not is_address(out):
        yield Home(folder, source, str(Path(out).resolve()), Path(out), title)
        return
    if address and f"{out.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/"):
        raise UsageError(f"{out}: lies inside the folder of pictures ({folder}); choose an output folder outside it")
    with tempfile.TemporaryDirectory(prefix="dff-onnx-") as stage:
        yield Home(folder, source, out, Path(stage, "run"), title, tuple(present(out)))
