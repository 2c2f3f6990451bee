"""What a compiled file says of itself: a JSON text among its metadata, under `dff.compiled`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from onnx import ModelProto, numpy_helper

from dff_onnx.concepts.bank import Bank
from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.errors import BankError, ModelError, RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.npz_file import fingerprint_of
from dff_onnx.records import Fingerprint

KEY = "dff.compiled"
FORMAT = "dff-onnx/compiled/1"
CLASS_NAMES_KEY = "dff.class_names"  # a JSON list by itself: a thousand names are longer than all the rest

# Constants of a compiled file that are a bank's arrays.
CONCEPTS, DIRECTION, MEAN = "concepts", "foreground_direction", "foreground_mean"

LARGEST = float(np.finfo(np.float32).max)

Kind = Literal["concepts", "fit"]
Boxes = Literal["regions", "masks"]


@dataclass(frozen=True, slots=True)
class CompiledConcept:
    """One concept of a compiled bank.

    Attributes:
        number: from 0; its place in every output.
        name: None where it has none.
        colour: `#rrggbb`.
        threshold: a heat map of the file that reaches it is on: relative to the peak, as the heat maps are.
        peak: of the bank's heat maps, which stands for full heat: coefficients are divided by it.
        energy: share of the energy of all concepts.
    """

    number: int
    name: str | None
    colour: str
    threshold: float
    peak: float
    energy: float


@dataclass(frozen=True, slots=True)
class CompiledForeground:
    """The figures of a compiled foreground; see `dff_onnx.concepts.foreground.ForegroundModel`."""

    threshold: float
    upper: float
    spread: float


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compiled file is.

    Attributes:
        kind: `concepts` of a bank, or `fit`, the factorization itself.
        fingerprint: of the network inside.
        resize: how large pictures are to be; None where that is not known.
        unroll: rounds of the least squares, written out; None where a loop ends by itself.
        boxes: `regions` for boxes of the largest region, `masks` for those of whole masks.
        float16: whether weights are stored in half precision.
        k: how many concepts; of a `fit`, how many it finds.
        concepts: of a bank, by number.
        bank_sha256: of the bank's file.
        limit: a picture of more loss is not explained by the bank; None where that is not known.
        foreground: of the bank, None where it is left out.
        classes: of the classifier, 0 where class maps are left out.
    """

    kind: Kind
    fingerprint: Fingerprint
    resize: Resize | None
    unroll: int | None = None
    boxes: Boxes = "regions"
    float16: bool = False
    k: int = 0
    concepts: tuple[CompiledConcept, ...] = ()
    bank_sha256: str | None = None
    limit: float | None = None
    foreground: CompiledForeground | None = None
    classes: int = 0

    def to_text(self) -> str:
        """As the file holds it."""
        fields = {"format": FORMAT, **asdict(self)}
        fields["fingerprint"] = self.fingerprint.to_dict()
        fields["resize"] = self.resize.to_dict() if self.resize else None
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def compiled_of(model: ModelProto, path: Path) -> Compiled:
    """Reads back what a compiled file says of itself.

    Raises:
        ModelError: when it is no compiled file, or of another format.
    """
    texts = {one.key: one.value for one in model.metadata_props}
    if KEY not in texts:
        raise ModelError(f"{path}: is no compiled file; make one with `dff-onnx compile`")
    try:
        fields = json.loads(texts[KEY])
        form = fields.pop("format")
        if form != FORMAT:
            raise ModelError(f"{path}: is of format {ascii(form)[:40]}, this version reads {FORMAT}; compile it again")
        return _compiled(fields)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, RefusedError, UsageError) as error:
        if isinstance(error, ModelError):
            raise
        why = ascii(str(error))[1:-1][:200]
        raise ModelError(f"{path}: what it says of itself is damaged ({why}); compile it again") from error


def bank_in(model: ModelProto, about: Compiled, path: Path) -> Bank:
    """The bank that a file was compiled from, less what concepts were made by: provenance, losses.

    Args:
        model: the compiled file.
        about: what it says of itself.
        path: of the file, for the sentence.

    Raises:
        ModelError: when its constants are not there, or are none of a bank.
    """
    held = {one.name: one for one in model.graph.initializer}
    concepts, resize = about.concepts, about.resize
    thresholds, peaks, energy = (
        np.asarray([getattr(one, name) for one in concepts], np.float32) for name in ("threshold", "peak", "energy")
    )
    try:
        vectors = {name: numpy_helper.to_array(held[name]) for name in (CONCEPTS, DIRECTION, MEAN) if name in held}
        foreground = None
        if about.foreground is not None:
            figures = asdict(about.foreground)
            foreground = ForegroundModel(vectors[DIRECTION][0], vectors[MEAN], **figures, resize=resize or Resize())
        return Bank(
            W=vectors[CONCEPTS] if concepts else np.zeros((0, vectors[MEAN].shape[0]), np.float32),
            thresholds=thresholds * np.where(peaks > 0, peaks, np.float32(1)),
            peaks=peaks,
            energy=energy,
            names=tuple(one.name for one in concepts),
            colours=tuple(one.colour for one in concepts),
            fingerprint=about.fingerprint,
            foreground=foreground,
            resize=resize,
        )
    except (KeyError, IndexError, TypeError, ValueError, BankError) as error:
        raise ModelError(f"{path}: its constants are none of a bank ({error}); compile it again") from error


def _compiled(fields: dict[str, Any]) -> Compiled:
    fields["fingerprint"] = fingerprint_of(fields["fingerprint"])
    fields["resize"] = None if fields["resize"] is None else Resize.from_dict(fields["resize"])
    fields["concepts"] = tuple(CompiledConcept(**one) for one in fields["concepts"])
    if fields["foreground"] is not None:
        fields["foreground"] = CompiledForeground(**fields["foreground"])
    made = Compiled(**fields)
    for what, good in _looked_at(made):
        if not good:
            raise ValueError(f"its {what} is none")
    return made


def _looked_at(made: Compiled) -> Iterator[tuple[str, bool]]:
    """Every field that says what only some values can say, and whether this is one."""
    yield "kind", made.kind in get_args(Kind)
    yield "count of concepts", type(made.k) is int and len(made.concepts) == (made.k if made.kind == "concepts" else 0)
    yield "number of rounds", made.unroll is None or (type(made.unroll) is int and made.unroll > 0)
    yield "kind of boxes", made.boxes in get_args(Boxes)
    yield "word on half precision", type(made.float16) is bool
    yield "number of classes", type(made.classes) is int and made.classes >= 0
    yield "bank", made.bank_sha256 is None or isinstance(made.bank_sha256, str)
    yield "limit", made.limit is None or _is_figure(made.limit)
    if made.foreground:
        yield "foreground", all(map(_is_figure, asdict(made.foreground).values()))
    for number, one in enumerate(made.concepts):
        yield (
            f"concept {number}",
            (
                one.number == number
                and (one.name is None or isinstance(one.name, str))
                and isinstance(one.colour, str)
                and all(map(_is_figure, (one.threshold, one.peak, one.energy)))
            ),
        )


def _is_figure(value: Any) -> bool:
    """Whether it is a number that float32 holds."""
    return type(value) in (int, float) and abs(value) <= LARGEST
