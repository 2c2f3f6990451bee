"""Names that somebody else chose, as a terminal and a table can show them."""

from __future__ import annotations


def shown(name: str) -> str:
    """A name without characters that a terminal would obey, or no file can hold.

    >>> shown("caf\\u00e9 \\x1b[2J")
    'café \\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def fitted(text: str, width: int) -> str:
    """Exactly so many columns of a terminal: cut with an ellipsis, or padded.

    >>> fitted("elephants", 6), fitted("cat", 4)
    ('eleph…', 'cat ')
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return f"{set_cell_size(text, width - 1)}…"


def cell(text: str) -> str:
    """A name inside a Markdown table.

    >>> cell("a|b <i>")
    'a\\\\|b &lt;i&gt;'
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|":
        escaped = escaped.replace(mark, "\\" + mark)
    return escaped
