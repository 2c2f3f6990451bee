"""Compiled files: written, read back, compared, and what they do with input that cannot be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.runtime import runtime_errors
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import bank_bytes, read_bank
from dff_onnx.concepts.edits import merged
from dff_onnx.deploy import Form, compiled_of
from dff_onnx.deploy.metadata import CONCEPTS, KEY
from dff_onnx.errors import BankError, ModelError, OutputError, UsageError
from dff_onnx.images import Resize
from dff_onnx.runs.compile_ import compile_bank, compile_fit
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.verify import random_pictures, verify

PLAIN = Settings(k=3, resize=Resize("square", 64), overlays="none", report="none")


@pytest.fixture
def bank(folder: Path, tmp_path: Path) -> Path:
    run(folder, tmp_path / "run", Backbone.open(threads=1), PLAIN)
    return tmp_path / "run" / "bank.npz"


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_a_file_says_what_it_is_and_agrees_with_python(bank: Path, folder: Path, tmp_path: Path) -> None:
    made = compile_bank(bank, tmp_path / "c.onnx")
    assert made.verified.good and made.size == (tmp_path / "c.onnx").stat().st_size
    assert made.inputs == ("n", "h", "w", 3) and 0 < made.size - made.network_size < 100_000
    assert [name for name, _ in made.outputs] == ["heatmaps", "scores", "boxes", "loss", "kkt"]
    about, known = compiled_of(onnx.load(tmp_path / "c.onnx"), tmp_path / "c.onnx"), read_bank(bank)
    assert (about.kind, about.k, about.resize, about.boxes) == ("concepts", 3, Resize("square", 64), "regions")
    assert [one.colour for one in about.concepts] == list(known.colours)
    np.testing.assert_allclose([one.threshold for one in about.concepts], known.thresholds / known.peaks, rtol=1e-6)
    for pictures in (None, folder, folder / "0.png"):
        found = verify(tmp_path / "c.onnx", pictures, bank=bank)
        assert found.good and found.pictures == (3 if pictures is None else 7 if pictures == folder else 1)


def test_the_same_bank_gives_the_same_bytes(bank: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        compile_bank(bank, tmp_path / f"{name}.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_every_output_has_a_sentence_and_names_are_those_that_users_gave(bank: Path, tmp_path: Path) -> None:
    named = replace(read_bank(bank), names=("Bäuche <b>", None, "head + neck"))
    (tmp_path / "named.npz").write_bytes(bank_bytes(named))
    compile_bank(tmp_path / "named.npz", tmp_path / "c.onnx")
    made = onnx.load(tmp_path / "c.onnx")
    assert all(re.search(r"\.$", one.doc_string) for one in (*made.graph.input, *made.graph.output))
    told = json.loads(session(tmp_path / "c.onnx").get_modelmeta().custom_metadata_map[KEY])
    assert [one["name"] for one in told["concepts"]] == ["Bäuche <b>", None, "head + neck"]
    assert told["fingerprint"] == named.fingerprint.to_dict() and told["limit"] > 0


@pytest.mark.parametrize(
    ("form", "outputs"),
    [
        (Form(heatmaps=False), ["scores", "boxes", "loss", "kkt"]),
        (Form(tight_boxes=True), ["heatmaps", "scores", "mask_boxes", "loss", "kkt"]),
        (Form(unroll=30), ["heatmaps", "scores", "mask_boxes", "loss", "kkt"]),
        (Form(unroll=30, heatmaps=False, opset=20), ["scores", "mask_boxes", "loss", "kkt"]),
    ],
)
def test_forms_leave_out_what_they_say(bank: Path, tmp_path: Path, form: Form, outputs: list[str]) -> None:
    made = compile_bank(bank, tmp_path / "c.onnx", form)
    assert [name for name, _ in made.outputs] == outputs and made.verified.good
    kinds = {node.op_type for node in onnx.load(tmp_path / "c.onnx").graph.node}
    assert ("Loop" in kinds) == (form.unroll is None)
    assert ("NonZero" in kinds) == (form.boxes == "regions")
    assert verify(tmp_path / "c.onnx").good


def test_too_few_rounds_are_written_and_told(bank: Path, tmp_path: Path) -> None:
    made = compile_bank(bank, tmp_path / "c.onnx", Form(unroll=1))
    assert not made.verified.good and made.rounds > 1
    found = {one.output: one for one in verify(tmp_path / "c.onnx").compared}
    assert not found["heatmaps"].good and found["kkt"].largest > 1e-3 and found["kkt"].good


def test_half_precision_is_judged_by_what_it_can_be(bank: Path, tmp_path: Path) -> None:
    made = compile_bank(bank, tmp_path / "c.onnx", Form(float16=True))
    assert made.size < 0.6 * made.network_size
    found = {one.output: one for one in verify(tmp_path / "c.onnx").compared}
    assert 1e-6 < found["heatmaps"].largest < 1e-2 and found["heatmaps"].good


def test_a_foreground_compiles_alone_and_beside_concepts(bank: Path, folder: Path, tmp_path: Path) -> None:
    settings = Settings(foreground=True, resize=Resize("square", 96), overlays="none", report="none")
    run(folder, tmp_path / "fg", Backbone.open(threads=1), settings)
    alone = compile_bank(tmp_path / "fg" / "bank.npz", tmp_path / "alone.onnx")
    assert [name for name, _ in alone.outputs] == ["foreground", "foreground_boxes"]
    both = merged([read_bank(bank), read_bank(tmp_path / "fg" / "bank.npz")], lambda j: f"#{j:06x}")
    (tmp_path / "both.npz").write_bytes(bank_bytes(both))
    made = compile_bank(tmp_path / "both.npz", tmp_path / "both.onnx", Form(foreground=True))
    assert {"heatmaps", "foreground"} < {name for name, _ in made.outputs}
    assert "foreground" not in dict(compile_bank(tmp_path / "both.npz", tmp_path / "without.onnx").outputs)
    for name in ("alone", "both"):
        assert verify(tmp_path / f"{name}.onnx", folder).good
    with pytest.raises(UsageError, match="this bank holds none"):
        compile_bank(bank, tmp_path / "no.onnx", Form(foreground=True))


def test_class_maps_need_a_classifier(bank: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no classifier's head looks at"):
        compile_bank(bank, tmp_path / "no.onnx", Form(cam=True))


@pytest.mark.slow
@pytest.mark.parametrize("network", ["squeezenet1_1", "mobilenetv2-cam"])
def test_class_maps_of_real_classifiers_are_those_of_cam(network: str, real_data: Path, tmp_path: Path) -> None:
    path = real_data / "models" / f"{network}.onnx"
    pictures = sorted((real_data / "icoseg" / "images").iterdir())[6]
    backbone = Backbone.open(path, threads=1)
    run(pictures, tmp_path / "run", backbone, replace(PLAIN, resize=Resize("square", 224)))
    made = compile_bank(tmp_path / "run" / "bank.npz", tmp_path / "c.onnx", Form(cam=True), model=path)
    assert dict(made.outputs)["class_scores"] == ("n", 1000 if network == "squeezenet1_1" else 1001)
    assert verify(tmp_path / "c.onnx", pictures, model=path).good
    names = json.loads(session(tmp_path / "c.onnx").get_modelmeta().custom_metadata_map["dff.class_names"])
    assert len(names) == dict(made.outputs)["class_scores"][1]


def test_a_factorization_compiles_and_agrees(folder: Path, tmp_path: Path) -> None:
    made = compile_fit(embedded_model(), tmp_path / "f.onnx", 3, resize=Resize("square", 96))
    assert [name for name, _ in made.outputs] == ["concepts", "coefficients", "heatmaps", "scores", "loss"]
    found = verify(tmp_path / "f.onnx", folder)
    assert found.good and found.about.kind == "fit" and found.pictures == 7
    assert {one.output: one.largest for one in found.compared}["loss"] < 1e-3


@pytest.mark.parametrize("k", [0, 33])
def test_a_number_of_concepts_that_cannot_be_compiled_is_refused(k: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="k: 1 to 32 concepts can be compiled"):
        compile_fit(embedded_model(), tmp_path / "f.onnx", k)


def test_a_layer_that_can_be_negative_is_no_ground_for_a_factorization(tmp_path: Path) -> None:
    made = onnx.load(embedded_model())
    before = next(node for node in made.graph.node if "features" in node.output).input[0]
    with pytest.raises(ModelError, match=r"can be negative .* --rectify or --split"):
        compile_fit(embedded_model(), tmp_path / "f.onnx", 2, layer=before)
    assert compile_fit(embedded_model(), tmp_path / "f.onnx", 2, layer=before, sign="rectify").verified.good
    assert verify(tmp_path / "f.onnx").good


def test_bank_and_network_must_belong_together(bank: Path, tmp_path: Path) -> None:
    other = onnx.load(embedded_model())
    weight = numpy_helper.to_array(other.graph.initializer[2]) * np.float32(1.01)
    other.graph.initializer[2].CopyFrom(numpy_helper.from_array(weight, other.graph.initializer[2].name))
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(BankError, match="concepts of one cannot be used on the other"):
        compile_bank(bank, tmp_path / "c.onnx", model=tmp_path / "other.onnx")
    wide = replace(read_bank(bank), W=np.eye(3, 400, dtype=np.float32))
    (tmp_path / "wide.npz").write_bytes(bank_bytes(wide))
    with pytest.raises(BankError, match="has 400 channels, and its network gives 384"):
        compile_bank(tmp_path / "wide.npz", tmp_path / "c.onnx")
    assert not (tmp_path / "c.onnx").exists()


def test_verify_finds_a_file_that_was_changed_and_one_of_another_bank(bank: Path, tmp_path: Path) -> None:
    compile_bank(bank, tmp_path / "c.onnx")
    made = onnx.load(tmp_path / "c.onnx")
    held = next(one for one in made.graph.initializer if one.name == CONCEPTS)
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held)[[1, 0, 2]], CONCEPTS))
    onnx.save(made, tmp_path / "changed.onnx")
    assert not verify(tmp_path / "changed.onnx", bank=bank).good
    other = replace(read_bank(bank), names=("x", "y", "z"))
    (tmp_path / "other.npz").write_bytes(bank_bytes(other))
    with pytest.raises(BankError, match="was made of another bank"):
        verify(tmp_path / "c.onnx", bank=tmp_path / "other.npz")


def test_what_is_no_compiled_file_cannot_be_verified() -> None:
    with pytest.raises(ModelError, match="is no compiled file"):
        verify(embedded_model())


def test_what_a_file_is_made_of_is_not_written_over(bank: Path, tmp_path: Path) -> None:
    """Tensors in further files included, which nobody names."""
    network = tmp_path / "net.onnx"
    onnx.save(onnx.load(embedded_model()), network, save_as_external_data=True, location="net.data")
    before = (tmp_path / "net.data").read_bytes()
    for output in (network, tmp_path / "net.data"):
        with pytest.raises(UsageError, match="is what the file is to be made of"):
            compile_fit(network, output, 2)
    with pytest.raises(UsageError, match="is a folder"):
        compile_bank(bank, tmp_path)
    assert (tmp_path / "net.data").read_bytes() == before


def test_a_bank_on_a_layer_that_can_be_negative_is_refused(bank: Path, tmp_path: Path) -> None:
    made = onnx.load(embedded_model())
    before = next(node for node in made.graph.node if "features" in node.output).input[0]
    known = read_bank(bank)
    signed = replace(known, fingerprint=replace(known.fingerprint, layer=before))
    (tmp_path / "signed.npz").write_bytes(bank_bytes(signed))
    with pytest.raises(ModelError, match=r"can be negative .* make .*signed\.npz again with --rectify or --split"):
        compile_bank(tmp_path / "signed.npz", tmp_path / "c.onnx")


def test_figures_that_no_float32_holds_are_refused(bank: Path, tmp_path: Path) -> None:
    known = read_bank(bank)
    beyond = replace(known, thresholds=np.full(3, 1e12, np.float32), peaks=np.full(3, 1e-30, np.float32))
    (tmp_path / "beyond.npz").write_bytes(bank_bytes(beyond))
    with pytest.raises(BankError, match=r"concept 0: has the threshold 1e\+12 and the peak 1e-30"):
        compile_bank(tmp_path / "beyond.npz", tmp_path / "c.onnx")


@pytest.mark.parametrize("opset", [17, 27])
def test_an_opset_that_onnx_runtime_does_not_take_is_refused(opset: int, bank: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"opset: 18 to 26 are possible, found {opset}"):
        compile_bank(bank, tmp_path / "c.onnx", Form(opset=opset))


def test_a_place_that_cannot_be_written_is_an_output_error(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        compile_bank(bank, tmp_path / "file" / "c.onnx")


GOOD = random_pictures([(64, 64)])[0][1]
# What is wrong, and ONNX Runtime's words for it. Smaller pictures ended the process, before the graph looked at them.
BAD = {
    "four channels": (np.zeros((1, 64, 64, 4), np.uint8), "index: 3 Got: 4 Expected: 3"),
    "grey": (np.zeros((1, 64, 64, 1), np.uint8), "index: 3 Got: 1 Expected: 3"),
    "channels first": (np.zeros((1, 3, 64, 64), np.uint8), "index: 3 Got: 64 Expected: 3"),
    "no batch": (np.zeros((64, 64, 3), np.uint8), "Invalid rank for input: image Got: 3 Expected: 4"),
    "floats": (np.zeros((1, 64, 64, 3), np.float32), "Unexpected input data type"),
    "no pictures": (np.zeros((0, 64, 64, 3), np.uint8), "Input shape:{0,64,64,3}, requested shape:{1,64,64,3}"),
    "no pixels": (np.zeros((1, 0, 0, 3), np.uint8), "Input shape:{1,0,0,3}, requested shape:{1,32,32,3}"),
    "one pixel": (np.zeros((1, 1, 1, 3), np.uint8), "Input shape:{1,1,1,3}, requested shape:{1,32,32,3}"),
    "a line": (np.zeros((1, 1, 64, 3), np.uint8), "Input shape:{1,1,64,3}, requested shape:{1,32,64,3}"),
}


@pytest.mark.parametrize("form", [Form(), Form(unroll=20)])
@pytest.mark.parametrize("name", BAD)
def test_input_that_cannot_be_gets_the_runtimes_error(name: str, form: Form, bank: Path, tmp_path: Path) -> None:
    compile_bank(bank, tmp_path / "c.onnx", form)
    runs, (pixels, said) = session(tmp_path / "c.onnx"), BAD[name]
    with pytest.raises(runtime_errors(), match=re.escape(said)):
        runs.run(None, {"image": pixels})
    assert runs.run(None, {"image": GOOD})[1].shape == (1, 3)


def test_what_a_picture_gets_does_not_depend_on_those_beside_it(bank: Path, tmp_path: Path) -> None:
    compile_bank(bank, tmp_path / "c.onnx")
    runs = session(tmp_path / "c.onnx")
    pixels = np.concatenate([one for _, one in random_pictures([(64, 64)] * 5)])
    together = runs.run(None, {"image": pixels})
    for i in range(5):
        for one, all_ in zip(runs.run(None, {"image": pixels[i : i + 1]}), together, strict=True):
            np.testing.assert_allclose(one[0], all_[i], atol=2e-5)
