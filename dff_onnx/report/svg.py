"""What the plots share: the file, text that may be hostile, axes, the legend. SVG written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from dff_onnx.report.palette import colour, hexadecimal

MARGIN = 46
STEP = 22  # between lines of a legend


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot of shares 0..1 over numbers of concepts.

    Attributes:
        ks: the ticks below, ascending.
        width, height: in pixels.
    """

    ks: tuple[int, ...]
    width: int = 380
    height: int = 260

    def x(self, k: float) -> float:
        """Where a number of concepts lies."""
        span = max(self.ks[-1] - self.ks[0], 1)
        return MARGIN + 8 + (self.width - MARGIN - 28) * (k - self.ks[0]) / span

    def y(self, share: float) -> float:
        """Where a share lies; what is outside 0..1 lies on the border."""
        return self.height - MARGIN - (self.height - 2 * MARGIN) * min(max(share, 0.0), 1.0)

    def axes(self, name: str, below: str = "concepts (k)") -> list[str]:
        """The grid with its figures, the name above, what the ticks count below."""
        parts = [f'<text x="{self.width / 2}" y="{MARGIN - 14}" text-anchor="middle">{plain(name)}</text>']
        for tick in range(0, 11, 2):
            y = self.y(tick / 10)
            parts.append(f'<line x1="{MARGIN}" y1="{y}" x2="{self.width - 12}" y2="{y}" stroke="#ddd"/>')
            parts.append(f'<text x="{MARGIN - 6}" y="{y + 4}" text-anchor="end">{tick / 10:.1f}</text>')
        baseline = self.height - MARGIN + 18
        parts += [f'<text x="{self.x(k):.1f}" y="{baseline}" text-anchor="middle">{k}</text>' for k in self.ks]
        parts.append(f'<text x="{self.width / 2}" y="{self.height - 10}" text-anchor="middle">{plain(below)}</text>')
        return parts


def document(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """An SVG file: the title on white, and the parts."""
    size = f'width="{width}" height="{height}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        f'<text x="{MARGIN}" y="18" font-size="14">{plain(title)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def legend(names: Sequence[str], top: int, bold: int | None = None, note: str = "") -> list[str]:
    """Colours and names below each other, one of them bold with a note."""
    parts = []
    for index, name in enumerate(names):
        y = top + STEP * index
        weight, remark = (' font-weight="bold"', f" ({note})") if index == bold else ("", "")
        parts.append(f'<rect x="{MARGIN}" y="{y - 9}" width="22" height="8" fill="{fill(index)}" stroke="#444"/>')
        parts.append(f'<text x="{MARGIN + 30}" y="{y}"{weight}>{plain(name)}{remark}</text>')
    return parts


def fill(index: int) -> str:
    """The colour of a line or bar."""
    return hexadecimal(colour(index))


def plain(text: str, longest: int = 10_000) -> str:
    """Names are whatever a file says: escaped, and characters that no XML takes shown as they are written.

    >>> plain('<a href="x">\\x00')
    '&lt;a href=&quot;x&quot;&gt;\\\\x00'
    """
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short))
