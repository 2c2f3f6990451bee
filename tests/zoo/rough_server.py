"""A server that misbehaves as it is told: one behaviour for each request, the last for all that follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Rough:
    """Attributes:
    data: of the one file there is.
    manners: what to do, request by request: `honest`, `half` (says all, sends half), `no range` (ignores Range),
        `short` (says half, sends half), `more` (says nothing, sends without end), `stall`,
        `frozen` (never begins), `redirect`, `dizzy` (redirects
        to itself), `error N`, `other` (another file of the same length), `chunks` (no length, broken off).
    asked: the Range of each request so far, empty where there was none.
    """

    data: bytes
    manners: list[str]
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(data: bytes, *manners: str) -> Iterator[Rough]:
    rough = Rough(data, list(manners) or ["honest"])

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_words: object) -> None:
            pass

        def do_GET(self) -> None:
            manner = rough.manners[min(len(rough.asked), len(rough.manners) - 1)]
            wanted = self.headers.get("Range", "")
            rough.asked.append(wanted)
            _answer(self, rough, manner, wanted)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    rough.url = f"http://127.0.0.1:{server.server_port}/weights.safetensors"
    try:
        yield rough
    finally:
        server.shutdown()
        server.server_close()


def _answer(to: BaseHTTPRequestHandler, rough: Rough, manner: str, wanted: str) -> None:
    data = rough.data if manner != "other" else bytes(len(rough.data))
    if manner.startswith("error"):
        to.send_error(int(manner.split()[1]))
        return
    if manner in ("redirect", "dizzy"):
        to.send_response(302)
        to.send_header("Location", rough.url if manner == "dizzy" else rough.url.replace("weights", "elsewhere"))
        to.end_headers()
        return
    if manner == "frozen":
        time.sleep(3)
        return
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and manner != "no range" else 0
    if start >= len(data) > 0:
        to.send_error(416)
        return
    rest = data[start:]
    to.send_response(206 if start else 200)
    if start:
        to.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    if manner == "chunks":
        to.send_header("Transfer-Encoding", "chunked")
        to.end_headers()
        half = rest[: len(rest) // 2]
        to.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
        to.close_connection = True
        return
    if manner != "more":
        to.send_header("Content-Length", str(len(rest) // 2 if manner == "short" else len(rest)))
    to.end_headers()
    _send(to, rest, manner)


def _send(to: BaseHTTPRequestHandler, rest: bytes, manner: str) -> None:
    try:
        if manner == "more":
            while True:
                to.wfile.write(bytes(2**16))
        to.wfile.write(rest[: len(rest) // 2] if manner in ("half", "short", "stall") else rest)
        to.wfile.flush()
        if manner == "stall":
            time.sleep(3)
    except OSError:
        pass
    to.close_connection = True
