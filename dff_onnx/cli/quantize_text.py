"""What `quantize` says on a terminal."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from dff_onnx.cli.pictures_text import counted, unusable_lines
from dff_onnx.report.names import shown

if TYPE_CHECKING:
    from dff_onnx.runs.quantize import Quantized


def quantized_lines(made: Quantized) -> list[str]:
    """What was written, and what eight bits do, in lines of at most 80 columns but for names."""
    effect, speed = made.effect, made.speed
    lines = [
        f"{shown(str(made.path))}: {_size(made.size)} where float has {_size(made.float_size)}",
        f"  layer        {shown(made.layer)}, calibrated on {counted(made.calibrated)}",
        f"  speed here   {speed.milliseconds:.1f} ms a picture, {speed.ratio:.2f} times as fast as float",
        f"  measured     on {counted(effect.pictures)} that it was not calibrated on",
        f"  activations  differ by {effect.error:.1%}; cosine of a cell {effect.cosine:.4f}, least "
        f"{effect.least_cosine:.2f}",
        "  concept      cosine  IoU of masks  the same, not fitted anew",
    ]
    lines += [f"  {one.number:>7}{one.cosine:>12.4f}{one.iou:>14.3f}{one.applied:>27.3f}" for one in effect.concepts]
    lines += wrap(effect.verdict, 80, initial_indent="  ", subsequent_indent="  ")
    if made.assumed:
        lines.append("  note         the network does not say its preprocessing, and ImageNet's was")
        lines.append("               taken (--mean, --std, --scale and --channel-order say another)")
    return [*lines, *unusable_lines(made.failures)]


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 1000:.0f} kB"
