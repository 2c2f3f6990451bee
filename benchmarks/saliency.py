"""How much of a saliency map lies on the object, on iCoseg: feature and object saliency beside other maps.

    DFF_ONNX_DATA=... python benchmarks/saliency.py [compact|squeezenet1_1 ...]

Saliency precision: the sum of a map inside the mask, as a share of its sum over the picture; the mean over a group's
pictures, then over groups. All maps are made of the same pictures, 320 pixels on the longer side; what is below zero
counts as zero. Votes for object saliency come from all groups together, without labels. Whitenings keep 128 dimensions
of the regions of 300 other photographs. Class maps are those of each picture's first class.

Two more tables say what becomes of the maps: boxes of regions beside the mask's box, and mean average precision when
each picture asks for the others of its group.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import scipy
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.cam.class_maps import ranked_classes
from dff_onnx.concepts.directions import centre_prior
from dff_onnx.datasets.dataset import DataSet, box_around
from dff_onnx.datasets.icoseg import read_icoseg
from dff_onnx.errors import ModelError
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_size
from dff_onnx.maps import upsample
from dff_onnx.metrics import average_precision, bootstrap_interval, box_iou, paired_permutation, saliency_precision
from dff_onnx.records import Box, Grid
from dff_onnx.retrieval import Whitening, learn_whitening, mac, normalized, rank, region_vectors, rmac
from dff_onnx.retrieval.graphs import graph_of, katz_centrality
from dff_onnx.retrieval.saliency import RegionVotes, feature_saliency, salient_regions
from dff_onnx.runs.classifier import Classifier, open_classifier
from dff_onnx.runs.collect import checked_activations
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.discover import discover
from dff_onnx.runs.object_votes import ObjectVotes
from dff_onnx.runs.objects import NEIGHBOURS
from dff_onnx.runs.salient_parts import found_regions, saliency_map
from dff_onnx.runs.settings import Settings

SIZE = 320
OTHERS, DIMENSIONS = 300, 128  # photographs that the whitening is learnt on, and what it keeps

Map = NDArray[np.floating]
Voters = tuple[ObjectVotes, Whitening | None]


@dataclass
class Precisions:
    """By system: of every picture, and its group."""

    of: dict[str, list[float]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)

    def add(self, system: str, group: str, heat: Map, truth: NDArray[np.bool_]) -> None:
        """Judges a map `(h, w)`; a map without mass has precision 0."""
        full = np.clip(upsample(np.asarray(heat, np.float64), *truth.shape), 0, None)
        precision = saliency_precision(full, truth)
        self.of.setdefault(system, []).append(0.0 if np.isnan(precision) else precision)
        self.groups.setdefault(system, []).append(group)


@dataclass(frozen=True)
class Shown:
    """A picture with its mask and its activations."""

    group: str
    path: Path
    truth: NDArray[np.bool_]
    X: NDArray[np.float32]


def main() -> None:
    """Prints a table for each network."""
    data = Path(os.environ["DFF_ONNX_DATA"])
    print(
        f"{datetime.date.today()}, {platform.machine()}, 2-core AMD EPYC virtual machine, shared with other work; "
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__} on the CPU"
    )
    dataset = read_icoseg(data / "icoseg")
    for name in sys.argv[1:] or ["compact", "squeezenet1_1"]:
        started = time.perf_counter()
        file = embedded_model() if name == "compact" else data / "models" / f"{name}.onnx"
        layer = None if name == "compact" else "/fires.7/Concat_output_0"
        backbone = Backbone.open(file, layer, threads=2)
        describer = Describer(backbone, DescriptorSettings("fs-egm", SIZE))
        pictures = list(read(dataset, describer))
        whitening = learned(describer, data / "photos")
        votes = {"OS": (collected(pictures, None), None), "OS, whitened": (collected(pictures, whitening), whitening)}
        found = measure(pictures, votes, describer, file)
        print_table(name, found, time.perf_counter() - started)
        print_regions(pictures)
        print_retrieval(pictures, votes)


def measure(pictures: list[Shown], votes: Mapping[str, Voters], describer: Describer, file: Path) -> Precisions:
    """All systems on all pictures."""
    found = Precisions()
    for number, one in enumerate(pictures):
        grid = Grid(*one.X.shape[2:])
        found.add("uniform", one.group, np.ones((1, 1)), one.truth)
        found.add("centre", one.group, centre_prior(grid, 0.5), one.truth)
        found.add("sum of channels", one.group, one.X[0].sum(axis=0), one.truth)
        found.add("FS", one.group, saliency_map(one.X), one.truth)
        for system, (voters, white) in votes.items():
            found.add(system, one.group, saliency_map(one.X, voters, white, own=number), one.truth)
    add_class_maps(found, pictures, describer, file)
    add_discovered(found, pictures, describer)
    return found


def read(dataset: DataSet, describer: Describer) -> Iterator[Shown]:
    """The pictures, group by group."""
    for group in dataset.groups:
        for one in group.pictures:
            if one.mask is None:
                raise RuntimeError(f"{one.picture}: has no mask")
            truth = one.mask.read(read_size(one.picture)).on
            X = checked_activations(describer.read(one.picture).pixels[None], describer.activations)
            yield Shown(group.name, one.picture, truth, np.array(X))


def learned(describer: Describer, folder: Path) -> Whitening:
    """The whitening of the regions of other photographs."""
    paths = walk_pictures(folder)[:OTHERS]
    vectors = np.concatenate([describer.part_vectors(describer.read(folder / path)) for path in paths])
    # There are hardly more regions than channels: all directions of so few would be noise.
    return learn_whitening(vectors, DIMENSIONS)


def collected(pictures: list[Shown], whitening: Whitening | None) -> ObjectVotes:
    """The regions of all pictures."""
    salient = [salient_regions(feature_saliency(one.X)[0]) for one in pictures]
    parts = [region_vectors(one.X, of.windows, whitening)[0] for one, of in zip(pictures, salient, strict=True)]
    vectors = np.asarray(np.concatenate(parts), np.float32)
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    scores = np.concatenate([of.scores for of in salient])
    votes = RegionVotes(vectors, owners, scores, katz_centrality(graph_of(vectors, NEIGHBOURS)))
    return ObjectVotes(votes, tuple(str(one.path) for one in pictures), "none", NEIGHBOURS)


def add_class_maps(found: Precisions, pictures: list[Shown], describer: Describer, file: Path) -> None:
    """Of each picture's first class, where the network has a head."""
    try:
        classifier: Classifier = open_classifier(file)
    except ModelError:
        return
    for one in pictures:
        pixels = describer.read(one.path).pixels[None]
        A = np.moveaxis(np.asarray(classifier.backbone(pixels)), 1, 3)
        first = ranked_classes(classifier.mapping.scores(A), 1)
        found.add("CAM, first class", one.group, classifier.mapping.maps(A, first)[0, 0], one.truth)


def add_discovered(found: Precisions, pictures: list[Shown], describer: Describer) -> None:
    """DFF with one concept and the foreground, group by group."""
    truths = {one.path: one.truth for one in pictures}
    ways = {
        "DFF, k = 1, joint": Settings(k=1, resize=Resize("long", SIZE)),
        "foreground mode": Settings(foreground=True, resize=Resize("long", SIZE)),
    }
    for system, settings in ways.items():
        for folder in sorted({one.path.parent for one in pictures}):
            group = discover(folder, describer.activations, settings)
            for index, path in enumerate(group.paths):
                found.add(system, folder.name, group.maps(index)[0][0], truths[folder / path])


def print_table(name: str, found: Precisions, seconds: float) -> None:
    """Means, intervals, and what each map has beyond feature saliency."""
    number, groups = len(found.of["FS"]), len(set(found.groups["FS"]))
    print(f"\n{name}: saliency precision of {number} pictures in {groups} groups, {seconds:.0f} s")
    print(f"{'map':<20} {'mean':>7} {'95 % interval':>17} {'less FS':>9} {'p':>8} {'better in':>10}")
    reference, order = np.asarray(found.of["FS"]), np.argsort(found.groups["FS"], kind="stable")
    labels = np.asarray(found.groups["FS"])[order]
    for system, values in found.of.items():
        precisions, ones = np.asarray(values), np.ones(len(values))
        interval = bootstrap_interval(precisions, ones, found.groups[system])
        # Sorted by group, pictures of all systems are in one order: each goes through a group by its paths.
        ours = precisions[np.argsort(found.groups[system], kind="stable")]
        theirs = reference[order]
        p = paired_permutation(ours, ones, theirs, ones, labels)
        better = sum(ours[labels == one].mean() > theirs[labels == one].mean() for one in sorted(set(labels)))
        row = f"{system:<20} {interval.estimate:7.3f}   {interval.low:6.3f} to {interval.high:5.3f}"
        same = system == "FS"
        print(
            row if same else f"{row} {interval.estimate - reference_mean(found):+9.3f} {p:8.4f} {better:4} of {groups}"
        )
    means = {one: bootstrap_interval(of, np.ones(len(of)), found.groups[one]).estimate for one, of in found.of.items()}
    holds = means["OS"] > means["FS"] > means["uniform"]
    print(f"OS above FS above uniform: {'holds' if holds else 'does not hold'}")


def reference_mean(found: Precisions) -> float:
    """Of feature saliency."""
    return bootstrap_interval(found.of["FS"], np.ones(len(found.of["FS"])), found.groups["FS"]).estimate


def print_regions(pictures: list[Shown]) -> None:
    """Boxes of regions and the mask's box, for several settings of the mixture."""
    print("\nregions of FS      a picture   heaviest: IoU   best: IoU   best: > 0.5   cells of the map")
    truths = [box_around(one.truth) for one in pictures]
    for expansion, overlap in product((0.0, 0.1, 0.25, 0.5), (0.5, 0.6)):
        number, ious, shares = list[int](), list[list[float]](), list[float]()
        for one, truth in zip(pictures, truths, strict=True):
            F = feature_saliency(one.X)[0]
            found = salient_regions(F, expansion, overlap).windows
            down, across = one.truth.shape[0] / F.shape[0], one.truth.shape[1] / F.shape[1]
            corners = [(w.x * across, w.y * down, (w.x + w.width) * across, (w.y + w.height) * down) for w in found]
            boxes = [Box(*map(round, four)) for four in corners]
            ious.append([0.0 if truth is None else box_iou(box, truth) for box in boxes])
            number.append(len(found))
            shares += [w.height * w.width / F.size for w in found]
        first, best = np.mean([of[0] for of in ious]), np.asarray([max(of) for of in ious])
        print(
            f"lambda {expansion:4.2f} tau {overlap:3.1f} {np.mean(number):8.2f} {first:15.3f} {best.mean():11.3f} "
            f"{(best > 0.5).mean():13.3f} {np.mean(shares):18.3f}"
        )


def print_retrieval(pictures: list[Shown], votes: Mapping[str, Voters]) -> None:
    """Mean average precision of descriptors; a picture of the collection has no votes from its own regions."""
    print("\nmean average precision, each picture asks for the others of its group")
    white = votes["OS, whitened"][1]
    plain = {
        "MAC": [normalized(mac(one.X)) for one in pictures],
        "R-MAC": [rmac(one.X) for one in pictures],
        "R-MAC, whitened": [rmac(one.X, whitening=white) for one in pictures],
        "FS.EGM": [summed(one, None, None, 0) for one in pictures],
        "FS.EGM, whitened": [summed(one, None, white, 0) for one in pictures],
    }
    for system, (voters, of) in votes.items():
        name = system.replace("OS", "OS.EGM")
        plain[name] = [summed(one, voters, of, number) for number, one in enumerate(pictures)]
    groups = np.asarray([one.group for one in pictures])
    for system, rows in plain.items():
        vectors = np.asarray(np.concatenate(rows), np.float32)
        figures = list[float]()
        for query, order in enumerate(np.asarray(rank(vectors, vectors, len(vectors)).indices)):
            others = order[order != query]
            hits = np.flatnonzero(groups[others] == groups[query])
            figures.append(average_precision(hits.tolist(), len(hits)))
        print(f"{system:<20} {np.mean([np.mean(np.asarray(figures)[groups == one]) for one in np.unique(groups)]):.3f}")


def summed(one: Shown, votes: ObjectVotes | None, whitening: Whitening | None, own: int) -> NDArray[np.float32]:
    """The maxima of a picture's regions added up, `(1, d)`."""
    windows = found_regions(one.X, votes, whitening, own).windows
    total: NDArray[np.float32] = normalized(region_vectors(one.X, windows, whitening).sum(axis=1))
    return total


if __name__ == "__main__":
    with single_threaded_blas():
        main()
