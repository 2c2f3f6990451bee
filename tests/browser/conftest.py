"""Chromium, and pages opened in it that are watched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dff_onnx.report.page.fill import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parent))

# No sandbox: tests run as root in containers. Nothing but the page may ask for anything.
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def open_file(browser: Browser) -> Iterator[Open]:
    """Opens a report and waits until its first sight is drawn.

    At the end of the test it must have said nothing on its console and asked for nothing but reports.
    """
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_(path: Path, at: str = "", **options: Any) -> Page:
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | options)))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: said.append(f"error: {error}"))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri() + at)
        tab.wait_for_selector("html[data-ready]", state="attached")
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    outside = [url for url in asked if not url.startswith(("data:", "blob:")) and not _is_report(url)]
    assert asked and outside == []


@pytest.fixture
def open_page(open_file: Open, tmp_path: Path) -> Open:
    """The same for a page's data; names are those of its concepts, none by default."""

    def open_(data: dict[str, Any], names: Sequence[Sequence[str | None]] | None = None, **options: Any) -> Page:
        path = tmp_path / "report.html"
        none = [[None] * len(level["concepts"]) for level in data["levels"]]
        path.write_bytes(page(data, none if names is None else names))
        return open_file(path, **options)

    return open_


def _is_report(url: str) -> bool:
    return url.startswith("file:///") and Path(url.split("#")[0]).name.startswith("report")
