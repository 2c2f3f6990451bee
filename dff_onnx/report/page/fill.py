"""The file itself: markup, style and script of our own, and the data as JSON that nothing executes.

A Content-Security-Policy allows the one style and the one script by their hashes, pictures from within the file, and
nothing else: a name that tries to be markup stays text, and no request leaves the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from importlib import resources
from typing import Any

FORMAT = "dff-onnx/page/1"
PIECES = ("page.html", "page.css", "page.js")
Names = Sequence[Sequence[str | None]]


def page(data: dict[str, Any], names: Names) -> bytes:
    """A page as a file.

    Args:
        data: what the page shows, as `docs/report.md` describes it.
        names: of the concepts of each level: apart from the data, so that they can be changed later.
    """
    markup, style, script = _pieces()
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {
        "policy": escape(policy),
        "title": escape(str(data["title"])),
        "style": style,
        "names": _island(names),
        "data": _island({"format": FORMAT, **data}),
        "script": script,
    }
    filled = []
    for piece in markup.split("{{"):  # one pass: what is filled in is never looked through
        name, closed, rest = piece.partition("}}")
        filled.append(parts[name] + rest if closed else piece)
    return "".join(filled).encode("utf-8", "backslashreplace")


def _island(value: Any) -> str:
    """JSON that no HTML parser takes for markup, on one line."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=1)
def _pieces() -> tuple[str, ...]:
    home = resources.files(__package__)
    return tuple(home.joinpath(name).read_text(encoding="utf-8") for name in PIECES)
