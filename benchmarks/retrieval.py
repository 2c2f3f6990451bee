"""Descriptors side by side: iCoseg's groups as classes, whitenings learnt on other photographs.

    DFF_ONNX_DATA=... python benchmarks/retrieval.py [compact squeezenet1_1 resnet50v2-stage3]

Every picture asks for the others of its group. Whitenings are learnt on every second picture of `photos`, with and
without a shrinkage of 0.01. The second table has the best row of each system: by itself, and with the whitening (all
dimensions or fewer, shrunk or not) that is best on the groups at odd places, as the groups at even places see it. The
last line is the same query by query, on these.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from dff_onnx.backbone.session import Backbone
from dff_onnx.datasets import read_class_folders
from dff_onnx.evaluation import (
    QueryScore,
    RetrievalFigures,
    RetrievalPlan,
    evaluate_retrieval,
    paired_difference,
    retrieval_systems,
    retrieval_tables,
    retrieval_terminal,
)

LAYERS = {"compact": "", "squeezenet1_1": "/fires.7/Concat_output_0", "resnet50v2-stage3": "features"}
SYSTEMS = ("mac", "spoc", "gem", "crow", "rmac", "dff")
DIMENSIONS = (64, 128, 256, None)
SHRINKAGES = (0.0, 0.01)


def main() -> None:
    """Prints the tables of each network."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    dataset = read_class_folders(data / "icoseg" / "images")
    for name in sys.argv[1:] or LAYERS:
        backbone = (
            Backbone.open(threads=1)
            if name == "compact"
            else Backbone.open(data / "models" / f"{name}.onnx", LAYERS[name], threads=1)
        )
        with tempfile.TemporaryDirectory() as folder:
            for path in sorted((data / "photos").iterdir())[::2]:
                (Path(folder) / path.name).symlink_to(path)
            plan = RetrievalPlan(retrieval_systems(SYSTEMS), Path(folder), DIMENSIONS, SHRINKAGES)
            figures = evaluate_retrieval(dataset, backbone, plan)
        print(f"\n{name}\n{retrieval_terminal(figures, retrieval_tables(figures))}\n\n{halves(figures)}", flush=True)


def halves(figures: RetrievalFigures) -> str:
    """Each system at the whitening that is best on the odd groups."""
    groups = sorted({group_of(one) for one in figures.scores})
    odd, even = set(groups[::2]), set(groups[1::2])
    lines = [f"{'whitening chosen on the odd groups':<36}{'odd':>9}{'even':>9}{'all':>9}"]
    chosen = {}
    for system in SYSTEMS:
        rows = [one.name for one in figures.systems if one.name.split("+")[0] == system]
        best = max(rows, key=lambda name: mean(figures, name, odd))
        chosen[system] = best
        cells = "".join(f"{100 * mean(figures, best, part):9.2f}" for part in (odd, even, odd | even))
        lines.append(f"{best:<36}{cells}")
    rival = max(chosen.values(), key=lambda name: mean(figures, name, odd) if not name.startswith("dff") else 0.0)
    for label, part in (("even groups", even), ("all groups", odd | even)):
        ours, theirs = (
            [one for one in figures.of(name, "classic") if group_of(one) in part] for name in (chosen["dff"], rival)
        )
        if apart := paired_difference(theirs, ours):
            said = apart.interval
            bounds = f"({100 * said.low:+.2f} to {100 * said.high:+.2f})"
            lines.append(f"{chosen['dff']} - {rival}, {label}: {100 * said.estimate:+.2f} {bounds}, p {apart.p:.3f}")
    return "\n".join(lines)


def mean(figures: RetrievalFigures, system: str, groups: set[str]) -> float:
    """Mean average precision over the queries of some groups."""
    return float(np.mean([one.ap for one in figures.of(system, "classic") if group_of(one) in groups]))


def group_of(score: QueryScore) -> str:
    """The folder of the query."""
    return score.query.split("/")[0]


if __name__ == "__main__":
    main()
