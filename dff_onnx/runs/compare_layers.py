"""Which layer, which k: the layers of a network side by side on a folder's pictures (the question of DFF's fig. 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.backbone.graph import Candidate
from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.matching import agreement
from dff_onnx.errors import ImageError, NoImagesError, UsageError
from dff_onnx.factorization import factorize
from dff_onnx.files import root_of, walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.progress import Progress, Silent

# Cells of one picture that are looked at; finer grids are sampled evenly.
MOST_CELLS = 400
# Starts of each factorization: enough to compare layers.
STARTS = 4
# Cells a side that a recommended layer's grid must have: a coarser one cannot show where things are.
FINE = 12
# Mean cosine from which the concepts of two halves are called alike.
STABLE = 0.9
# A layer of which more channels than these never answer is not recommended.
MOST_DEAD = 0.5


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """What one layer makes of the pictures.

    Attributes:
        name, channels, height, width, stride: of the layer, the grid at the size compared.
        zeros: share of activations that are 0.
        dead: share of channels that answer to no picture.
        effective_rank: exponential of the entropy of the normalised squared singular values of `A` (Roy, Vetterli
            2007): how many directions the activations really use.
        ks: the numbers of concepts tried.
        explained: share of `||A||^2` that so many concepts explain.
        stability: mean cosine between the concepts of the even and of the odd pictures, matched one to one.
        milliseconds: per picture, from the pixels up to this layer.
    """

    name: str
    channels: int
    height: int
    width: int
    stride: int
    zeros: float
    dead: float
    effective_rank: float
    ks: tuple[int, ...]
    explained: tuple[float, ...]
    stability: tuple[float, ...]
    milliseconds: float

    def at(self, k: int) -> tuple[float, float]:
        """Explained share and stability with k concepts."""
        i = self.ks.index(k)
        return self.explained[i], self.stability[i]

    def stable_k(self) -> int:
        """The most concepts tried up to which the two halves agree."""
        first = next((i for i, stable in enumerate(self.stability) if stable < STABLE), len(self.ks))
        return self.ks[max(first - 1, 0)]


@dataclass(frozen=True, slots=True)
class LayerComparison:
    """Layers side by side.

    Attributes:
        layers: in the order of the network.
        recommended: the name of one.
        k: the most concepts that two halves of the pictures agree on there.
        reason: why, in one sentence.
        pictures: how many were looked at.
    """

    layers: tuple[LayerFigures, ...]
    recommended: str
    k: int
    reason: str
    pictures: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def compare_layers(
    folder: str | Path,
    candidates: Sequence[Candidate],
    open_layer: Callable[[str], Activations],
    *,
    resize: Resize | None = None,
    ks: Sequence[int] = (1, 2, 3, 4, 6, 8),
    pictures: int = 64,
    progress: Progress | None = None,
) -> LayerComparison:
    """Runs a folder's pictures through each of some layers and looks at what can be factorized there.

    Args:
        folder: of pictures.
        candidates: the layers, as `candidate_layers` gives them.
        open_layer: from a layer's name to a backbone that ends there.
        resize: of the pictures; to 224 x 224 by default.
        ks: numbers of concepts to try.
        pictures: how many to take, evenly from the sorted list.
        progress: follows the layers.

    Raises:
        UsageError: when there are fewer than 2 pictures to compare halves of, or k is impossible.
        NoImagesError: when fewer than 2 can be used.
        ModelError: when the network fails.
    """
    folder, resize, progress = Path(folder), resize or Resize(), progress or Silent()
    if pictures < 2:
        raise UsageError(f"pictures: halves are compared, so 2 are needed at least, found {pictures}")
    seen = _pictures(folder, pictures, resize)
    figures: list[LayerFigures] = []
    for candidate in candidates:
        progress.start(f"layer {len(figures) + 1} of {len(candidates)}", len(seen))
        halves, spent, grid = _rows(open_layer(candidate.name), seen, progress)
        figures.append(_figures(candidate, grid, halves, ks, 1000 * spent / len(seen)))
    chosen, why = recommend(figures)
    k = chosen.stable_k()
    reason = f"{why}; up to {k} concepts the two halves of the pictures agree" if k > 1 else why
    return LayerComparison(tuple(figures), chosen.name, k, reason, len(seen))


def recommend(figures: Sequence[LayerFigures]) -> tuple[LayerFigures, str]:
    """The deepest layer whose grid is fine enough and whose channels live, and why.

    On iCoseg this rule alone chose as well as any combination of it with stability, spatial coherence, contact with
    the border or rank (docs/models.md has the figures).
    """
    fine = [f for f in figures if min(f.height, f.width) >= FINE]
    living = [f for f in fine if f.dead <= MOST_DEAD]
    if living:
        chosen = living[-1]
        behind = figures[figures.index(chosen) + 1 :]
        reason = f"the deepest layer with a grid of {FINE} cells or more a side ({chosen.height}x{chosen.width})"
        if behind:
            why = "too coarse" if min(behind[0].height, behind[0].width) < FINE else "mostly dead on these pictures"
            reason += f"; {behind[0].name} behind it is {why} ({behind[0].height}x{behind[0].width})"
        return chosen, reason
    if fine:
        chosen = min(fine, key=lambda f: f.dead)
        return chosen, f"most channels are dead in every fine layer; here the fewest ({chosen.dead:.0%})"
    chosen = max(figures, key=lambda f: min(f.height, f.width))
    return chosen, f"no layer has {FINE} cells a side at this size; this has the finest grid. Try a larger --size"


def _pictures(folder: Path, most: int, resize: Resize) -> list[NDArray[np.uint8]]:
    """Pixels `(1, height, width, 3)` of evenly chosen pictures; those that cannot be read are passed over."""
    paths = walk_pictures(folder)
    chosen = [paths[i * len(paths) // min(most, len(paths))] for i in range(min(most, len(paths)))]
    found: list[NDArray[np.uint8]] = []
    for path in chosen:
        try:
            found.append(read_picture(root_of(folder) / path, resize).pixels[None])
        except ImageError:
            continue
    if len(found) < 2:
        raise NoImagesError(f"{folder}: {len(found)} of {len(chosen)} pictures can be used, and halves are compared")
    return found


Rows = NDArray[np.float32]


def _rows(
    activations: Activations, seen: Sequence[NDArray[np.uint8]], progress: Progress
) -> tuple[tuple[Rows, Rows], float, tuple[int, int]]:
    """Rows of `A` of the even and of the odd pictures, the seconds that the network took, and the first grid."""
    halves: tuple[list[Rows], list[Rows]] = ([], [])
    activations(seen[0])  # the first call allocates
    spent, grid = 0.0, (0, 0)
    for number, pixels in enumerate(seen):
        begun = time.perf_counter()
        values = activations(pixels)
        spent += time.perf_counter() - begun
        planes = np.asarray(to_numpy(values), np.float32)[0]
        grid = grid if number else planes.shape[1:]
        cells = planes.reshape(len(planes), -1).T
        take = np.linspace(0, len(cells) - 1, min(MOST_CELLS, len(cells))).round().astype(int)
        halves[number % 2].append(np.ascontiguousarray(cells[take]))
        progress.advance()
    return (np.concatenate(halves[0]), np.concatenate(halves[1])), spent, grid


def _figures(
    candidate: Candidate, grid: tuple[int, int], halves: tuple[Rows, Rows], ks: Sequence[int], milliseconds: float
) -> LayerFigures:
    A = np.concatenate(halves)
    # Fewer rows or columns than concepts: there is nothing to find.
    limit = min(*A.shape, *(len(half) for half in halves))
    tried = tuple(k for k in ks if k <= limit)
    explained, stability = [], []
    for k in tried:
        explained.append(1 - factorize(A, k, starts=STARTS).loss)
        one, other = (np.asarray(factorize(half, k, starts=STARTS).W) for half in halves)
        stability.append(agreement(one, other))
    return LayerFigures(
        name=candidate.name,
        channels=candidate.channels,
        height=grid[0],
        width=grid[1],
        stride=candidate.stride,
        zeros=float((A == 0).mean()),
        dead=float((A.max(axis=0) <= 0).mean()),
        effective_rank=effective_rank(A),
        ks=tried,
        explained=tuple(explained),
        stability=tuple(stability),
        milliseconds=milliseconds,
    )


def effective_rank(A: NDArray[np.floating[Any]]) -> float:
    """How many directions a matrix really uses (Roy and Vetterli 2007, on squared singular values).

    >>> import numpy as np
    >>> round(effective_rank(np.eye(5)), 3)
    5.0
    """
    eigenvalues = np.clip(np.linalg.eigvalsh((A.T @ A).astype(np.float64)), 0, None)
    shares = eigenvalues[eigenvalues > 0] / max(float(eigenvalues.sum()), np.finfo(np.float64).tiny)
    return float(np.exp(-(shares * np.log(shares)).sum()))
