"""Banks for a terminal of 80 columns, and for JSON."""

from __future__ import annotations

from typing import Any

import typer

from dff_onnx.concepts.bank import Bank
from dff_onnx.concepts.edits import Difference, Pair
from dff_onnx.datasets.dataset import counted
from dff_onnx.report.names import fitted, shown
from dff_onnx.report.palette import from_hexadecimal

WIDTH = 80
NAME_AT = 49  # where a name begins in the table
LABEL = 14  # of a line below the table
MOST_LINES = 40  # of provenance
QUARTILES = "smallest, quartiles, largest"


def bank_lines(bank: Bank) -> list[str]:
    """A table of the concepts, and below it what belongs to all of them."""
    head = f"{'no':>3}{'colour':>14} {'energy':>7}{'threshold':>11}{'peak':>11}  name"
    table = [head, *(_concept_line(bank, j) for j in range(len(bank.W)))] if len(bank.W) else []
    return table + ([""] if table else []) + _about_lines(bank)


def difference_lines(difference: Difference, ours: Bank, theirs: Bank) -> list[str]:
    """A table of the concepts that both banks have, and below it those that one alone has."""
    head = "   A    B  cosine           energy             threshold  name"
    lines = [head, *map(_pair_line, difference.pairs)] if difference.pairs else ["no concept is in both"]
    for bank, label, numbers in ((ours, "A", difference.ours), (theirs, "B", difference.theirs)):
        lines += [_cut(f"only in {label}: {_called(bank, j)}, energy {bank.energy[j]:.1%}") for j in numbers]
    return lines


def bank_fields(bank: Bank) -> dict[str, Any]:
    """A bank but for its vectors, as plain values."""
    return {
        "concepts": [
            {
                "number": j,
                "name": bank.names[j],
                "colour": bank.colours[j],
                "energy": _figure(bank.energy[j]),
                "threshold": _figure(bank.thresholds[j]),
                "peak": _figure(bank.peaks[j]),
            }
            for j in range(len(bank.W))
        ],
        "channels": bank.W.shape[1],
        "foreground": bank.foreground is not None,
        "fingerprint": bank.fingerprint.to_dict(),
        "resize": bank.resize.to_dict() if bank.resize else None,
        "losses": [_figure(loss) for loss in bank.losses],
        "provenance": dict(bank.provenance),
    }


def difference_fields(difference: Difference) -> dict[str, Any]:
    """A difference as plain values; of two figures the first is of the bank that was named first."""
    pairs = [
        {
            "concepts": [one.ours, one.theirs],
            "cosine": _figure(one.cosine),
            "energy": [_figure(value) for value in one.energy],
            "threshold": [_figure(value) for value in one.threshold],
            "names": list(one.names),
        }
        for one in difference.pairs
    ]
    return {"pairs": pairs, "only": [list(difference.ours), list(difference.theirs)]}


def summary(bank: Bank) -> str:
    """The concepts of a bank in a line."""
    names = [name for name in bank.names if name]
    return _cut(f"{counted(len(bank.W), 'concept')}, {len(names)} named" + (f": {', '.join(names)}" if names else ""))


def _concept_line(bank: Bank, j: int) -> str:
    swatch = typer.style("    ", bg=from_hexadecimal(bank.colours[j]))
    figures = f"{bank.energy[j]:7.1%}{bank.thresholds[j]:11.4g}{bank.peaks[j]:11.4g}"
    line = f"{j:3d}  {swatch} {bank.colours[j]} {figures}  "
    return (line + fitted(bank.names[j] or "", WIDTH - NAME_AT)).rstrip()


def _about_lines(bank: Bank) -> list[str]:
    mark, steps = bank.fingerprint, bank.fingerprint.preprocessing
    pixels = "as they are" if steps.dtype == "uint8" else "normalised by the caller"
    lines = {
        "network": mark.model_sha256,
        "layer": f"{mark.layer}, {bank.W.shape[1]} channels",
        "preprocessing": f"{steps.channels}, scale {steps.scale:g}, pixels {pixels}",
        "mean, std": f"{steps.mean}, {steps.std}",
        "size": f"{bank.resize.mode} {bank.resize.pixels}" if bank.resize else "not known",
        "losses": f"{' '.join(f'{loss:.3f}' for loss in bank.losses)} ({QUARTILES})" if bank.losses else "not known",
    }
    if bank.foreground is not None:
        lines["foreground"] = f"threshold {bank.foreground.threshold:.4g}, spread {bank.foreground.spread:.4g}"
    told = [_labelled(label, value) for label, value in lines.items()]
    made = list(bank.provenance.items())
    told += [_labelled(key, str(value)) for key, value in made[:MOST_LINES]]
    return told + ([f"and {len(made) - MOST_LINES} more"] if len(made) > MOST_LINES else [])


def _pair_line(one: Pair) -> str:
    energy = f"{one.energy[0]:.1%} -> {one.energy[1]:.1%}"
    threshold = f"{one.threshold[0]:.3g} -> {one.threshold[1]:.3g}"
    before, after = (name or "no name" for name in one.names)
    name = (one.names[0] or "") if before == after else f"{before} -> {after}"
    return _cut(f"{one.ours:4d} {one.theirs:4d}{one.cosine:8.3f}{energy:>17}{threshold:>22}  {name}")


def _called(bank: Bank, j: int) -> str:
    return f"{j} {bank.names[j]}" if bank.names[j] else str(j)


def _labelled(label: str, value: str) -> str:
    return _cut(f"{fitted(shown(label), LABEL)} {shown(value)}")


def _cut(line: str) -> str:
    return fitted(line, WIDTH).rstrip()


def _figure(value: float) -> float:
    """Nine digits tell all float32 apart."""
    return float(f"{value:.9g}")
