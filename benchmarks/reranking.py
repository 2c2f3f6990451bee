"""Ways to rank on iCoseg's groups: what the graph of a collection adds to each descriptor.

    DFF_ONNX_DATA=... python benchmarks/reranking.py [compact|squeezenet1_1 ...] [--kinds rmac,dff] [--ways fsr,...]

Each of 301 pictures asks for the others of its group. Pictures have 320 pixels on the longer side; every descriptor has
a whitening of its own parts, learnt on 500 other photographs with 0.01 of the largest variance added, all directions.
Votes for OS.EGM come of all pictures, without labels, and never of the query's own regions.

Every way has one or two counts: neighbours of the graph, entries of a query. They are chosen on the queries of every
second group, and judged on the others; then the other way round, so that every query is judged once, by counts that
were chosen without its group. All pictures are always searched. Mean average precision over queries, per cent.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import scipy
from numpy.typing import NDArray

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.datasets.icoseg import read_icoseg
from dff_onnx.evaluation.reranking import Reranking, Vectors, Way, rankings
from dff_onnx.files import walk_pictures
from dff_onnx.metrics import average_precision, bootstrap_interval
from dff_onnx.retrieval import learn_whitening, normalized
from dff_onnx.retrieval.graphs import graph_of, katz_centrality
from dff_onnx.retrieval.saliency import RegionVotes
from dff_onnx.runs.descriptors import Describer, DescriptorSettings, Kind
from dff_onnx.runs.graph_ranking import query_parts
from dff_onnx.runs.object_votes import ObjectVotes
from dff_onnx.runs.objects import NEIGHBOURS

SIZE, OTHERS, SHRINKAGE = 320, 500, 0.01
KINDS: tuple[Kind, ...] = ("fs-egm", "os-egm", "rmac", "dff")
RANKS = (20, 100)
EXPANDED = (1, 2, 3, 5, 10, 20, 50)
OF_IMAGES = tuple(product((4, 6, 8, 12, 20, 50), (1, 2, 3, 5, 10)))
OF_REGIONS = tuple(product((10, 50, 200), (10, 50, 200)))
WAYS: Mapping[Way, Sequence[tuple[int, int]]] = {
    "none": ((0, 0),),
    "aqe": tuple((0, n) for n in EXPANDED),
    "alpha-qe": tuple((0, n) for n in EXPANDED),
    "diffusion": OF_IMAGES,
    "fsr": OF_IMAGES,
    "offline": OF_IMAGES,
    "rmatch": ((0, 0),),
    "regional": OF_REGIONS,
    "regional-fsr": OF_REGIONS,
}

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Collection:
    """The pictures of all groups, described in one way."""

    groups: NDArray[np.str_]
    vectors: Vectors


def main() -> None:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=["compact", "squeezenet1_1"])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--ways", default=",".join(WAYS))
    given = parser.parse_args()
    kinds, ways = given.kinds.split(","), given.ways.split(",")
    data = Path(os.environ["DFF_ONNX_DATA"])
    print(
        f"{datetime.date.today()}, {platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, ONNX Runtime {onnxruntime.__version__} on the CPU"
    )
    for name in given.networks:
        file = embedded_model() if name == "compact" else data / "models" / f"{name}.onnx"
        backbone = Backbone.open(file, None if name == "compact" else "/fires.7/Concat_output_0", threads=2)
        for kind, collection in described(data, backbone, kinds):
            table(name, kind, collection, {way: grid for way, grid in WAYS.items() if way in ("none", *ways)})


def described(data: Path, backbone: Backbone, kinds: Sequence[str]) -> Iterator[tuple[Kind, Collection]]:
    """The pictures, descriptor by descriptor; what votes in OS.EGM are the regions of FS.EGM."""
    pictures = [(group.name, one.picture) for group in read_icoseg(data / "icoseg").groups for one in group.pictures]
    groups = np.asarray([group for group, _ in pictures])
    others = [data / "photos" / path for path in walk_pictures(data / "photos")[:OTHERS]]
    salient: Describer | None = None
    for kind in [kind for kind in KINDS if kind in kinds or (kind == "fs-egm" and "os-egm" in kinds)]:
        if kind == "os-egm":
            assert salient is not None
            describer = with_votes(salient, [path for _, path in pictures])
        else:
            describer = Describer(backbone, DescriptorSettings(kind, SIZE))
            parts = np.concatenate([describer.part_vectors(describer.read(path)) for path in others])
            describer = replace(describer, whitening=learn_whitening(parts, None, SHRINKAGE))
            salient = describer if kind == "fs-egm" else salient
        found = [describer.describe(describer.read(path), str(path)) for _, path in pictures]
        # A picture in which nothing stands out is a region of its own.
        regions = [query_parts(one.vector, one.parts) for one in found]
        yield kind, Collection(groups, Vectors(np.stack([one.vector for one in found]), regions))


def with_votes(salient: Describer, paths: Sequence[Path]) -> Describer:
    """A describer of `os-egm` by the regions of all pictures."""
    found = [salient.describe(salient.read(path)) for path in paths]
    rows = np.asarray(normalized(np.concatenate([one.parts for one in found])), np.float32)
    owners = np.repeat(np.arange(len(found)), [len(one.parts) for one in found])
    scores = np.concatenate([one.scores for one in found])
    votes = RegionVotes(rows, owners, scores, katz_centrality(graph_of(rows, NEIGHBOURS)))
    of = ObjectVotes(votes, tuple(map(str, paths)), "none", NEIGHBOURS)
    return replace(salient, settings=DescriptorSettings("os-egm", SIZE, votes="0" * 64), votes=of)


def table(name: str, kind: Kind, collection: Collection, ways: Mapping[Way, Sequence[tuple[int, int]]]) -> None:
    """A line for each way, and what it has beyond similarity alone."""
    started, regions = time.perf_counter(), sum(len(one) for one in collection.vectors.parts)
    print(f"\n{name}, {kind}: {len(collection.groups)} pictures, {regions} regions")
    print(f"{'way':<18} {'mAP':>6} {'95 % interval':>17} {'more':>7}   neighbours and entries of both halves")
    plain: Figures | None = None
    for way, grid in ways.items():
        for rank in RANKS if way.endswith("fsr") else (100,):
            hows = [Reranking(way, rank, *counts) for counts in grid]
            figures, chosen = crossed(collection, hows)
            plain = figures if plain is None else plain
            interval = bootstrap_interval(100 * figures, np.ones(len(figures)), np.zeros(len(figures)))
            more = 100 * (figures - plain).mean()
            counts = ", ".join(f"{how.neighbours}/{how.entries}" for how in chosen)
            print(
                f"{hows[0].name:<18} {interval.estimate:6.2f}   {interval.low:6.2f} to {interval.high:5.2f} "
                f"{more:+7.2f}   {counts if len(grid) > 1 else '-'}",
                flush=True,
            )
    print(f"{time.perf_counter() - started:.0f} s")


def crossed(collection: Collection, hows: Sequence[Reranking]) -> tuple[Figures, list[Reranking]]:
    """Every query's average precision by counts that were chosen on the other half of the groups."""
    half = np.isin(collection.groups, np.unique(collection.groups)[::2])
    every = np.stack([precisions(collection, how) for how in hows])
    figures, chosen = np.empty(len(half)), list[Reranking]()
    for judged in (half, ~half):
        best = int(np.argmax(every[:, ~judged].mean(axis=1)))
        figures[judged] = every[best, judged]
        chosen.append(hows[best])
    return figures, chosen


def precisions(collection: Collection, how: Reranking) -> Figures:
    """The average precision of every picture's query."""
    groups, found = collection.groups, list[float]()
    for query, order in enumerate(rankings(how, collection.vectors, collection.vectors)):
        others = order[order != query]
        hits = np.flatnonzero(groups[others] == groups[query])
        found.append(average_precision(hits.tolist(), len(hits)))
    return np.asarray(found)


if __name__ == "__main__":
    main()
