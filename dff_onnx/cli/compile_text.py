"""What `compile`, `verify` and `quantize` say on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dff_onnx.cli.pictures_text import counted, unusable_lines
from dff_onnx.report.names import shown

if TYPE_CHECKING:
    from dff_onnx.deploy.form import Form
    from dff_onnx.runs.compared import Compared, Verified
    from dff_onnx.runs.compile_ import Written


def written_lines(made: Written, form: Form) -> list[str]:
    """What was written, what it takes and gives, and how it compares with Python."""
    more = made.size - made.network_size
    outputs = [f"{name} ({_shape(shape)})" for name, shape in made.outputs]
    worst = max((one.largest for one in made.verified.compared if one.allowed), default=0.0)
    lines = [
        f"{shown(str(made.path))}: {made.size / 2**20:.1f} MiB, "
        f"{abs(more) / 1000:.0f} kB {'more' if more >= 0 else 'less'} than the network's file",
        f"  takes    image ({_shape(made.inputs)}) uint8, RGB",
        *_wrapped("  gives    ", outputs),
        f"  checked  against Python on {counted(made.verified.pictures)}: differs by {worst:.1g} at most",
    ]
    if form.unroll is not None and form.unroll < made.rounds:
        lines.append(f"  note     these concepts take about {made.rounds} rounds, and {form.unroll} were unrolled")
    if made.assumed:
        lines.append("  note     the network does not say its preprocessing, and ImageNet's was taken")
        lines.append("           (--mean, --std, --scale and --channel-order say another)")
    return lines


def verified_lines(found: Verified) -> list[str]:
    """A line for each output, and what it comes to."""
    rows = [("output", "differs by", "allowed", "picture, note")]
    rows += [(one.output, f"{one.largest:.1e}", _allowed(one), _remark(one)) for one in found.compared]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2)), row[3]]).rstrip()
        for row in rows
    ]
    ending = "agrees with" if found.good else "DIFFERS from"
    lines.append(f"{ending} the Python pipeline on {counted(found.pictures)}")
    return [*lines, *unusable_lines(found.failures)]


def _allowed(one: Compared) -> str:
    return "" if one.allowed is None else f"{one.allowed:.0e}" if one.allowed else "0"


def _remark(one: Compared) -> str:
    mark = [] if one.good else ["TOO MUCH"]
    return ", ".join([*mark, *(part for part in (shown(one.where), one.note) if part)])


def _shape(shape: Sequence[int | str | None]) -> str:
    return ", ".join(str(axis) if axis is not None else "?" for axis in shape)


def _wrapped(begin: str, items: Sequence[str], width: int = 80) -> list[str]:
    """Items with commas between them, on lines of a width, none of them broken."""
    lines = [begin]
    for number, item in enumerate(items):
        text = item + ("," if number + 1 < len(items) else "")
        if len(lines[-1]) + len(text) >= width and lines[-1].strip():
            lines.append(" " * len(begin))
        lines[-1] += ("" if lines[-1].isspace() or lines[-1] == begin else " ") + text
    return lines
