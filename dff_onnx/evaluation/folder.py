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
from dff_onnx.files import PASSING, write_atomically
from dff_onnx.report.names import shown
from dff_onnx.runs.workplace import at_work

TABLE, PLOT = "table.md", "plot.svg"


def check_folder(out: Path, identity: Mapping[str, Any], overwrite: bool) -> None:
    """Makes a folder, and refuses one that holds something else than an evaluation of this identity.

    Args:
        out: created where it is missing.
        identity: the fields of `figures.json` that two evaluations must share.
        overwrite: whether another evaluation may be replaced.

    Raises:
        UsageError: saying what to do.
        OutputError: when it cannot be written.
    """
    try:
        # What an evaluation that was ended has kept makes a folder nobody's.
        if out.is_dir() and any(not path.name.startswith(PASSING) for path in out.iterdir()):
            _refuse_others(out, strict(identity), overwrite)
        out.mkdir(parents=True, exist_ok=True)
        _try_to_write(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made a folder ({error.strerror}); choose another with -o") from error


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
        _try_to_write(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another with --plot") from error


@contextmanager
def kept_in(out: Path | None) -> Iterator[Path | None]:
    """A folder below `out` for what an evaluation keeps until its files are written, where there is an `out`.

    Raises:
        UsageError: when another process is at work there, naming it.
        OutputError: when it cannot be written.
    """
    if out is None:
        yield None
        return
    with at_work(out) as folder:
        yield folder


def _try_to_write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, prefix=".dff-"):
        pass


def _refuse_others(out: Path, wanted: Mapping[str, Any], overwrite: bool) -> None:
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


def check_evaluation(
    out: Path, kind: Kind, opened: Opened, activations: Activations, systems: Sequence[System], overwrite: bool
) -> None:
    """`check_folder` before the work of `evaluate`."""
    used = [asdict(one) for one in used_systems(systems)]
    fields = identity(kind, shown(opened.dataset.name), activations.fingerprint.to_dict(), used)
    check_folder(out, fields, overwrite)


def write_folder(out: Path, figures: str, table: str, plot: str) -> None:
    """Writes the three files, the figures last: where they are, all is there.

    Raises:
        OutputError: when one cannot be written.
    """
    for name, text in ((TABLE, table), (PLOT, plot), (FIGURES, figures)):
        write_atomically(out / name, text.encode("utf-8", "backslashreplace"))
