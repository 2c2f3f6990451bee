"""Text that somebody else chose, before it goes into files and onto terminals."""

from __future__ import annotations

import unicodedata

# Characters that end a line, or turn the direction of what stands around them. Letters of any script are welcome.
CONTROL = ("Cc", "Cs", "Zl", "Zp")
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def is_plain(text: str) -> bool:
    """Whether a text stays on its line, and leaves the text around it as it is.

    >>> is_plain("Änderung"), is_plain("head\\n"), is_plain("\\x1b[2J")
    (True, False, False)
    """
    return not any(unicodedata.category(character) in CONTROL or character in TURNING for character in text)
