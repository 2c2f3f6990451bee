"""Where a query is in the pictures that a search finds, on iCoseg: joint DFF beside simpler answers.

    DFF_ONNX_DATA=... python benchmarks/where.py [compact|squeezenet1_1 ...]

The protocol is that of `dff-onnx eval where`: every third picture is a query, once by its object's box and once as a
whole, and of its ten nearest pictures those of its own group are judged. Settings are chosen on every other group; the
first tables have mean IoU and CorLoc of both halves, the second intervals of all groups.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.evaluation import Opened, WhereFigures, WherePlan, evaluate_where, open_masks, where_rows, where_text
from dff_onnx.evaluation.where import ASKED, truth_boxes
from dff_onnx.images import read_size
from dff_onnx.retrieval import best_regions
from dff_onnx.runs.descriptors import Describer, DescriptorSettings

TOP = 10
PLAN = WherePlan(TOP, 3, (2, 3), ("share", "mean"), all_cells=True)


def main() -> None:
    """Prints the tables of each network."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    print(
        f"{platform.machine()}, 2 cores of an AMD EPYC; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__}; {datetime.date.today()}"
    )
    opened = open_masks(data / "icoseg", None, None, (), False)
    for name in sys.argv[1:] or ["compact", "squeezenet1_1"]:
        file = embedded_model() if name == "compact" else data / "models" / f"{name}.onnx"
        layer = None if name == "compact" else "/fires.7/Concat_output_0"
        describer = Describer(Backbone.open(file, layer, threads=1), DescriptorSettings())
        figures = evaluate_where(opened, describer, PLAN)
        print_halves(name, figures)
        print(f"\n{where_text(figures)}", flush=True)
        with single_threaded_blas():
            print_regions(name, opened, describer)


def print_halves(name: str, figures: WhereFigures) -> None:
    """Mean IoU and CorLoc of the groups that settings were chosen on, of the others, and of all."""
    groups = sorted({one.group for one in figures.scores})
    print(f"\n{name:<34} {'mean IoU':<23} CorLoc")
    print(f"{'':<34} {'chosen':>7} {'others':>7} {'all':>7} {'chosen':>7} {'others':>7} {'all':>7} {'matches':>8}")
    for asked in ASKED:
        parts = [where_rows(figures, asked, some) for some in (groups[::2], groups[1::2], groups)]
        for of in zip(*parts, strict=True):
            cells = [one.iou.estimate for one in of] + [one.corloc.estimate for one in of]
            print(f"{asked:<6}{of[2].way:<28} " + " ".join(f"{one:7.3f}" for one in cells) + f" {of[2].matches:8}")


def print_regions(name: str, opened: Opened, describer: Describer) -> None:
    """Which vector of a box should be compared with regions: pictures of the same group among the first ten."""
    given = [(group.name, one) for group in opened.dataset.groups for one in group.pictures]
    described = [describer.describe(describer.read(one.picture)) for _, one in given]
    vectors, parts = np.stack([one.vector for one in described]), [one.parts for one in described]
    regions_of_all, ends = np.concatenate(parts), np.cumsum([0, *map(len, parts)]).tolist()
    groups, shares = np.asarray([group for group, _ in given]), dict[str, list[float]]()
    for query in range(0, len(given), PLAN.every):
        one = given[query][1]
        (box,) = truth_boxes(one, read_size(one.picture))
        made = describer.describe(describer.read(one.picture, box))
        strongest = made.parts[int(np.argmax(made.scores))]
        scores = {
            "its vector and theirs": vectors @ made.vector,
            "its vector and their regions": best_regions((regions_of_all @ made.vector)[None], ends)[0],
            "its strongest concept and their regions": best_regions((regions_of_all @ strongest)[None], ends)[0],
        }
        for way, of in scores.items():
            found = [i for i in np.argsort(-of, kind="stable").tolist() if i != query][:TOP]
            shares.setdefault(way, []).append(float(np.mean(groups[found] == groups[query])))
    print(f"\n{name}, box: of the first {TOP}, of its group")
    for way, of in shares.items():
        print(f"{way:<42} {np.mean(of):.3f}")


if __name__ == "__main__":
    main()
