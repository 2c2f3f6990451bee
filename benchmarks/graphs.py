"""Ranking on the graph of a large made-up collection: how long, how much memory, how good, from 1000 nodes to 500 000.

    python benchmarks/graphs.py [images ...] [--views N] [--faiss] [--plot FILE]

Images belong to clusters that lie on curves in 128 dimensions, as views of a thing do; each has five regions of which
two are its thing and three are one of a thousand backgrounds. Queries are regions of views that are not in the
collection; what should be found are images of their cluster. A cluster has `--views` images, 50 by default: the fewer
clusters, the fewer eigenvalues tell them apart. Neighbours are exact, or by faiss's inverted lists (then
their recall is printed). The last lines are exponents: seconds ~ nodes ^ p.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import scipy
from numpy.typing import NDArray

from dff_onnx.metrics import average_precision, positive_ranks
from dff_onnx.retrieval import normalized, rank
from dff_onnx.retrieval.graphs import (
    Graph,
    PooledSpectrum,
    Spectrum,
    diffuse,
    katz_centrality,
    mutual_graph,
    nearest_neighbours,
    pooled_scores,
    pooling_weights,
    query_vector,
    spectral_scores,
    spectrum_of,
)
from dff_onnx.retrieval.ranking import Ranking

CHANNELS, REGIONS, QUERIES = 128, 5, 40
VIEWS = 50  # images of a cluster
NEAREST = 10_000  # regions that a diffusion which looks at some of them looks at
NEIGHBOURS, ENTRIES, RANK = 50, 200, 500
NOISE = 0.8
T = TypeVar("T")
Floats = NDArray[np.float32]


@dataclass
class Figures:
    """Of one size."""

    nodes: int
    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, work: Callable[[], T]) -> T:
        """Does it and says how long it took."""
        start = time.perf_counter()
        made = work()
        self.seconds[name] = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"  {name:<34}{self.seconds[name]:>10.2f} s   peak {peak:6.2f} GB", flush=True)
        return made


def main() -> None:
    """Prints figures for every size, then how they grow."""
    asked = argparse.ArgumentParser()
    asked.add_argument("images", type=int, nargs="*", default=[200, 1000, 5000, 20000, 100000])
    asked.add_argument("--views", type=int, default=VIEWS)
    asked.add_argument("--faiss", action="store_true")
    asked.add_argument("--plot", type=Path)
    told = asked.parse_args()
    print(
        f"{platform.machine()}, 2 cores of an AMD EPYC; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}; {datetime.date.today()}"
    )
    each = [measured(images, told.views, told.faiss) for images in told.images]
    for name in each[0].seconds if len(each) > 1 else ():
        x, y = np.log([one.nodes for one in each]), np.log([one.seconds[name] for one in each])
        print(f"{name:<36}seconds ~ nodes ^ {np.polyfit(x, y, 1)[0]:.2f}, over the last step {slope(x, y):.2f}")
    if told.plot:
        plot(each, told.plot)


def plot(each: list[Figures], file: Path) -> None:
    """Seconds against nodes, a curve for each step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in each[0].seconds:
        axes.plot([one.nodes for one in each], [one.seconds[name] for one in each], "o-", ms=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="regions", ylabel="seconds")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file)


def slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Between the two largest sizes."""
    return float((y[-1] - y[-2]) / (x[-1] - x[-2]))


def measured(images: int, views: int, by_faiss: bool) -> Figures:
    """One size, from vectors to queries."""
    vectors, owners, clusters, queries, asked = collection(images, views)
    figures = Figures(len(vectors))
    what = f"{len(vectors)} regions of {CHANNELS} dimensions, {NEIGHBOURS} neighbours"
    print(f"\n{images} images in clusters of {views}, {what}", flush=True)
    near = figures.timed("neighbours", lambda: neighbours(vectors, by_faiss))
    if by_faiss:
        some = np.random.default_rng(1).choice(len(vectors), min(200, len(vectors)), replace=False)
        exact = rank(vectors[some], vectors, NEIGHBOURS).indices
        found = np.mean([len(np.intersect1d(a, b)) for a, b in zip(near.indices[some], exact, strict=True)])
        print(f"  recall of the {NEIGHBOURS} nearest: {found / NEIGHBOURS:.4f}")
    graph = figures.timed("graph", lambda: mutual_graph(near.indices, near.scores))
    figures.timed("centrality", lambda: katz_centrality(graph))
    rank_ = min(RANK, len(vectors) // 4)
    spectrum = figures.timed(f"spectrum, r = {RANK}", lambda: spectrum_of(graph, rank_, dtype=np.float32))
    sizes = np.bincount(spectrum.component)
    print(f"  {graph.edges} edges, {len(sizes)} components, the largest of {sizes.max()} nodes; r = {rank_}")
    ways(figures, vectors, owners, clusters, graph, spectrum, queries, asked)
    return figures


def ways(
    figures: Figures,
    vectors: Floats,
    owners: NDArray[np.int64],
    clusters: NDArray[np.int64],
    graph: Graph,
    spectrum: Spectrum,
    queries: Floats,
    asked: NDArray[np.int64],
) -> None:
    """Mean average precision and milliseconds of a query, of each way of ranking."""
    weights, images = pooling_weights(vectors, owners), len(clusters)
    pooled = PooledSpectrum.of(spectrum, weights, owners, images)
    k = min(ENTRIES, len(vectors))
    found: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    for query, cluster in zip(queries, asked, strict=True):
        near = rank(query, vectors, min(NEAREST, len(vectors)))
        y = query_vector(Ranking(near.scores[:, :k], near.indices[:, :k]), len(vectors), k)
        for name, answer in _answers(graph, spectrum, pooled, near, y).items():
            start = time.perf_counter()
            scores = answer()
            spent.setdefault(name, []).append(time.perf_counter() - start)
            order = np.argsort(-scores, kind="stable")
            true = np.flatnonzero(clusters == cluster)
            ranks = positive_ranks(order, true, np.empty(0, np.int64))
            found.setdefault(name, []).append(average_precision(ranks, len(true)))
    for name, values in found.items():
        middle = float(np.median(spent[name]))
        figures.seconds[f"a query, {name}"] = middle
        print(f"  {name:<20} mAP {100 * np.mean(values):6.2f}   {1000 * middle:9.2f} ms a query", flush=True)


def _answers(
    graph: Graph, spectrum: Spectrum, pooled: PooledSpectrum, near: Ranking, y: NDArray[np.float64]
) -> dict[str, Callable[[], NDArray[np.float64]]]:
    """Each way's scores of all images."""

    def by_image(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(pooled_scores(scores, pooled.weights, pooled.owners, pooled.images))

    def cosine() -> NDArray[np.float64]:
        first, scores = near.indices[0, :ENTRIES], near.scores[0, :ENTRIES]
        found = np.bincount(pooled.owners[first], weights=scores, minlength=pooled.images)
        return np.asarray(found, np.float64)

    return {
        "cosine": cosine,
        "diffusion": lambda: by_image(diffuse(graph, y).x),
        "diffusion, nearest": lambda: by_image(_diffused_nearest(graph, y, near)),
        "spectral": lambda: by_image(spectral_scores(spectrum, y)),
        "spectral, by image": lambda: pooled.scores(y),
    }


def _diffused_nearest(graph: Graph, y: NDArray[np.float64], near: Ranking) -> NDArray[np.float64]:
    """Diffusion among the nodes nearest to the query alone; the graph's part is cut out for each query."""
    nodes = np.sort(near.indices[0])
    x = np.zeros(graph.nodes)
    x[nodes] = diffuse(graph.part(nodes), y[nodes]).x
    return x


def collection(
    images: int, views: int
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Vectors of regions, their images, clusters of the images, queries `(m, 1, c)` and their clusters."""
    rng = np.random.default_rng(0)
    count = max(4, images // views)
    clusters = np.sort(rng.integers(0, count, images))
    axes = rng.standard_normal((count, 3, CHANNELS)).astype(np.float32)
    backgrounds = rng.standard_normal((1000, CHANNELS)).astype(np.float32)

    def seen(which: NDArray[np.int64]) -> Floats:
        turn = rng.uniform(0, np.pi, len(which)).astype(np.float32)
        round_ = np.stack([np.cos(turn), np.sin(turn), np.full_like(turn, 0.3)], axis=1)
        noise = rng.standard_normal((len(which), CHANNELS)).astype(np.float32)
        made: Floats = np.einsum("na,nac->nc", round_, axes[which]) + NOISE * noise
        return made

    vectors = np.empty((images, REGIONS, CHANNELS), np.float32)
    for region in range(REGIONS):
        behind = backgrounds[rng.integers(0, 1000, images)]
        noise = rng.standard_normal((images, CHANNELS)).astype(np.float32)
        vectors[:, region] = seen(clusters) if region < 2 else behind + 0.7 * noise
    asked = rng.choice(np.unique(clusters), min(QUERIES, len(np.unique(clusters))), replace=False)
    queries = normalized(seen(asked))[:, None]
    flat = normalized(vectors.reshape(-1, CHANNELS)).astype(np.float32)
    return flat, np.repeat(np.arange(images), REGIONS), clusters, queries.astype(np.float32), asked


def neighbours(vectors: Floats, by_faiss: bool) -> Ranking:
    """The nearest of every vector."""
    return inverted(vectors, vectors, NEIGHBOURS) if by_faiss else nearest_neighbours(vectors, NEIGHBOURS)


def inverted(vectors: Floats, queries: Floats, k: int) -> Ranking:
    """Neighbours by faiss's inverted lists, a few lists looked at."""
    faiss: Any = importlib.import_module("faiss")

    lists = max(1, round(2 * len(vectors) ** 0.5))
    index = faiss.index_factory(CHANNELS, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // (64 * lists))])
    index.add(vectors)
    index.nprobe = max(8, lists // 10)
    scores, indices = index.search(queries, min(k, len(vectors)))
    return Ranking(scores, indices.astype(np.int64))


if __name__ == "__main__":
    main()
