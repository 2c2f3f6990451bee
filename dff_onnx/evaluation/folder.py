"""The folder of an evaluation: `figures.json`, `table.md`, `plot.svg`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.differences import THERE_AND_NOW, Difference, differences
from dff_onnx.errors import OutputError, RefusedError, UsageError
from dff_onnx.evaluation.localize import used_systems
from dff_onnx.evaluation.opening import Opened
from dff_onnx.evaluation.scores import Kind
from dff_onnx.evaluation.stored import FIGURES, identity, read_fields, strict
from dff_onnx.evaluation.system_settings import settings_by_system
from dff_onnx.evaluation.systems import System
from dff_onnx.files import PASSING, is_nobodys, write_atomically
from dff_onnx.report.names import shown
from dff_onnx.runs.workplace import at_work

TABLE, PLOT = "table.md", "plot.svg"


def check_plot(path: Path) -> None:
    """Makes the folder of a file that is written after the work.

    Raises:
        UsageError: when the path is a folder.
        OutputError: when nothing can be written there.
    """
    if path.is_dir():
        raise UsageError(f"--plot {path}: is a folder; give the name of an SVG file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent, prefix=PASSING):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another with --plot") from error


@contextmanager
def claimed(out: Path | None, identity: Mapping[str, Any], overwrite: bool) -> Iterator[Path | None]:
    """Around the work of an evaluation: nobody else can write to its folder.

    Args:
        out: created where it is missing; None writes nothing.
        identity: the fields of `figures.json` that two evaluations must share.
        overwrite: whether another evaluation may be replaced.

    Yields:
        a folder below `out` for what the evaluation keeps until its files are written, where there is an `out`.

    Raises:
        UsageError: when `out` holds something else than an evaluation of this identity, or when another process is at
            work there; saying what to do.
        OutputError: when it cannot be written.
    """
    if out is None:
        yield None
        return
    _refuse_others(out, identity, overwrite)
    with at_work(out) as folder:
        _refuse_others(out, identity, overwrite)  # again: nobody else can change it now
        yield folder


def _refuse_others(out: Path, identity: Mapping[str, Any], overwrite: bool) -> None:
    if is_nobodys(out):
        return
    wanted = strict(identity)
    try:
        fields = read_fields(out / FIGURES)
    except RefusedError as error:
        raise UsageError(
            f"{out}: is not empty and holds no evaluation; choose another folder with -o, or empty it"
        ) from error
    other = sorted(key for key in wanted if fields.get(key) != wanted[key])
    if other and not overwrite:
        told = [one.told(THERE_AND_NOW) for one in _differences(fields, wanted)] or other
        raise UsageError(
            f"{out}: holds an evaluation of other settings ({'; '.join(told[:4])}); choose another folder with -o, or "
            "replace it with --overwrite"
        )


def _differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Of two identities: names of the systems, then the settings of those that both have, then the network."""
    before, wanted = settings_by_system(there.get("systems")), settings_by_system(now["systems"])
    both = [name for name in wanted if name in before]
    return [
        *differences({"systems": list(before)}, {"systems": list(wanted)}),
        *differences({name: before[name] for name in both}, {name: wanted[name] for name in both}),
        *differences(*({key: fields.get(key) for key in now if key != "systems"} for fields in (there, now))),
    ]


def evaluation_identity(
    kind: Kind, opened: Opened, activations: Activations, systems: Sequence[System]
) -> dict[str, Any]:
    """What two evaluations by `evaluate` into one folder must share; see `claimed`."""
    used = [asdict(one) for one in used_systems(systems)]
    return identity(kind, shown(opened.dataset.name), activations.fingerprint.to_dict(), used)


def write_folder(out: Path, figures: str, table: str, plot: str) -> None:
    """Writes the three files, the figures first: they say whose folder it is, to the command that is given again.

    Raises:
        OutputError: when one cannot be written.
    """
    try:
        for name in (TABLE, PLOT):  # of other figures, perhaps
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename}: the earlier file cannot be removed ({error.strerror})") from error
    for name, text in ((FIGURES, figures), (TABLE, table), (PLOT, plot)):
        write_atomically(out / name, text.encode("utf-8", "backslashreplace"))
