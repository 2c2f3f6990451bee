"""A folder's pictures become pooled activations: one vector a picture. The activations themselves are never kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, ModelError, NoImagesError
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.images import Picture, Resize, read_picture
from dff_onnx.linear_head import Pool, pooled
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.features_file import Features, read_settings, write_features
from dff_onnx.report.found import Failure
from dff_onnx.runs.output_file import check_output
from dff_onnx.runs.parts import Batch, channels_last, in_parts, stacked

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Extracted:
    """The features of a folder.

    Attributes:
        features: of the pictures that can be used, in sorted order.
        device: the network really ran on.
        failures: pictures that could not be used.
    """

    features: Features
    device: str
    failures: tuple[Failure, ...]


def write_folder_features(
    folder: str | Path,
    out: str | Path,
    activations: Activations,
    resize: Resize | None = None,
    pool: Pool = "mean",
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Extracted:
    """Extracts a folder's features and writes them to one file.

    Args:
        folder, activations, resize, pool, progress: as in `extract`.
        out: the file; the same call on it writes the same bytes again.
        overwrite: replace features of another folder, network, pooling or size.

    Raises:
        UsageError: when `out` holds something else.
        OutputError: when it cannot be written.
        NoImagesError, ModelError: as `extract`.
    """
    folder, out, resize = Path(folder), Path(out), resize or Resize()
    wanted = {
        "folder": printable(folder.resolve()),
        "fingerprint": activations.fingerprint.to_dict(),
        "pool": pool,
        "resize": resize.to_dict(),
    }
    check_output(out, wanted, read_settings, "features", overwrite)
    extracted = extract(folder, activations, resize, pool, progress)
    write_features(out, extracted.features)
    return extracted


def extract(
    folder: str | Path,
    activations: Activations,
    resize: Resize | None = None,
    pool: Pool = "mean",
    progress: Progress | None = None,
) -> Extracted:
    """Pools the activations of a folder's pictures. They may be negative.

    Args:
        folder: of pictures, looked through with its subfolders, or one picture.
        activations: the network, as `Backbone.open` gives it.
        resize: of the pictures; 224 x 224 by default.
        pool: of the places: their mean, their largest value, or their sum.
        progress: follows the pictures.

    Raises:
        UsageError: when there is no such folder.
        NoImagesError: when not one picture in it can be used.
        ModelError: when activations are not finite.
    """
    folder, resize, progress = Path(folder), resize or Resize(), progress or Silent()
    paths, root = walk_pictures(folder), root_of(folder)
    progress.start("reading", len(paths))
    rows = pooled_rows(paths, lambda path: read_picture(root / path, resize), activations, pool, progress)
    failures = tuple(Failure(printable(path), error.reason) for path, error in rows.failures)
    if not rows.items:
        first = f"{failures[0].path}: {failures[0].reason}"
        raise NoImagesError(f"{folder}: not one of {len(paths)} pictures can be used; the first: {first}")
    features = Features(
        values=rows.values,
        paths=tuple(map(printable, rows.items)),
        fingerprint=activations.fingerprint,
        pool=pool,
        resize=resize,
        folder=printable(folder.resolve()),
    )
    return Extracted(features, activations.device, failures)


@dataclass(frozen=True, slots=True, eq=False)
class PooledRows(Generic[T]):
    """Pooled activations of anything that can be read as a picture.

    Attributes:
        values: `(n, c)` float32; `(0, 0)` where nothing could be read.
        items: those that could, one a row.
        failures: the others.
    """

    values: NDArray[np.float32]
    items: list[T]
    failures: list[tuple[T, ImageError]]


def pooled_rows(
    items: Sequence[T], read: Callable[[T], Picture], activations: Activations, pool: Pool, progress: Progress
) -> PooledRows[T]:
    """Reads, runs the network, pools; in the order of the items.

    Raises:
        ModelError: when activations are not finite.
    """

    def look(_: Batch[T], features: Array) -> list[NDArray[np.float32]]:
        return list(to_numpy(pooled(features, pool)))

    rows, kept, failures = list[NDArray[np.float32]](), list[T](), list[tuple[T, ImageError]]()
    for item, found in streamed(items, read, activations, look, progress):
        if isinstance(found, ImageError):
            failures.append((item, found))
        elif not np.isfinite(found).all():
            raise ModelError(
                f"layer {activations.fingerprint.layer}: has activations that are not finite; take another layer"
            )
        else:
            rows.append(found.astype(np.float32, copy=False))
            kept.append(item)
    return PooledRows(np.stack(rows) if rows else np.zeros((0, 0), np.float32), kept, failures)


def streamed(
    items: Sequence[T],
    read: Callable[[T], Picture],
    activations: Activations,
    look: Callable[[Batch[T], Array], Sequence[R]],
    progress: Progress,
) -> Iterator[tuple[T, R | ImageError]]:
    """Each item with what `look` makes of its activations, or why it cannot be read; a part's failures come first.

    Args:
        items, read, progress: see `in_parts`; an ImageError takes the result's place.
        activations: the network.
        look: from a few items with their pictures, and their activations `(n, h, w, c)`, to one result for each.
    """

    def work(batch: Batch[T]) -> list[tuple[T, R]]:
        found = look(batch, channels_last(activations(stacked(batch))))
        return list(zip((item for item, _ in batch), found, strict=True))

    for part in in_parts(items, read, work, activations.workers, progress):
        yield from part.failures
        for done in part.made:
            yield from done
