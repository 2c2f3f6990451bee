"""A command of ours in this process, for programs that give many."""

from __future__ import annotations

import contextlib
import functools
import io
import shutil
import sys
from pathlib import Path

import typer.main

from dff_onnx import cli

typer.main.get_command = functools.cache(typer.main.get_command)  # the tree of commands takes half the time


def called(arguments: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it said on stderr."""
    said = io.StringIO()
    sys.argv = ["dff-onnx", *arguments]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0), said.getvalue()
        except BaseException as error:  # noqa: BLE001
            return 1, f"{said.getvalue()}\nTraceback: {error!r}"
    return 0, said.getvalue()


def laid(folder: Path, before: Path) -> None:
    """Gives a folder the contents of another, and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before, folder)
