"""What a compiled file says of itself: a JSON text among its metadata, under `dff.compiled`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from onnx import ModelProto

from dff_onnx.errors import ModelError, RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.npz_file import fingerprint_of
from dff_onnx.records import Fingerprint

KEY = "dff.compiled"
FORMAT = "dff-onnx/compiled/1"
CLASS_NAMES_KEY = "dff.class_names"  # a JSON list by itself: a thousand names are longer than all the rest

Kind = Literal["concepts", "fit"]


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
        foreground: whether there is a foreground.
        classes: of the classifier, 0 where class maps are left out.
    """

    kind: Kind
    fingerprint: Fingerprint
    resize: Resize | None
    unroll: int | None = None
    boxes: Literal["regions", "masks"] = "regions"
    float16: bool = False
    k: int = 0
    concepts: tuple[CompiledConcept, ...] = ()
    bank_sha256: str | None = None
    limit: float | None = None
    foreground: bool = False
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
        raise ModelError(f"{path}: what it says of itself is damaged ({error}); compile it again") from error


def _compiled(fields: dict[str, Any]) -> Compiled:
    fields["fingerprint"] = fingerprint_of(fields["fingerprint"])
    fields["resize"] = None if fields["resize"] is None else Resize.from_dict(fields["resize"])
    fields["concepts"] = tuple(CompiledConcept(**one) for one in fields["concepts"])
    made = Compiled(**fields)
    if made.kind not in ("concepts", "fit") or len(made.concepts) != (made.k if made.kind == "concepts" else 0):
        raise ValueError(f"{made.k} concepts of kind {ascii(made.kind)[:20]}")
    return made
