"""A network opened as a bank's fingerprint says: its layer, its preprocessing, what became of negative values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from classifier_networks import CHANNELS, CPU, TAIL, TENSORFLOW, saved

from dff_onnx.backbone.cut import Sign
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank
from dff_onnx.errors import BankError, ModelError
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.runs.opening import open_for_bank


def bank_of(fingerprint: Fingerprint, channels: int = CHANNELS) -> Bank:
    one = np.ones(1, np.float32)
    return Bank(np.eye(1, channels, dtype=np.float32), one, one, one, (None,), ("#000000",), fingerprint)


@pytest.mark.parametrize("sign", ["keep", "rectify", "split"])
@pytest.mark.parametrize("preprocessing", [None, TENSORFLOW])
def test_layer_sign_and_preprocessing_come_from_the_bank(
    tmp_path: Path, sign: Sign, preprocessing: Preprocessing | None
) -> None:
    path = saved(TAIL, tmp_path)
    wanted = Backbone.open(path, "conv2", device="cpu", sign=sign, preprocessing=preprocessing)
    opened = open_for_bank(bank_of(wanted.fingerprint), "bank.npz", path, CPU)
    assert opened.fingerprint == wanted.fingerprint
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    assert np.array_equal(opened(pixels), wanted(pixels))


def test_a_file_that_says_its_preprocessing_is_opened_by_it() -> None:
    wanted = Backbone.open(layer="fire5", device="cpu").fingerprint
    assert open_for_bank(bank_of(wanted), "bank.npz", embedded_model(), CPU).fingerprint == wanted
    other = replace(wanted, preprocessing=replace(wanted.preprocessing, scale=1.0))
    with pytest.raises(BankError, match=r"scale 1; .*scale 0\.0039"):
        open_for_bank(bank_of(other), "bank.npz", embedded_model(), CPU)


def test_another_network_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    digest = Backbone.open(path, "relu2", device="cpu").fingerprint.model_sha256
    wanted = Fingerprint("ab" * 32, "relu5_4", TENSORFLOW)
    with pytest.raises(
        BankError, match=rf"^my\.npz: .*network abababababab, layer 'relu5_4'.*; .*network {digest[:12]}"
    ):
        open_for_bank(bank_of(wanted), "my.npz", path, CPU)
    with pytest.raises(BankError, match=r"layer 'relu5_4'.*compact\.onnx has network .*, layer 'features'"):
        open_for_bank(bank_of(wanted), "my.npz", embedded_model(), CPU)


def test_a_layer_that_the_network_has_not_is_named(tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    wanted = replace(Backbone.open(path, "relu2", device="cpu").fingerprint, layer="relu9")
    with pytest.raises(ModelError, match="relu9"):
        open_for_bank(bank_of(wanted), "bank.npz", path, CPU)
