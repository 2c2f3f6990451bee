"""What a test sees on a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., Any]

CARD = "#grid > li:nth-child({}) canvas"
LARGE = "#large-canvas"

# Two frames after a change the page knows what is in sight; then it draws until nothing of that is left.
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
DRAWN = "() => [...scenes.values()].every((scene) => !scene.near || scene.drawn === version)"

# Contrast of texts with what is behind them, by the formula of WCAG 2: of each that is seen, the text and the contrast.
CONTRASTS = """(elements) => elements.filter((one) => one.checkVisibility() && one.innerText).map((element) => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = parts(text).slice(0, 3).map((c) => (c > 10.31 ? ((c / 255 + 0.055) / 1.055) ** 2.4 : c / 3294.6));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let ground = element;
  const clear = (one) => parts(getComputedStyle(one).backgroundColor)[3] === 0;
  while (ground.parentElement && clear(ground)) ground = ground.parentElement;
  const [a, b] = [light(getComputedStyle(element).color), light(getComputedStyle(ground).backgroundColor)];
  return [element.innerText, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
})"""


def settle(tab: Page) -> None:
    tab.evaluate(TWO_FRAMES)
    tab.wait_for_function(DRAWN)


def pixels(tab: Page, canvas: str = CARD.format(1)) -> NDArray[np.int16]:
    """Of a canvas, `(height, width, 3)`."""
    settle(tab)
    return decoded(tab.eval_on_selector(canvas, "(canvas) => canvas.toDataURL('image/png')"))


def decoded(url: str) -> NDArray[np.int16]:
    content = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)


def thumb_of(picture: dict[str, Any]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["thumb"]))).convert("RGB"))


def maps_of(picture: dict[str, Any], level: int = 0) -> NDArray[np.float32]:
    part = picture["levels"][level]
    cells = np.frombuffer(base64.b64decode(part["maps"]), np.uint8)
    return (cells.reshape(-1, part["h"], part["w"]) / np.float32(255)).astype(np.float32)


def view(tab: Page, name: str) -> None:
    tab.locator(f'input[name=view][value="{name}"]').check(force=True)


def slide(tab: Page, slider: str, value: float) -> None:
    tab.locator(slider).fill(str(value))


def toggle(tab: Page, number: int) -> None:
    tab.locator(f'#legend [data-toggle="{number}"]').click()
