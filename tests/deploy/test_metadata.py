"""What a compiled file says of itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from banks import bank, foreground_bank
from onnx import ModelProto, helper, numpy_helper

from dff_onnx.deploy.metadata import (
    CONCEPTS,
    DIRECTION,
    KEY,
    MEAN,
    Compiled,
    CompiledConcept,
    CompiledForeground,
    bank_in,
    compiled_of,
)
from dff_onnx.errors import ModelError
from dff_onnx.images import Resize

HERE = Path("concepts.onnx")
ABOUT = Compiled(
    kind="concepts",
    fingerprint=bank().fingerprint,
    resize=Resize("short", 320),
    unroll=12,
    boxes="masks",
    float16=True,
    k=1,
    concepts=(CompiledConcept(0, 'a "näme" =1', "#e69f00", 0.25, 4.0, 1.0),),
    bank_sha256="ab" * 32,
    limit=0.5,
    foreground=CompiledForeground(0.1, 0.5, 2.0),
    classes=3,
)


def holding(text: str | None, **constants: Any) -> ModelProto:
    made = ModelProto()
    if text is not None:
        helper.set_model_props(made, {KEY: text})
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return made


@pytest.mark.parametrize("about", [ABOUT, Compiled("fit", ABOUT.fingerprint, None, k=4)])
def test_it_is_read_back_as_it_was_written(about: Compiled) -> None:
    assert compiled_of(holding(about.to_text()), HERE) == about


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(ABOUT.to_text()) | fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is no compiled file; make one with `dff-onnx compile`"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ("[" * 100_000, "damaged"),
        ("{}", "damaged"),
        (changed(format="dff-onnx/compiled/9"), "this version reads dff-onnx/compiled/1"),
        (changed(kind="else"), "damaged"),
        (changed(k=2), "damaged"),
        (changed(concepts=[{}]), "damaged"),
        (changed(concepts=7), "damaged"),
        (changed(fingerprint={}), "damaged"),
        (changed(resize={"mode": "round", "pixels": 7}), "damaged"),
        (changed(foreground=[1]), "damaged"),
        (changed(more=1), "damaged"),
    ],
)
def test_what_is_no_compiled_file_is_refused(text: str | None, said: str) -> None:
    with pytest.raises(ModelError, match=r"concepts\.onnx: ") as caught:
        compiled_of(holding(text), HERE)
    assert said in str(caught.value) and str(caught.value).isprintable()


def test_the_bank_comes_back_from_the_files_constants() -> None:
    kept = bank()
    concepts = tuple(
        CompiledConcept(
            j, kept.names[j], kept.colours[j], float(kept.thresholds[j] / kept.peaks[j]), float(kept.peaks[j]), 1 / 3
        )
        for j in range(3)
    )
    about = Compiled("concepts", kept.fingerprint, Resize(), k=3, concepts=concepts)
    found = bank_in(holding(None, **{CONCEPTS: kept.W}), about, HERE)
    np.testing.assert_array_equal(found.W, kept.W)
    np.testing.assert_allclose(found.thresholds, kept.thresholds, rtol=1e-6)
    assert (found.names, found.colours, found.fingerprint) == (kept.names, kept.colours, kept.fingerprint)


def test_a_foreground_comes_back_too() -> None:
    model = foreground_bank().foreground
    assert model is not None
    about = Compiled("concepts", bank().fingerprint, model.resize, foreground=CompiledForeground(0.0, 0.0, 1.0))
    found = bank_in(holding(None, **{DIRECTION: model.direction[None], MEAN: model.mean}), about, HERE)
    assert found.foreground is not None and len(found.W) == 0
    for name in ("direction", "mean", "threshold", "upper", "spread", "resize"):
        np.testing.assert_array_equal(getattr(found.foreground, name), getattr(model, name))


@pytest.mark.parametrize(
    "constants", [{}, {CONCEPTS: np.ones((2, 5), np.float32)}, {CONCEPTS: np.full((1, 5), np.nan, np.float32)}]
)
def test_constants_that_are_none_of_a_bank_are_refused(constants: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="none of a bank"):
        bank_in(holding(None, **constants), replace(ABOUT, foreground=None), HERE)
