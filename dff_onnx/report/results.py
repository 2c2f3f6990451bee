"""`results.json`, `boxes.csv`, `coco.json`, `failures.json`: what a run found, for other programs.

`docs/results.md` describes every field. The bytes depend on what was found alone. Numbers carry nine significant
digits, enough for any float32.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dff_onnx.records import Box, Grid, Region
from dff_onnx.report.found import (
    Answer,
    ConceptFound,
    ConceptInImage,
    Failure,
    Fit,
    Found,
    ImageFound,
)

SCHEMA = "dff-onnx/results/1"
FIGURES = ("foreground", "class_maps", "applied", "choice", "faithfulness", "truth")
CSV_COLUMNS = ("image", "concept", "name", "score", "x0", "y0", "x1", "y1", "area", "largest")
# A spreadsheet takes a cell that starts so for a formula (OWASP, "CSV Injection"; full-width signs included). The
# apostrophe itself is among them so that a reader who drops one leading apostrophe always has the text back.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")


def results_json(found: Found) -> bytes:
    """Everything a run found, as strict JSON with a versioned schema."""
    return b"".join(results_pieces(found))


def results_pieces(found: Found) -> Iterator[bytes]:
    """`results_json` piece by piece: a large set need not be in memory."""
    return json_pieces(
        {
            "schema": SCHEMA,
            "fingerprint": found.fingerprint.to_dict(),
            "device": found.device,
            "scale": found.scale,
            "fit": _fit(found.fit),
            **_figures(found),
            "concepts": [_concept(concept) for concept in found.concepts],
            "images": map(_image, found.images),
            "failures": map(_failure, found.failures),
        }
    )


def failures_json(failures: Iterable[Failure]) -> bytes:
    """The pictures that could not be used, and why: a list, empty where all could."""
    return strict_json([_failure(failure) for failure in failures])


def boxes_csv(found: Found) -> bytes:
    """Every region of every concept in every image, one a line (RFC 4180, UTF-8).

    A text that a spreadsheet would take for a formula gets an apostrophe in front, and so does one that begins with
    an apostrophe.
    """
    return b"".join(boxes_pieces(found))


def boxes_pieces(found: Found) -> Iterator[bytes]:
    """`boxes_csv` line by line."""
    lines = list[str]()
    writer = csv.writer(_Lines(lines.append), lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for _, image, here, region in _regions(found):
        name = found.concepts_of(image)[here.concept].name or ""
        box, largest = region.box, int(region is here.regions[0])
        row = (
            here.concept,
            csv_cell(name),
            nine_digits(here.score),
            box.x0,
            box.y0,
            box.x1,
            box.y1,
            region.area,
            largest,
        )
        writer.writerow((csv_cell(image.path), *row))
        yield "".join(lines).encode("utf-8", "backslashreplace")
        lines.clear()
    yield "".join(lines).encode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class _Lines:
    """What a CSV writer takes for a file."""

    write: Callable[[str], object]


def coco_json(found: Found) -> bytes:
    """Regions as COCO detections: images, categories (concepts), annotations with `bbox` x, y, width, height.

    Ids count from 1, as COCO's tools want them. Where each image has its own concepts, categories are their numbers;
    classes have the numbers of the classifier.
    """
    return b"".join(coco_pieces(found))


def coco_pieces(found: Found) -> Iterator[bytes]:
    """`coco_json` piece by piece."""
    names = {
        _category(concept): concept.label if found.concepts or found.class_maps else f"concept {concept.number}"
        for concepts in (
            [found.concepts] if found.concepts and found.images else (image.table for image in found.images)
        )
        for concept in concepts
    }
    return json_pieces(
        {
            "info": {"description": f"dff-onnx, {SCHEMA}"},
            "images": (
                {"id": number, "file_name": image.path, "width": image.size.width, "height": image.size.height}
                for number, image in enumerate(found.images, 1)
            ),
            "categories": [{"id": n + 1, "name": names[n]} for n in sorted(names)],
            "annotations": (
                {
                    "id": number,
                    "image_id": image_number,
                    "category_id": _category(found.concepts_of(image)[here.concept]) + 1,
                    "bbox": [region.box.x0, region.box.y0, *_extent(region.box)],
                    "area": region.area,
                    "iscrowd": 0,
                    "score": nine_digits(here.score),
                }
                for number, (image_number, image, here, region) in enumerate(_regions(found), 1)
            ),
        }
    )


def _regions(found: Found) -> Iterator[tuple[int, ImageFound, ConceptInImage, Region]]:
    """Every region with its concept, its image, and the image's number from 1."""
    for number, image in enumerate(found.images, 1):
        for here in image.concepts:
            for region in here.regions:
                yield number, image, here, region


def _category(concept: ConceptFound) -> int:
    return concept.number if concept.class_number is None else concept.class_number


def _extent(box: Box) -> tuple[int, int]:
    return box.x1 - box.x0, box.y1 - box.y0


def _image(image: ImageFound) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if image.loss is not None:
        own["loss"] = nine_digits(image.loss)
    if image.answers:
        own["answers"] = [_answer(answer) for answer in image.answers]
    if image.table:
        own |= {"fit": _fit(image.fit), "table": [_concept(concept) for concept in image.table]}
    return {
        "path": image.path,
        "size": _size(image.size),
        "input": _size(image.input),
        "grid": _size(image.grid),
        "overlay": image.overlay,
        **own,
        "concepts": [_in_image(here) for here in image.concepts],
    }


def _in_image(here: ConceptInImage) -> dict[str, Any]:
    return {
        "concept": here.concept,
        "score": nine_digits(here.score),
        "share": nine_digits(here.share),
        "box": _box(here.box) if here.box else None,
        "regions": [{"box": _box(region.box), "area": region.area} for region in here.regions],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "class": answer.number,
        "name": answer.name,
        "score": nine_digits(answer.score),
        "probability": nine_digits(answer.probability),
    }


def _concept(concept: ConceptFound) -> dict[str, Any]:
    spoken = [{"class": one.number, "name": one.name, "weight": nine_digits(one.weight)} for one in concept.classes]
    return {
        "number": concept.number,
        "name": concept.name,
        "colour": concept.colour,
        "energy": None if concept.energy is None else nine_digits(concept.energy),
        "threshold": nine_digits(concept.threshold),
        "peak": nine_digits(concept.peak),
        **({"classes": spoken} if spoken else {}),
        **({} if concept.class_number is None else {"class": concept.class_number}),
        **({"like": _rounded(asdict(concept.like))} if concept.like else {}),
    }


def _fit(fit: Fit | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    return {
        "k": fit.k,
        "rows": fit.rows,
        "channels": fit.channels,
        "solver": fit.solver,
        "seed": fit.seed,
        "start": fit.start,
        "loss": nine_digits(fit.loss),
        "explained": nine_digits(1 - fit.loss),
        "reconstruction_err": nine_digits(fit.reconstruction_err),
        "kkt": nine_digits(fit.kkt),
        "spread": nine_digits(fit.spread),
        "n_iter": fit.n_iter,
        "converged": fit.converged,
        "stopped": fit.stopped,
    }


def _figures(found: Found) -> dict[str, Any]:
    """About the run, where there are such figures."""
    there = {name: getattr(found, name) for name in FIGURES}
    tables = {name: _rounded(asdict(value)) for name, value in there.items() if value is not None}
    if found.applied:
        tables["applied"]["unexplained"] = [image.path for image in found.unexplained]
    return tables


def _rounded(value: Any) -> Any:
    """Figures as files have them, however deep they lie."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return nine_digits(value) if isinstance(value, float) else value


def _failure(failure: Failure) -> dict[str, str]:
    return {"path": failure.path, "reason": failure.reason}


def _size(grid: Grid) -> dict[str, int]:
    return {"width": grid.width, "height": grid.height}


def _box(box: Box) -> list[int]:
    return [box.x0, box.y0, box.x1, box.y1]


def nine_digits(value: float) -> float:
    """The figure as files have it.

    >>> nine_digits(1 / 3)
    0.333333333
    """
    return float(f"{value:.9g}")


def csv_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> csv_cell("=1+1"), csv_cell("dog")
    ("'=1+1", 'dog')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def strict_json(value: Any) -> bytes:
    """A list or table as this program's files have it: strict JSON, an entry on each line.

    Only the outer two levels are laid out: the standard library indents in Python, ten times slower than its encoder.
    """
    return b"".join(json_pieces(value))


def json_pieces(value: Any) -> Iterator[bytes]:
    """The same piece by piece; an iterator in a table stands for a list."""
    if isinstance(value, list):
        yield from _listed(value, "")
    else:
        before = "{\n "
        for key, inner in value.items():
            yield f"{before}{_compact(key)}: ".encode()
            yield from _listed(inner, " ") if isinstance(inner, list | Iterator) else [_compact(inner).encode()]
            before = ",\n "
        yield b"\n}" if value else b"{}"
    yield b"\n"


def _listed(entries: Iterable[Any], indent: str) -> Iterator[bytes]:
    """A list, an entry on each line."""
    before = f"[\n {indent}"
    for entry in entries:
        yield f"{before}{_compact(entry)}".encode()
        before = f",\n {indent}"
    yield b"[]" if before.startswith("[") else f"\n{indent}]".encode()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)
