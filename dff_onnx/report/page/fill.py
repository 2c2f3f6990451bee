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
# In the order in which they stand in the one script: the last one starts what the others define.
SCRIPTS = ("state", "draw", "scenes", "names", "controls", "pictures", "large", "concepts", "sections", "page")
# Of the one line that `dff-onnx label` writes anew; the data, whose `<` are escaped, cannot have another.
OPENING = b'<script type="application/json" id="names">'
CLOSING = b"</script>"
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
        "names": island(names),
        "data": island({"format": FORMAT, **data}),
        "script": script,
    }
    filled = []
    for piece in markup.split("{{"):  # one pass: what is filled in is never looked through
        name, closed, rest = piece.partition("}}")
        filled.append(parts[name] + rest if closed else piece)
    return "".join(filled).encode("utf-8", "backslashreplace")


def renamed(content: bytes, names: Sequence[str | None]) -> bytes | None:
    """A page whose concepts have other names: one line changes, whatever else stands there stays.

    Args:
        content: of a file that is taken for a page of ours.
        names: of all concepts of a level; of a tree, the level with as many.

    Returns:
        None where there is no such line, or it has no level of so many concepts: somebody changed the file.
    """
    lines = content.split(b"\n")
    places = [i for i, line in enumerate(lines) if line.startswith(OPENING) and line.endswith(CLOSING)]
    if len(places) != 1:
        return None
    line = lines[places[0]]
    levels = _names_in(line[len(OPENING) : -len(CLOSING)])
    fitting = [i for i, level in enumerate(levels) if len(level) == len(names)]
    if len(fitting) != 1:
        return None
    levels[fitting[0]] = list(names)
    lines[places[0]] = OPENING + island(levels).encode() + CLOSING
    return b"\n".join(lines)


def _names_in(text: bytes) -> list[list[str | None]]:
    """The names of all levels; none where this is not what a page of ours has."""
    try:
        levels: list[list[str | None]] = json.loads(text)
    except (ValueError, RecursionError):
        return []
    whole = isinstance(levels, list) and all(isinstance(level, list) for level in levels)
    if not whole or not all(name is None or isinstance(name, str) for level in levels for name in level):
        return []
    return levels


def island(value: Any) -> str:
    """JSON that no HTML parser takes for markup, on one line.

    >>> island(["</script>"])
    '["\\\\u003c/script\\\\u003e"]'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=1)
def _pieces() -> tuple[str, str, str]:
    home = resources.files(__package__)
    markup, style, *scripts = (
        home.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", *(f"{script}.js" for script in SCRIPTS))
    )
    return markup, style, "\n".join(scripts)
