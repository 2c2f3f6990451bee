"""The page in examples/deploy/web, served and used as a person does it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from deploy_files import EXAMPLES, Deployed

if TYPE_CHECKING:
    from playwright.sync_api import Page

WEB = EXAMPLES / "web"
PATIENCE = 30_000  # milliseconds: two cores, and others work on them
POLICY = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', (WEB / "index.html").read_text("utf-8"))

# As a person's drop: files, through the event.
DROP = """(files) => {
  const dataTransfer = new DataTransfer();
  for (const { name, type, content } of files) {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    dataTransfer.items.add(new File([bytes], name, { type }));
  }
  const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer });
  document.getElementById("drop").dispatchEvent(event);
}"""
KINDS = {".png": "image/png", ".jpg": "image/jpeg"}

# What was found, as the page holds it; heat maps as the bytes of their floats.
FOUND = """(mode) => dff[mode].entries.map(({ file, found }) => {
  const bytes = new Uint8Array(Float32Array.from(found.heatmaps).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 30000) text += String.fromCharCode(...bytes.subarray(at, at + 30000));
  const { loss, width, height } = found;
  const [scores, boxes] = [[...found.scores], found.boxes && [...found.boxes]];
  return { name: file.name, loss, scores, boxes, width, height, heatmaps: btoa(text) };
})"""


class Handler(SimpleHTTPRequestHandler):
    """Static files, with the page's own policy as a header: its worker knows no other."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY[0])
        super().end_headers()

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, ending with a slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def lay_out(deployed: Deployed, folder: Path) -> None:
    """The page's folder as somebody serves it, with both compiled files."""
    folder.mkdir()
    for path in WEB.iterdir():
        if path.suffix != ".onnx":  # somebody may have tried the page in place
            (folder / path.name).symlink_to(path)
    for path in (deployed.concepts, deployed.fit):
        (folder / path.name).symlink_to(path)


def drop(tab: Page, paths: Sequence[Path]) -> None:
    files = [
        {"name": path.name, "type": KINDS.get(path.suffix, ""), "content": base64.b64encode(path.read_bytes()).decode()}
        for path in paths
    ]
    tab.evaluate(DROP, files)


def wait_for(tab: Page, pictures: int) -> None:
    """Until so many pictures are there, and all of them are drawn."""
    tab.wait_for_selector(f'#pictures[aria-busy="false"] > :nth-child({pictures})')


def discover(tab: Page) -> None:
    """Chooses the other mode."""
    tab.get_by_label("Discover").check(force=True)
    tab.wait_for_selector('#file:has-text("fit.onnx: 4 concepts")')


def found_in(tab: Page, mode: str) -> list[dict[str, Any]]:
    """What was found in each picture; heat maps as `(k, height, width)`."""
    found: list[dict[str, Any]] = tab.evaluate(FOUND, mode)
    for one in found:
        heat = np.frombuffer(base64.b64decode(one["heatmaps"]), np.float32)
        one["heatmaps"] = heat.reshape(-1, one["height"], one["width"])
    return found


def told(tab: Page) -> str:
    """The problems, once there are some."""
    tab.wait_for_selector("#problems > li")
    return tab.inner_text("#problems")
