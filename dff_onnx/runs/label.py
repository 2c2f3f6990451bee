"""`dff-onnx label`: a person looks at a few pictures of each concept, and names it; the names hold for all pictures.

DFF, section 4.5: five pictures were enough to name the concepts of a set.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dff_onnx.concepts.bank import Bank, bank_bytes, read_bank
from dff_onnx.errors import ImageError, RefusedError, UsageError
from dff_onnx.files import open_atomically, write_atomically
from dff_onnx.images import read_original
from dff_onnx.plain_text import is_plain
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.report.contact_sheet import Row, contact_sheet, tile_side
from dff_onnx.report.found import ConceptFound
from dff_onnx.report.labels_file import Labels, checked_parts, labels_json, read_labels
from dff_onnx.report.overlays import Pixels, encode_png, overlay
from dff_onnx.report.page.fill import renamed
from dff_onnx.report.page.layout import pages_in
from dff_onnx.report.palette import from_hexadecimal
from dff_onnx.report.results import boxes_csv, coco_json, strict_json
from dff_onnx.runs.stored import RESULTS, StoredRun

LABELS = "labels.json"
SHEET = "label/contact.png"
TEMPLATE = "label/labels.json"
BANK = "bank.npz"
LARGEST_PAGE = 2**25  # bytes of a page of a report; those of a run have at most 10 million
GONE = 40  # grey of a picture that is not there

# A concept, and what was wrong with the answer before, go in; names with commas between them come out.
Ask = Callable[[ConceptFound, str | None], str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet on disk.

    Attributes:
        path: of the PNG file.
        chosen: for each concept, the places of its pictures in the run, strongest first.
        missing: paths of pictures that are gone or cannot be read.
    """

    path: Path
    chosen: tuple[tuple[int, ...], ...]
    missing: tuple[str, ...]


def spanning(scores: Sequence[float], many: int) -> tuple[int, ...]:
    """Places of `many` scores that span their range: evenly spaced by rank from the highest to the lowest above zero.

    Of equal scores the first comes first; there are fewer where fewer are above zero.

    >>> spanning([0.1, 0.0, 1.0, 0.5, 0.2], 3)
    (2, 4, 0)
    """
    ranked = sorted((i for i, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])
    steps = min(many, len(ranked))
    return tuple(ranked[round(j * (len(ranked) - 1) / max(1, steps - 1))] for j in range(steps))


def check_shared(run: StoredRun) -> None:
    """Raises `UsageError` where each picture has concepts of its own, or classes: no name can be given to them."""
    if run.found.class_maps is not None:
        raise UsageError(f"{run.home}: has class maps, and classes have names; give a run of `dff-onnx run`")
    if not run.concepts:
        raise UsageError(
            f"{run.home}: was made with --per-image, so its concepts are not shared and a name would mean something "
            "else in every picture; make a run without --per-image"
        )


def write_sheet(run: StoredRun, show: int = 5, progress: Progress | None = None) -> Sheet:
    """Chooses pictures for each concept and draws them below the run's folder.

    Args:
        run: with shared concepts.
        show: pictures of a concept.
        progress: follows the concepts.

    Raises:
        UsageError: when concepts are not shared, `show` is below 1, or the pictures are gone.
        RefusedError: when the run is damaged.
        OutputError: when the sheet cannot be written.
    """
    check_shared(run)
    if show < 1:
        raise UsageError(f"--show: at least one picture is needed, found {show}")
    here = [run.picture(i) is not None for i in range(len(run.images))]
    if not any(here):
        raise UsageError(f"{run.folder}: the pictures of the run are gone; put them back, or give the names by --from")
    chosen = tuple(
        spanning([image.concepts[j].score * there for image, there in zip(run.images, here, strict=True)], show)
        for j in range(len(run.concepts))
    )
    progress = progress or Silent()
    progress.start("drawing", len(chosen))
    missing = dict.fromkeys(image.path for image, there in zip(run.images, here, strict=True) if not there)
    rows = followed(_rows(run, chosen, missing), progress)
    write_atomically(run.home / SHEET, encode_png(contact_sheet(rows)))
    return Sheet(run.home / SHEET, chosen, tuple(missing))


def write_template(run: StoredRun) -> Path:
    """A file to write names into, with those the run has; one that is there already is somebody's work and is kept."""
    path = run.home / TEMPLATE
    if not path.exists():
        write_atomically(path, labels_json(labels_of(run)))
    return path


def labels_of(run: StoredRun) -> Labels:
    """The names that a run's concepts have: those of `labels.json`, which `results.json` must have, too.

    Raises:
        UsageError: when the two disagree: the run was made again since, or somebody edited one of them.
        RefusedError: when either is damaged.
    """
    path, names = run.home / LABELS, tuple(concept.name for concept in run.concepts)
    if not path.is_file():
        if not all(name is None or is_plain(name) for name in names):
            raise RefusedError(f"{run.home / RESULTS}: a concept's name holds a control character; make the run again")
        return Labels(tuple((name,) if name else () for name in names))
    labels = read_labels(path, len(run.concepts))
    if labels.names != names:
        again = shlex.join(["dff-onnx", "label", str(run.home), "--from", str(path)])
        raise UsageError(
            f"{path}: has other names than {RESULTS}; look whether they fit, then give them again: `{again}`"
        )
    return labels


def ask_names(run: StoredRun, ask: Ask) -> Labels:
    """Asks for the names of each concept until the answer can be used."""
    return Labels(tuple(_answer(concept, ask) for concept in run.concepts))


def write_names(run: StoredRun, labels: Labels) -> None:
    """Writes `labels.json`, and the names into all files of the run that have room for them.

    But for the names, those files keep their bytes. All are written before the first replaces its elder.

    Raises:
        UsageError: when concepts are not shared.
        RefusedError: when the bank is damaged or is not of this run.
        OutputError: when a file cannot be written.
    """
    check_shared(run)
    names, bank = labels.names, _named_bank(run, labels)
    concepts = tuple(replace(concept, name=name) for concept, name in zip(run.concepts, names, strict=True))
    found, document = replace(run.found, concepts=concepts), run.results.document
    entries = [entry | {"name": name} for entry, name in zip(document["concepts"], names, strict=True)]
    contents = {
        LABELS: labels_json(labels),
        RESULTS: strict_json(document | {"concepts": entries}),
        "boxes.csv": boxes_csv(found),
        "coco.json": coco_json(found),
        BANK: bank_bytes(bank),
    }
    with ExitStack() as files:  # it closes the last one first: the labels, which say that all is done, come last
        for name, data in contents.items():
            files.enter_context(open_atomically(run.home / name)).write(data)
        for path, page in _named_pages(run.home, names):
            files.enter_context(open_atomically(path)).write(page)


def _named_pages(home: Path, names: Sequence[str | None]) -> Iterator[tuple[Path, bytes]]:
    """The report's pages with the names; one that somebody changed, or that cannot be read, is left alone."""
    for path in pages_in(home):
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_PAGE + 1)
        except OSError:
            continue
        page = renamed(content, names) if len(content) <= LARGEST_PAGE else None
        if page is not None:
            yield path, page


def _named_bank(run: StoredRun, labels: Labels) -> Bank:
    """The run's bank with the names; one that holds a foreground alone has no room for any."""
    names, bank = labels.names, read_bank(run.home / BANK)
    if bank.foreground is not None and not bank.names:
        return bank
    if not len(bank.names) == len(names) == len(run.concepts):
        counts = f"{len(bank.names)} concepts, {RESULTS} has {len(run.concepts)}, and {len(names)} are named"
        raise RefusedError(f"{run.home / BANK}: has {counts}; make the run again")
    return replace(bank, names=names)


def _answer(concept: ConceptFound, ask: Ask) -> tuple[str, ...]:
    complaint = None
    while True:
        try:
            return checked_parts(ask(concept, complaint).split(","))
        except UsageError as error:
            complaint = str(error)


def _rows(run: StoredRun, chosen: Sequence[Sequence[int]], missing: dict[str, None]) -> Iterator[Row]:
    for concept, places in zip(run.concepts, chosen, strict=True):
        tiles = [_tile(run, concept, place, missing) for place in places]
        yield Row(concept.number, from_hexadecimal(concept.colour), concept.energy or 0.0, tiles)


def _tile(run: StoredRun, concept: ConceptFound, place: int, missing: dict[str, None]) -> Pixels:
    """A picture with one concept alone over it."""
    image, stored, j = run.images[place], run.maps(place), concept.number
    side = tile_side(len(run.concepts))
    heat = stored.maps[j : j + 1] / (stored.peaks[j] or np.float32(1))
    path = run.picture(place)
    try:
        picture = read_original(path or run.folder / image.path, side)
    except ImageError:
        missing[image.path] = None
        picture = np.full((side * 3 // 4, side, 3), GONE, np.uint8)
    label = f"score {image.concepts[j].score:.2f}"
    return overlay(picture, heat, [from_hexadecimal(concept.colour)], [label], image.path.rpartition("/")[2])
