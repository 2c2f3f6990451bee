"""A folder's pictures become a whitening of their descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.differences import told_differences
from dff_onnx.errors import ImageError, RefusedError, UsageError
from dff_onnx.files import printable, root_of, walk_pictures, write_atomically
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.records import Fingerprint
from dff_onnx.report.found import Failure
from dff_onnx.report.whitening_file import WhiteningFile, read_wanted, whitening_bytes
from dff_onnx.retrieval import Whitening, learn_whitening
from dff_onnx.retrieval.whitening import check_shrinkage
from dff_onnx.runs.collect import none_usable
from dff_onnx.runs.descriptors import Describer, DescriptorSettings, Floats
from dff_onnx.runs.output_file import check_output
from dff_onnx.threads import in_order

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A whitening that was learnt and written.

    Attributes:
        file: as written.
        device: the network really ran on.
        failures: pictures that could not be used.
    """

    file: WhiteningFile
    device: str
    failures: tuple[Failure, ...]


def write_whitening(
    folder: str | Path,
    out: str | Path,
    describer: Describer,
    dimensions: int | None = None,
    *,
    shrinkage: float = 0.0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Learned:
    """Learns a whitening on the parts of a folder's pictures and writes it to one file.

    Args:
        folder: of other pictures than will be searched; looked through with its subfolders.
        out: the file; the same call on it writes the same bytes again.
        describer: of the pictures, without a whitening.
        dimensions: to keep; None for all that vary.
        shrinkage: see `learn_whitening`.
        overwrite: replace a whitening of another folder, network, descriptor, number of dimensions or shrinkage.
        progress: follows the pictures.

    Raises:
        UsageError: when `out` holds something else, or fewer dimensions vary.
        OutputError: when it cannot be written.
        NoImagesError: when not one picture can be used.
        ModelError: when activations are negative or not finite.
        ArrayError: when there are fewer than two parts, or all are the same.

    >>> import tempfile
    >>> from dff_onnx.backbone.session import Backbone
    >>> examples = Path(__file__).parents[2] / "examples" / "rodents"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     describer = Describer(Backbone.open(threads=1), DescriptorSettings("spoc", size=64))
    ...     made = write_whitening(examples, Path(folder) / "spoc.npz", describer, dimensions=4)
    >>> made.file.whitening.projection.shape
    (4, 384)
    """
    folder, out, progress = Path(folder), Path(out), progress or Silent()
    if describer.whitening is not None:
        raise UsageError("a whitening is learnt on descriptors that are not whitened yet")
    if dimensions is not None and dimensions < 1:
        raise UsageError(f"whitening: at least one dimension is needed, found {dimensions}")
    check_shrinkage(shrinkage)
    name, fingerprint = printable(folder.resolve()), describer.activations.fingerprint
    wanted = {
        "fingerprint": fingerprint.to_dict(),
        "descriptor": describer.settings.kind,
        "settings": describer.settings.to_dict(),
        "folder": name,
        "dimensions": dimensions,
        "shrinkage": float(shrinkage),
    }
    check_output(out, wanted, read_wanted, "a whitening", overwrite)
    parts, failures = _parts(folder, describer, progress)
    vectors = np.concatenate(parts)
    progress.start("whitening")
    with single_threaded_blas():
        learned = learn_whitening(vectors, dimensions, shrinkage)
    file = WhiteningFile(
        whitening=Whitening(np.asarray(learned.mean, np.float32), np.asarray(learned.projection, np.float32)),
        fingerprint=fingerprint,
        descriptor=describer.settings.kind,
        settings=describer.settings.to_dict(),
        folder=name,
        pictures=len(parts),
        vectors=len(vectors),
        dimensions=dimensions,
        shrinkage=float(shrinkage),
    )
    write_atomically(out, whitening_bytes(file))
    return Learned(file, describer.activations.device, failures)


def check_whitening(file: WhiteningFile, fingerprint: Fingerprint, settings: DescriptorSettings, name: str) -> None:
    """Refuses a whitening of other descriptors than it shall meet.

    Args:
        file: as read.
        fingerprint: of the network.
        settings: of the descriptors.
        name: of the file, for the sentence.

    Raises:
        RefusedError: naming what differs.
    """
    wanted = {"descriptor": settings.kind, "settings": settings.to_dict(), "fingerprint": fingerprint.to_dict()}
    there = {name: value for name, value in file.wanted().items() if name in wanted}
    if there != wanted:
        raise RefusedError(
            f"{name}: is a whitening of other descriptors ({told_differences(there, wanted)}); take its settings, or "
            "learn one with these: `dff-onnx whiten`"
        )


def described_in_order(
    items: Sequence[T], work: Callable[[T], R], describer: Describer, progress: Progress
) -> Iterator[tuple[T, R | ImageError]]:
    """What `work` makes of each item, or why its picture cannot be used; in order, side by side.

    Any number of workers gives the same results: each picture goes through the network alone.

    Args:
        items: to work on.
        work: may raise an ImageError.
        describer: its network says how many may be worked on side by side.
        progress: is told of every item; the stage is the caller's.
    """

    def one(item: T) -> tuple[T, R | ImageError]:
        try:
            return item, work(item)
        except ImageError as error:
            return item, error

    return followed(in_order(items, one, describer.activations.workers), progress)


def _parts(folder: Path, describer: Describer, progress: Progress) -> tuple[list[Floats], tuple[Failure, ...]]:
    """The parts of each picture that can be used."""
    paths, root = walk_pictures(folder), root_of(folder)
    progress.start("reading", len(paths))
    parts, failures = list[Floats](), list[ImageError]()
    for path, found in described_in_order(
        paths, lambda path: describer.part_vectors(describer.read(root / path)), describer, progress
    ):
        if isinstance(found, ImageError):
            failures.append(ImageError(path, found.reason))
        else:
            parts.append(found)
    if not parts:
        raise none_usable(folder, failures)
    return parts, tuple(Failure(printable(error.path), error.reason) for error in failures)
