"""A file from a server: resumed where it broke off, checked by its digest, there as a whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from dff_onnx.errors import NetworkError, OutputError
from dff_onnx.progress import Progress
from dff_onnx.zoo.card import Weights

MIB = 2**20
# Seconds without a byte before a connection is given up.
TIMEOUT = 20.0
# Connections in a row that bring nothing new, and the pause before the second, in seconds; it doubles.
TRIES = 4
PAUSE = 0.5
# What a card that says no size may take, in MiB.
LARGEST = 4096
AGENT = "dff-onnx"


class _InterruptedError(Exception):
    """A connection that broke, or never came; the next may do better, unless it is `hopeless`."""

    def __init__(self, why: str, hopeless: bool = False) -> None:
        super().__init__(why)
        self.hopeless = hopeless


def download(weights: Weights, target: Path, progress: Progress) -> None:
    """Downloads a file of weights to `target`. What came is kept beside it (`.part`) when the network fails.

    Args:
        weights: address, digest and size.
        target: where the file shall be; its folder is there, and the caller holds its lock.
        progress: counts MiB.

    Raises:
        NetworkError: when the server cannot be reached, breaks off again and again, or sends another file; the
            sentence names the address and where to put the file by hand.
        OutputError: when the disk refuses it.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        begun = _size(part) > 0
        found = _fetched(weights, part, target, progress)
        if begun and not found.startswith(weights.sha256):
            # What an earlier try left may have been of another file: once more, from the beginning.
            part.unlink()
            found = _fetched(weights, part, target, progress)
        if not found.startswith(weights.sha256):
            part.unlink()
            raise NetworkError(
                f"{weights.url}: sent another file: its sha256 begins with {found[: len(weights.sha256)]}, not with "
                f"{weights.sha256}; try again, or put the right file at {target}"
            )
        part.replace(target)
    except OSError as error:
        raise OutputError(f"{part}: cannot be written ({error.strerror or error})") from error


def is_complete(path: Path, weights: Weights) -> bool:
    """Whether a file is there and has the digest."""
    return path.is_file() and _sha256(path).startswith(weights.sha256)


def _fetched(weights: Weights, part: Path, target: Path, progress: Progress) -> str:
    """Brings the part to the end that the server says it has; its sha256."""
    progress.start("fetching MiB", round(weights.mib) or None)
    progress.advance(_size(part) // MIB)
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _append(weights, part, progress)
            found = _sha256(part)
            # An answer may end early and say that this is its length; the size that a card says may be generous, too.
            missing = int((weights.mib - 0.001) * MIB) - _size(part)
            if missing > 0 and not found.startswith(weights.sha256):
                raise _InterruptedError(f"ended {missing} bytes before the size that the card says")
            return found
        except _InterruptedError as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if error.hopeless or fruitless == TRIES:
                raise _unreachable(weights, part, target, str(error)) from error
            time.sleep(PAUSE * 2**fruitless)
        except urllib.error.HTTPError as error:
            error.close()
            raise _unreachable(weights, part, target, f"HTTP {error.code} {error.reason}") from error


def _unreachable(weights: Weights, part: Path, target: Path, why: str) -> NetworkError:
    kept = _size(part)
    going_on = f"the {kept / MIB:.1f} MiB that came are kept, and the same command goes on with them"
    again = going_on if kept else "try again"
    return NetworkError(
        f"{weights.url}: cannot be downloaded ({why}); {again}, or download it on another machine and put it at "
        f"{target}"
    )


def _append(weights: Weights, part: Path, progress: Progress) -> None:
    """One connection: asks for what is missing and appends it."""
    have = _size(part)
    request = urllib.request.Request(weights.url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is nothing behind what we have: the digest will tell
            error.close()
            return
        if error.code in (408, 425, 429) or error.code >= 500:
            error.close()
            raise _InterruptedError(f"HTTP {error.code} {error.reason}") from error
        raise
    except (OSError, http.client.HTTPException) as error:
        nameless = isinstance(getattr(error, "reason", None), socket.gaierror)
        raise _InterruptedError(_reason(error), hopeless=nameless) from error
    with answer:
        resumed = have > 0 and answer.status == 206 and _starts_at(answer.headers.get("Content-Range", ""), have)
        _copy(answer, part, weights, have if resumed else 0, progress)


def _copy(answer: Any, part: Path, weights: Weights, start: int, progress: Progress) -> None:
    """Copies an answer's body behind the first `start` bytes of the part."""
    limit = int((weights.mib * 1.01 + 1 if weights.mib else LARGEST) * MIB)
    said = answer.headers.get("Content-Length", "")
    end = start + int(said) if said.isdecimal() else None
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        place = start
        while piece := _piece(answer):
            file.write(piece)
            progress.advance((place + len(piece)) // MIB - place // MIB)
            place += len(piece)
            if place > limit:
                file.truncate(0)
                raise NetworkError(f"{weights.url}: sends more than the {limit / MIB:.0f} MiB it may have; given up")
        file.flush()
        os.fsync(file.fileno())
    if end is not None and place < end:
        raise _InterruptedError(f"broke off {end - place} bytes before the end")


def _piece(answer: Any) -> bytes:
    try:
        data: bytes = answer.read1(MIB)
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(_reason(error)) from error
    return data


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no byte for {TIMEOUT:g} s"
    if isinstance(cause, socket.gaierror):
        return f"the server's name is not known: {cause.strerror}"
    return (cause.strerror if isinstance(cause, OSError) else str(cause)) or type(cause).__name__


def _starts_at(content_range: str, byte: int) -> bool:
    found = re.match(r"bytes (\d+)-", content_range)
    return found is not None and int(found[1]) == byte


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
