"""Compiled banks give what `dff-onnx apply` gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from applied import applied, assert_alike, ran, resized
from onnx import ModelProto

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank
from dff_onnx.deploy import Form, compiled_bank
from dff_onnx.images import Resize
from dff_onnx.progress import Silent
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.settings import Settings

BUNNY = Path(__file__).parent.parent.parent / "examples" / "bunny"
FORMS = {"loop": Form(), "unrolled": Form(unroll=40)}


def bank_of(rows: Collected, folder: Path, backbone: Backbone, k: int, resize: Resize) -> Bank:
    found = discover_in(rows, folder, backbone, Settings(k=k, resize=resize, overlays="none", report="none")).bank()
    assert found is not None
    return found


def collected(folder: Path, backbone: Backbone, resize: Resize, most: int) -> Collected:
    paths = [Path(path.name) for path in sorted(folder.iterdir())[:most]]
    return collect(folder, paths, backbone, resize, Silent())


def compiled(bank: Bank, file: ModelFile, form: Form) -> ModelProto:
    made = compiled_bank(bank, file, bank.fingerprint.layer, "keep", form)
    onnx.checker.check_model(made, full_check=True)
    return made


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("form", FORMS)
def test_the_embedded_network_gives_the_figures_of_apply(k: int, form: str, tmp_path: Path) -> None:
    file, backbone, resize = load_model(embedded_model()), Backbone.open(threads=1), Resize("square", 96)
    bank = bank_of(collected(BUNNY, backbone, resize, 8), BUNNY, backbone, k, resize)
    made = compiled(bank, file, FORMS[form])
    assert made.ByteSize() <= embedded_model().stat().st_size + 100_000
    session = create_session(made.SerializeToString(), "cpu")
    for width, height in ((96, 96), (128, 80)):
        folder = resized(sorted(BUNNY.iterdir()), tmp_path, width, height)
        found = ran(session, folder, 3)
        assert_alike(found, applied(bank, folder, backbone), bank)
        assert found["kkt"].max() < 1e-5


def test_a_concept_that_nothing_uses_gives_zeros(tmp_path: Path) -> None:
    file, backbone, resize = load_model(embedded_model()), Backbone.open(threads=1), Resize("square", 64)
    known = bank_of(collected(BUNNY, backbone, resize, 4), BUNNY, backbone, 3, resize)
    keep = np.float32([1, 0, 1])
    figures = {name: getattr(known, name) * keep for name in ("thresholds", "peaks", "energy")}
    bank = replace(known, W=known.W * keep[:, None], **figures)
    folder = resized(sorted(BUNNY.iterdir())[:3], tmp_path, 64, 64)
    found = ran(create_session(compiled(bank, file, Form()).SerializeToString(), "cpu"), folder, 2)
    assert_alike(found, applied(bank, folder, backbone), bank)
    assert (found["heatmaps"][:, 1] == 0).all() and (found["boxes"][:, 1] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "layer", "group"),
    [
        ("compact", "features", "021 Elephants-medium"),
        ("squeezenet1_1", "/fires.7/Concat_output_0", "036 Gymnastics-1"),
        ("resnet50v2-stage3", "features", "020 pyramids"),
    ],
)
def test_real_networks_give_the_figures_of_apply_at_three_sizes(
    network: str, layer: str, group: str, real_data: Path, tmp_path: Path
) -> None:
    path = embedded_model() if network == "compact" else real_data / "models" / f"{network}.onnx"
    pictures = sorted(next((real_data / "icoseg" / "images").glob(f"{group[:3]}*")).iterdir())
    file, backbone, resize = load_model(path), Backbone.open(path, layer, threads=1), Resize("square", 224)
    rows = collected(pictures[0].parent, backbone, resize, 8)
    folders = [resized(pictures[:3], tmp_path, *size) for size in ((224, 224), (448, 448), (320, 208))]
    for k in range(1, 9):
        bank = bank_of(rows, pictures[0].parent, backbone, k, resize)
        expected = [applied(bank, folder, backbone) for folder in folders]
        for form in FORMS.values():
            made = compiled(bank, file, form)
            assert made.ByteSize() <= path.stat().st_size + 100_000
            session = create_session(made.SerializeToString(), "cpu")
            for folder, wanted in zip(folders, expected, strict=True):
                found = ran(session, folder, 3)
                assert_alike(found, wanted, bank)
                assert found["kkt"].max() < 1e-5
