"""Files on disk: atomic writes, the walk through a folder of pictures, names for what is written beside them."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dff_onnx.errors import NoImagesError, OutputError, UsageError
from dff_onnx.locks import taken

# First line of a run's `run.toml`: a folder that has it is ours, and holds no pictures to look at.
RUN_MARKER = "# dff-onnx run"

# Suffixes that are looked into; the content decides what a file is.
SUFFIXES = frozenset(
    "jpg jpeg jpe jfif png apng webp bmp dib gif tif tiff ppm pgm pbm pnm jp2".split()  # noqa: SIM905
)

# The longest name of one file that common file systems take, in bytes.
LONGEST_NAME = 255

# Everything of ours that is not there to stay begins so.
PASSING = ".dff-"
_PART = re.compile(r"\.dff-(\d+)-[0-9a-f]{8}\.part")
_swept: set[str] = set()
_sweeping = threading.Lock()


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Opens a file to be written so that a reader sees all of it or none: temporary file, fsync, rename.

    Makes missing folders. When the block raises, the old file stays as it was. An OSError in the block is taken for
    one of this file's: read other files so that they raise errors of their own.

    Raises:
        OutputError: saying which file and why; nothing half-written stays behind.
    """
    if not path.name:
        raise OutputError(f"{path}: cannot be written: is a folder")
    temporary = path.with_name(f"{PASSING}{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        try:
            with temporary.open("xb") as file:
                taken(file)  # so that nobody takes it for one that a dead process left
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a whole file as `open_atomically` does.

    Raises:
        OutputError: saying which file and why; nothing half-written stays behind.
    """
    with open_atomically(path) as file:
        file.write(data)


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a file piece by piece as `open_atomically` does; only one piece need be in memory.

    Raises:
        OutputError: saying which file and why; nothing half-written stays behind.
    """
    with open_atomically(path) as file:
        file.writelines(pieces)


def _sweep_once(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder, before the first file is written there."""
    with _sweeping:
        name = os.fspath(folder)
        if name in _swept:
            return
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                found = _PART.fullmatch(entry.name)
                if found and not _is_alive(int(found[1])):
                    _remove_free(entry.path)
        _swept.add(name)


def _is_alive(process: int) -> bool:
    """Whether it is another process that runs: in a container, one that died had our own number."""
    if process == os.getpid() or sys.platform == "win32":  # which removes no file that is open
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove_free(path: str) -> None:
    """Removes a file that nobody holds, here or on another machine."""
    with contextlib.suppress(OSError):
        if sys.platform != "win32":
            with open(path, "rb") as file:  # noqa: PTH123
                if not taken(file):
                    return
        os.unlink(path)  # noqa: PTH108


def is_run_folder(folder: str | Path) -> bool:
    """Whether the folder is the output of a run."""
    try:
        with Path(folder, "run.toml").open("rb") as file:
            return file.read(len(RUN_MARKER)) == RUN_MARKER.encode()
    except OSError:
        return False


def is_nobodys(folder: Path) -> bool:
    """Whether there is no such folder, or nothing in it but what a process that was ended kept or left half-written.

    Raises:
        OutputError: when it cannot be listed.
    """
    try:
        return not folder.is_dir() or all(path.name.startswith(PASSING) for path in folder.iterdir())
    except OSError as error:
        raise OutputError(f"{folder}: cannot be listed ({error.strerror}); choose another folder with -o") from error


def walk_pictures(folder: Path) -> list[Path]:
    """The pictures below a folder, relative to it, sorted by the bytes of their paths.

    Links to files are followed, links to folders are not (a circle of links would never end). Hidden files and
    folders, and folders that hold a run, are passed over. A single file may stand for a folder.

    Raises:
        UsageError: when there is no such folder, or it cannot be listed.
        NoImagesError: when nothing in it has a picture's suffix.
    """
    if folder.is_file():
        return [Path(folder.name)]
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "there is no such folder"
        raise UsageError(f"{folder}: {found}; give a folder of pictures")
    try:
        paths = _pictures_below(os.fspath(folder))
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be listed ({error.strerror})") from error
    if not paths:
        raise NoImagesError(f"{folder}: holds no pictures ({' '.join(sorted(SUFFIXES))}){_not_followed(folder)}")
    return [Path(path) for path in sorted(paths, key=os.fsencode)]


def root_of(folder: Path) -> Path:
    """What `walk_pictures` gave its paths relative to."""
    return folder.parent if folder.is_file() else folder


def _pictures_below(folder: str, prefix: str = "") -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if not is_run_folder(entry.path):
                    found += _pictures_below(entry.path, name + "/")
            elif (
                "." in entry.name and entry.name.rpartition(".")[2].lower() in SUFFIXES and not _links_to_folder(entry)
            ):
                found.append(name)
    return found


def _not_followed(folder: Path) -> str:
    with os.scandir(folder) as entries:
        links = sorted(entry.name for entry in entries if _links_to_folder(entry))
    return f"; links to folders, such as {printable(Path(links[0]))}, are not followed" if links else ""


def _links_to_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and entry.is_dir()


def printable(path: Path) -> str:
    """A path as text that any file format takes: POSIX slashes; bytes that are no UTF-8 as `\\xNN`.

    >>> printable(Path("a") / "b.jpg")
    'a/b.jpg'
    """
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def output_names(paths: Sequence[Path], suffix: str) -> list[PurePosixPath]:
    """Where the output for each input goes: the same tree, another suffix, no two alike.

    `a/b.jpg` becomes `a/b.png`. Inputs that would share an output, also on file systems that do not tell cases apart,
    keep their own suffix (`b.jpg.png`) and get a number where even that is taken. Names too long are cut.

    >>> [str(name) for name in output_names([Path("a/b.jpg"), Path("a/B.png"), Path("c.gif")], ".png")]
    ['a/b.jpg.png', 'a/B.png.png', 'c.png']
    """
    short = [path.with_suffix(suffix) for path in paths]
    counts: dict[str, int] = {}
    for name in short:
        counts[_folded(name)] = counts.get(_folded(name), 0) + 1
    taken: set[str] = set()
    return [
        _free_name(name if counts[_folded(name)] == 1 else path.with_name(path.name + suffix), suffix, taken)
        for path, name in zip(paths, short, strict=True)
    ]


def _free_name(name: Path, suffix: str, taken: set[str]) -> PurePosixPath:
    stem = name.name.removesuffix(suffix)
    for number in range(len(taken) + 2):
        tail = (f"~{number}" if number else "") + suffix
        candidate = name.with_name(_cut(stem, LONGEST_NAME - len(tail)) + tail)
        if _folded(candidate) not in taken:
            break
    taken.add(_folded(candidate))
    return PurePosixPath(candidate.as_posix())


def _cut(text: str, size: int) -> str:
    return os.fsdecode(os.fsencode(text)[:size])


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", path.as_posix()).casefold()
