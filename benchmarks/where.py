"""Where a query is in the pictures that a search finds, on iCoseg: joint DFF beside simpler answers.

    DFF_ONNX_DATA=... python benchmarks/where.py [compact|squeezenet1_1 ...]

Every third picture is a query, once by its object's box and once as a whole. Of its ten nearest pictures, those of its
own group are judged: intersection over union of the box that is told and the mask's. Settings are chosen on every other
group; the table has both halves.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import onnxruntime
from icoseg_k1 import box_of, ground_truth, overlap
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.datasets.icoseg import read_icoseg
from dff_onnx.maps import offsets
from dff_onnx.progress import Silent
from dff_onnx.records import Box
from dff_onnx.retrieval import Window, best_regions, mac, rank, region_vectors, regions, rmac
from dff_onnx.retrieval.where import By
from dff_onnx.runs.collect import Seen, collect_with
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.where import WhereSettings, centre, inside, located

TOP = 10
RULES: tuple[By, ...] = ("share", "mean")


@dataclass(frozen=True)
class Pictures:
    """All of iCoseg as a network sees it."""

    paths: list[Path]
    groups: list[str]
    truths: list[Box]
    rows: list[NDArray[np.float32]]
    seen: list[Seen]
    vectors: NDArray[np.float32]
    parts: list[NDArray[np.float32]]


@dataclass
class Overlaps:
    """Of boxes and truths, by way of telling and by group."""

    of: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, way: str, group: str, boxes: Sequence[Box | None], truths: Sequence[Box]) -> None:
        """Judges the answers to a query."""
        values = [0.0 if box is None else overlap(box, truth) for box, truth in zip(boxes, truths, strict=True)]
        self.of.setdefault(way, {}).setdefault(group, []).extend(values)


def main() -> None:
    """Prints a table for each network."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    print(
        f"{platform.machine()}, 2 cores of an AMD EPYC; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__}; {datetime.date.today()}"
    )
    for name in sys.argv[1:] or ["compact", "squeezenet1_1"]:
        file = embedded_model() if name == "compact" else data / "models" / f"{name}.onnx"
        layer = None if name == "compact" else "/fires.7/Concat_output_0"
        describer = Describer(Backbone.open(file, layer, threads=1), DescriptorSettings())
        pictures = read(data / "icoseg", describer)
        print_table(name, measure(pictures, describer))
        print_regions(name, pictures, describer)


def read(icoseg: Path, describer: Describer) -> Pictures:
    """Pictures, masks, activations and descriptors."""
    pictures = [(group.name, one) for group in read_icoseg(icoseg).groups for one in group.pictures]
    paths = [one.picture for _, one in pictures]
    masks = [icoseg / "ground_truth" / path.parent.name / f"{path.stem}.png" for path in paths]
    truths = [box_of(ground_truth(mask)) for mask in masks]
    rows = collect_with(icoseg, paths, describer.read, describer.activations, Silent())
    bounds = offsets(rows.grids)
    described = [describer.describe(describer.read(path)) for path in paths]
    vectors, parts = np.stack([one.vector for one in described]), [one.parts for one in described]
    cut = [np.asarray(rows.A[low:high]) for low, high in pairwise(bounds)]
    return Pictures(paths, [name for name, _ in pictures], truths, cut, list(rows.seen), vectors, parts)


def measure(pictures: Pictures, describer: Describer) -> Overlaps:
    """Every third picture against its ten nearest of its own group, asked for by its object's box and as a whole."""
    made = Overlaps()
    for query in range(0, len(pictures.paths), 3):
        for box, prefix in ((pictures.truths[query], "box"), (None, "whole")):
            crop = describer.read(pictures.paths[query], box)
            vector = describer.describe(crop).vector
            ranking = rank(vector[None], pictures.vectors, TOP + 1)
            found = [i for i in ranking.indices[0].tolist() if i != query][:TOP]
            judge(made, pictures, query, box, found, prefix, describer.activations(crop.pixels[None]))
    return made


def judge(
    made: Overlaps,
    pictures: Pictures,
    query: int,
    box: Box | None,
    found: list[int],
    prefix: str,
    crop: NDArray[np.float32],
) -> None:
    """All ways of telling where one query is in what was found."""
    group = pictures.groups[query]
    true = [i for i in found if pictures.groups[i] == group]
    truths, sizes = [pictures.truths[i] for i in true], [pictures.seen[i].original for i in true]

    def add(way: str, boxes: Sequence[Box | None]) -> None:
        made.add(f"{prefix:<6}{way}", group, boxes, truths)

    add("whole picture", [Box(0, 0, size.width, size.height) for size in sizes])
    add("centre, half the area", [centre(size) for size in sizes])
    add("R-MAC, best square", [best_window(pictures, i, rmac(crop)[0]) for i in true])
    add("R-MAC, best square, MAC", [best_window(pictures, i, mac(crop)[0]) for i in true])
    chosen = [query, *found]
    A = np.concatenate([pictures.rows[i] for i in chosen])
    seen = [pictures.seen[i] for i in chosen]
    asked = {"": inside(box, seen[0])}
    if box is None:
        asked = {"": np.ones_like(asked[""]), ", its centre": asked[""]}
    for (what, cells), k, by in product(asked.items(), (2, 3), RULES):
        boxes = located(A, seen, cells, WhereSettings(k, by)).boxes[1:]
        add(f"DFF, k = {k}, {by}{what}", [boxes[found.index(i)] for i in true])


def best_window(pictures: Pictures, picture: int, vector: NDArray[np.float32]) -> Box:
    """The square of R-MAC's grid, or the whole, that is most like a vector."""
    seen, rows = pictures.seen[picture], pictures.rows[picture]
    grid = seen.grid
    windows = (Window(0, 0, grid.height, grid.width), *regions(grid.height, grid.width))
    X = rows.reshape(1, grid.height, grid.width, -1).transpose(0, 3, 1, 2)
    best = windows[int(np.argmax(region_vectors(X, windows)[0] @ vector))]
    down, across = seen.original.height / grid.height, seen.original.width / grid.width
    corners = (best.x * across, best.y * down, (best.x + best.width) * across, (best.y + best.height) * down)
    return Box(*map(round, corners))


def print_regions(name: str, pictures: Pictures, describer: Describer) -> None:
    """Which vector of a box should be compared with regions: pictures of the same group among the first ten."""
    regions_of_all, ends = np.concatenate(pictures.parts), np.cumsum([0, *map(len, pictures.parts)]).tolist()
    groups, shares = np.asarray(pictures.groups), dict[str, list[float]]()
    for query in range(0, len(pictures.paths), 3):
        made = describer.describe(describer.read(pictures.paths[query], pictures.truths[query]))
        strongest = made.parts[int(np.argmax(made.scores))]
        scores = {
            "its vector and theirs": pictures.vectors @ made.vector,
            "its vector and their regions": best_regions((regions_of_all @ made.vector)[None], ends)[0],
            "its strongest concept and their regions": best_regions((regions_of_all @ strongest)[None], ends)[0],
        }
        for way, of in scores.items():
            found = [i for i in np.argsort(-of, kind="stable").tolist() if i != query][:TOP]
            shares.setdefault(way, []).append(float(np.mean(groups[found] == groups[query])))
    print(f"\n{name}, box: of the first {TOP}, of its group")
    for way, of in shares.items():
        print(f"{way:<42} {np.mean(of):.3f}")


def print_table(name: str, made: Overlaps) -> None:
    """Means over groups of the means of their matches: both halves of the groups, and all."""
    groups = sorted({group for of in made.of.values() for group in of})
    first, second = groups[::2], groups[1::2]
    print(f"\n{name:<36} {'chosen on':>10} {'others':>10} {'all':>10} {'> 0.5':>10} {'matches':>8}")
    for way, of in made.of.items():
        means = [np.mean([np.mean(of[group]) for group in some if of.get(group)]) for some in (first, second, groups)]
        every = [value for values in of.values() for value in values]
        hits = np.mean([np.mean(np.asarray(values) > 0.5) for values in of.values() if values])
        print(f"{way:<36} " + " ".join(f"{mean:10.3f}" for mean in means) + f" {hits:10.3f} {len(every):8}")


if __name__ == "__main__":
    with single_threaded_blas():
        main()
