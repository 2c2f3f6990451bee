"""`results.json`, `boxes.csv`, `coco.json`, `failures.json`: what a run found, for other programs.

`docs/results.md` describes every field. The bytes depend on what was found alone. Numbers carry nine significant
digits, enough for any float32.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from dff_onnx.records import Box, Grid, Region
from dff_onnx.report.found import ConceptFound, ConceptInImage, Failure, Fit, ForegroundFound, Found, ImageFound

SCHEMA = "dff-onnx/results/1"
CSV_COLUMNS = ("image", "concept", "name", "score", "x0", "y0", "x1", "y1", "area", "largest")
# A spreadsheet takes a cell that starts so for a formula (OWASP, "CSV Injection"; full-width signs included). The
# apostrophe itself is among them so that a reader who drops one leading apostrophe always has the text back.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")


def results_json(found: Found) -> bytes:
    """Everything a run found, as strict JSON with a versioned schema."""
    return strict_json(
        {
            "schema": SCHEMA,
            "fingerprint": found.fingerprint.to_dict(),
            "device": found.device,
            "scale": found.scale,
            "fit": _fit(found.fit),
            **({"foreground": _foreground(found.foreground)} if found.foreground else {}),
            "concepts": [_concept(concept) for concept in found.concepts],
            "images": [_image(image) for image in found.images],
            "failures": [_failure(failure) for failure in found.failures],
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
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for _, image, here, region in _regions(found):
        name = found.concepts_of(image)[here.concept].name or ""
        box, largest = region.box, int(region is here.regions[0])
        row = (here.concept, _cell(name), _number(here.score), box.x0, box.y0, box.x1, box.y1, region.area, largest)
        writer.writerow((_cell(image.path), *row))
    return text.getvalue().encode("utf-8", "backslashreplace")


def coco_json(found: Found) -> bytes:
    """Regions as COCO detections: images, categories (concepts), annotations with `bbox` x, y, width, height.

    Ids count from 1, as COCO's tools want them. Where each image has its own concepts, categories are their numbers.
    """
    numbers = sorted({here.concept for image in found.images for here in image.concepts})
    names = {concept.number: concept.label for concept in found.concepts}
    return strict_json(
        {
            "info": {"description": f"dff-onnx, {SCHEMA}"},
            "images": [
                {"id": number, "file_name": image.path, "width": image.size.width, "height": image.size.height}
                for number, image in enumerate(found.images, 1)
            ],
            "categories": [{"id": n + 1, "name": names.get(n, f"concept {n}")} for n in numbers],
            "annotations": [
                {
                    "id": number,
                    "image_id": image_number,
                    "category_id": here.concept + 1,
                    "bbox": [region.box.x0, region.box.y0, *_extent(region.box)],
                    "area": region.area,
                    "iscrowd": 0,
                    "score": _number(here.score),
                }
                for number, (image_number, _, here, region) in enumerate(_regions(found), 1)
            ],
        }
    )


def _regions(found: Found) -> Iterator[tuple[int, ImageFound, ConceptInImage, Region]]:
    """Every region with its concept, its image, and the image's number from 1."""
    for number, image in enumerate(found.images, 1):
        for here in image.concepts:
            for region in here.regions:
                yield number, image, here, region


def _extent(box: Box) -> tuple[int, int]:
    return box.x1 - box.x0, box.y1 - box.y0


def _image(image: ImageFound) -> dict[str, Any]:
    own = {"fit": _fit(image.fit), "table": [_concept(concept) for concept in image.table]} if image.table else {}
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
        "score": _number(here.score),
        "share": _number(here.share),
        "box": _box(here.box) if here.box else None,
        "regions": [{"box": _box(region.box), "area": region.area} for region in here.regions],
    }


def _concept(concept: ConceptFound) -> dict[str, Any]:
    return {
        "number": concept.number,
        "name": concept.name,
        "colour": concept.colour,
        "energy": _number(concept.energy),
        "threshold": _number(concept.threshold),
        "peak": _number(concept.peak),
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
        "loss": _number(fit.loss),
        "explained": _number(1 - fit.loss),
        "reconstruction_err": _number(fit.reconstruction_err),
        "kkt": _number(fit.kkt),
        "spread": _number(fit.spread),
        "n_iter": fit.n_iter,
        "converged": fit.converged,
        "stopped": fit.stopped,
    }


def _foreground(found: ForegroundFound) -> dict[str, Any]:
    names = ("pixels", "prior", "quality", "bimodality", "overlap", "halves", "contact")
    figures = [{name: getattr(trial, name) for name in names} for trial in found.trials]
    return {
        "sure": found.sure,
        "agreement": _number(found.agreement),
        "chosen": found.chosen,
        "trials": [{name: _number(v) if isinstance(v, float) else v for name, v in one.items()} for one in figures],
    }


def _failure(failure: Failure) -> dict[str, str]:
    return {"path": failure.path, "reason": failure.reason}


def _size(grid: Grid) -> dict[str, int]:
    return {"width": grid.width, "height": grid.height}


def _box(box: Box) -> list[int]:
    return [box.x0, box.y0, box.x1, box.y1]


def _number(value: float) -> float:
    return float(f"{value:.9g}")


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def strict_json(value: Any) -> bytes:
    """A list or table as this program's files have it: strict JSON, an entry on each line.

    Only the outer two levels are laid out: the standard library indents in Python, ten times slower than its encoder.
    """
    if isinstance(value, list):
        text = _lines("[", "]", map(_compact, value))
    else:
        entries = (f"{_compact(key)}: {_entry(inner)}" for key, inner in value.items())
        text = _lines("{", "}", entries)
    return f"{text}\n".encode()


def _entry(value: Any) -> str:
    return _lines("[", " ]", (f" {_compact(entry)}" for entry in value)) if isinstance(value, list) else _compact(value)


def _lines(opening: str, closing: str, entries: Iterable[str]) -> str:
    body = ",\n ".join(entries)
    return f"{opening}\n {body}\n{closing}" if body else f"{opening}{closing.strip()}"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)
