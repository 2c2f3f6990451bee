"""Pictures and results wherever fsspec reaches: a local path, or an address such as `s3://bucket/folder`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from dff_onnx.errors import DffError, ImageError, NetworkError, NoImagesError, OutputError, UsageError, first_line
from dff_onnx.files import RUN_MARKER, SUFFIXES, walk_pictures, write_atomically

RUN_FILE = "run.toml"
READ = "look at the address, at its credentials and at who may read it, here and on the workers"
WRITE = "look at the address, at its credentials and at who may write there, here and on the workers"


def is_address(place: str) -> bool:
    """Whether a place is an address for fsspec, not a path.

    >>> is_address("s3://bucket/cats"), is_address("cats")
    (True, False)
    """
    return "://" in place


def file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the place in it.

    Raises:
        UsageError: when fsspec, or the package that it needs for this kind of address, is not here, or it knows no such
            address.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UsageError(f"{address}: addresses need fsspec: pip install 'dff-onnx[cluster]'") from error
    try:
        system, root = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{address}: fsspec cannot open such addresses here ({error})") from error
    return system, str(root).rstrip("/")


def place_of(place: str) -> tuple[str, PurePosixPath]:
    """The kind of storage and the place in it, to be compared with another: a path and its `file://` are the same.

    Raises:
        UsageError: see `file_system`.
    """
    system, root = file_system(place) if is_address(place) else (None, place)
    kind = "file" if system is None else _protocols(system)[0]
    return kind, PurePosixPath(Path(root).resolve() if kind == "file" else root)


def listed(place: str) -> list[Path]:
    """The pictures of a folder, relative to it, as `walk_pictures` lists and sorts them.

    Args:
        place: a path, or an address.

    Raises:
        UsageError: when there is no such folder.
        NoImagesError: when nothing in it has a picture's suffix.
        NetworkError: when it cannot be listed.
    """
    if not is_address(place):
        return walk_pictures(Path(place))
    system, root = file_system(place)
    with _said(NetworkError, f"{place}: cannot be listed", READ):
        files = [str(name) for name in system.find(root)]
        names = [name.removeprefix(root).lstrip("/") for name in files]
        runs = {Path(name).parent for name in names if Path(name).name == RUN_FILE and _is_run(system, root, name)}
    if not files:
        raise UsageError(f"{place}: there is no such folder, or it is empty; give a folder of pictures")
    found = [path for path in map(Path, names) if _is_picture(path) and not runs.intersection(path.parents)]
    if not found:
        raise NoImagesError(f"{place}: holds no pictures ({' '.join(sorted(SUFFIXES))})")
    return sorted(found, key=lambda path: os.fsencode(path.as_posix()))


def _is_picture(path: Path) -> bool:
    return path.suffix[1:].lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _is_run(system: Any, root: str, name: str) -> bool:
    return bool(system.cat_file(f"{root}/{name}").startswith(RUN_MARKER.encode()))


def content_of(place: str, path: Path) -> bytes | None:
    """A picture's file below an address; None below a path, where it need not be read at once.

    Raises:
        ImageError: when it cannot be read.
        NetworkError: when no file can: for want of credentials, say.
    """
    if not is_address(place):
        return None
    system, root = file_system(place)
    with _said(NetworkError, f"{place}/{path.as_posix()}: cannot be read", READ):
        try:
            return bytes(system.cat_file(f"{root}/{path.as_posix()}"))
        except OSError as error:
            raise ImageError(path, f"cannot be read ({error.strerror or type(error).__name__})") from error


def written(place: str, name: str) -> bytes:
    """A file of an earlier run below an address.

    Raises:
        OutputError: when it cannot be read.
    """
    system, root = file_system(place)
    with _said(OutputError, f"{place}/{name}: cannot be read", READ):
        return bytes(system.cat_file(f"{root}/{name}"))


def put(place: str, name: str, data: bytes) -> None:
    """Writes a file below a place, whole or not at all.

    Raises:
        OutputError: when it cannot be written.
    """
    if not is_address(place):
        write_atomically(Path(place, name), data)
        return
    system, root = file_system(place)
    with _said(OutputError, f"{place}/{name}: cannot be written", WRITE):
        if not _is_object_store(system):
            system.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        system.pipe_file(f"{root}/{name}", data)


def _is_object_store(system: Any) -> bool:
    """Whether folders are but parts of names there; making one would ask for a bucket."""
    return bool({"s3", "s3a", "gs", "gcs", "abfs", "az", "oss"}.intersection(_protocols(system)))


def _protocols(system: Any) -> tuple[str, ...]:
    """All names of a kind of storage."""
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def present(place: str) -> list[str]:
    """Names of all files below an address.

    Raises:
        OutputError: when they cannot be listed.
    """
    system, root = file_system(place)
    system.invalidate_cache()  # workers may have written there since this process listed it
    with _said(OutputError, f"{place}: cannot be listed", WRITE), contextlib.suppress(FileNotFoundError):
        return sorted(str(name).removeprefix(root).lstrip("/") for name in system.find(root))
    return []


def remove(place: str, names: Sequence[str]) -> None:
    """Removes files below an address, where they are there.

    Raises:
        OutputError: when one cannot be removed.
    """
    system, root = file_system(place)
    for name in names:
        said = _said(OutputError, f"{place}/{name}: the earlier run's file cannot be removed", WRITE)
        with said, contextlib.suppress(FileNotFoundError):
            system.rm_file(f"{root}/{name}")


@contextlib.contextmanager
def _said(kind: type[DffError], what: str, remedy: str) -> Iterator[None]:
    """What goes wrong with storage, in a sentence."""
    try:
        yield
    except (DffError, MemoryError):
        raise
    except Exception as error:  # each storage has a library with errors of its own: botocore's are no OSErrors
        raise kind(f"{what} ({first_line(error)}); {remedy}") from error
