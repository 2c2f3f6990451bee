"""A folder's pictures become pooled activations: one vector a picture. The activations themselves are never kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, ModelError, NoImagesError
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.images import Picture, Resize, read_picture
from dff_onnx.linear_head import Pool, pooled
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Grid
from dff_onnx.report.features_file import Features, read_settings, write_features
from dff_onnx.report.found import Failure
from dff_onnx.runs.gather import Block, Gathered, sizes_of
from dff_onnx.runs.output_file import check_output
from dff_onnx.runs.parts import Batch, channels_last, stacked


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
    rows = pooled_rows(
        Gathered(paths), lambda place: read_picture(root / paths[place], resize), activations, pool, progress
    )
    failures = tuple(Failure(printable(error.path), error.reason) for error in rows.failed.values())
    if not rows.places:
        first = f"{failures[0].path}: {failures[0].reason}"
        raise NoImagesError(f"{folder}: not one of {len(paths)} pictures can be used; the first: {first}")
    features = Features(
        values=rows.values,
        paths=tuple(printable(paths[place]) for place in rows.places),
        fingerprint=activations.fingerprint,
        pool=pool,
        resize=resize,
        folder=printable(folder.resolve()),
    )
    return Extracted(features, activations.device, failures)


@dataclass(frozen=True, slots=True, eq=False)
class PooledRows:
    """Pooled activations of pictures, known by their places in a list.

    Attributes:
        values: `(n, c)` float32; `(0, 0)` where nothing could be read.
        places: of those that could, one a row.
        failed: the others.
    """

    values: NDArray[np.float32]
    places: list[int]
    failed: Mapping[int, ImageError]


def pooled_rows(
    rows: Gathered, read: Callable[[int], Picture], activations: Activations, pool: Pool, progress: Progress
) -> PooledRows:
    """Reads, runs the network, pools; in the order of the list.

    Args:
        rows: of the list; what is there already is not made again.
        read, progress: see `Gathered.fill`.
        activations: the network.
        pool: of the places of a picture.

    Raises:
        ModelError: when activations are not finite.
        OutputError: when rows cannot be kept.
    """

    def look(batch: Batch[int]) -> Block:
        features = channels_last(activations(stacked(batch)))
        values = np.asarray(to_numpy(pooled(features, pool)), np.float32)
        if not np.isfinite(values).all():
            raise ModelError(
                f"layer {activations.fingerprint.layer}: has activations that are not finite; take another layer"
            )
        return Block(values, sizes_of(batch, Grid(*features.shape[1:3])))

    rows.fill(read, look, activations.workers, progress)
    values = rows.matrix()
    return PooledRows(np.zeros((0, 0), np.float32) if values is None else values, rows.places, rows.failed)
