"""`verify` finds what is wrong with a compiled file, and says what it cannot compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank, bank_bytes, read_bank
from dff_onnx.deploy import Form
from dff_onnx.deploy.metadata import CONCEPTS, KEY
from dff_onnx.errors import BankError, ModelError, NoImagesError
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs import verify as module
from dff_onnx.runs.compared import Compared, may_be, worst_of
from dff_onnx.runs.compile_ import compile_bank, compile_fit
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.verify import session_of, verify

Change = Callable[[ModelProto], None]
BUNNY = Path(__file__).parents[2] / "examples" / "bunny"
PLAIN = Settings(k=3, resize=Resize("square", 64), overlays="none", report="none")


@pytest.fixture
def bank(folder: Path, tmp_path: Path) -> Path:
    run(folder, tmp_path / "run", Backbone.open(threads=1), PLAIN)
    return tmp_path / "run" / "bank.npz"


@pytest.fixture
def compiled(bank: Path, tmp_path: Path) -> Path:
    return compile_bank(bank, tmp_path / "c.onnx").path


@pytest.fixture
def fit(tmp_path: Path) -> Path:
    return compile_fit(embedded_model(), tmp_path / "f.onnx", 3, resize=Resize("square", 64)).path


def changed(path: Path, change: Change) -> Path:
    made = onnx.load(path)
    change(made)
    other = path.with_name("changed.onnx")
    onnx.save(made, other)
    return other


def renamed(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def passed_through(output: str, kind: str, *constants: Any, **attributes: Any) -> Change:
    """What makes an output something else, of any shape."""

    def change(model: ModelProto) -> None:
        renamed(model, output, "before")
        held = [numpy_helper.from_array(np.asarray(value), f"more{i}") for i, value in enumerate(constants)]
        model.graph.initializer.extend(held)
        model.graph.node.append(helper.make_node(kind, ["before", *(one.name for one in held)], [output], **attributes))
        [one] = [one for one in model.graph.output if one.name == output]
        for number, axis in enumerate(one.type.tensor_type.shape.dim):
            axis.dim_param = f"{output}{number}"

    return change


def without(output: str) -> Change:
    def change(model: ModelProto) -> None:
        model.graph.output.remove(next(one for one in model.graph.output if one.name == output))

    return change


def told(field: str, value: Any, concept: int | None = None) -> Change:
    """What the file says of itself, one field changed."""

    def change(model: ModelProto) -> None:
        fields = json.loads(next(one.value for one in model.metadata_props if one.key == KEY))
        (fields if concept is None else fields["concepts"][concept])[field] = value
        helper.set_model_props(model, {KEY: json.dumps(fields)})

    return change


FLOAT = np.float32
WRONG = {
    "boxes": ("boxes", passed_through("boxes", "Add", np.array([9, -3, 40, 11], np.int32))),
    "one side of a box": ("boxes", passed_through("boxes", "Add", np.array([0, 0, 1, 0], np.int32))),
    "empty boxes": ("boxes", passed_through("boxes", "Mul", np.int32(0))),
    "boxes of another shape": ("boxes", passed_through("boxes", "Reshape", np.array([1, 4, 3]))),
    "scores": ("scores", passed_through("scores", "Mul", FLOAT(1.001))),
    "fewer scores": ("scores", passed_through("scores", "Slice", np.array([0]), np.array([2]), np.array([1]))),
    "heat maps": ("heatmaps", passed_through("heatmaps", "Add", FLOAT(2e-3))),
    "no number": ("loss", passed_through("loss", "Div", FLOAT(0))),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_output_that_is_not_pythons_is_found(name: str, compiled: Path, folder: Path) -> None:
    output, change = WRONG[name]
    for pictures in (None, folder):
        found = verify(changed(compiled, change), pictures)
        assert [one.output for one in found.compared if not one.good] == [output]
    assert found.to_dict()["good"] is False


def test_a_difference_is_told_with_its_picture_and_how_many_boxes_differ(compiled: Path, folder: Path) -> None:
    found = {one.output: one for one in verify(changed(compiled, WRONG["boxes"][1]), folder).compared}
    assert found["boxes"].largest == found["boxes"].differ == found["boxes"].of == 21
    assert found["boxes"].note == "21 of 21 differ" and found["boxes"].where.endswith(".png")


def test_a_box_may_differ_where_a_value_lies_at_the_threshold(bank: Path, folder: Path, tmp_path: Path) -> None:
    """The threshold is the highest value of a map, and Python's a little above: it finds nothing, the file a box."""
    known, path = read_bank(bank), compile_bank(bank, tmp_path / "c.onnx").path
    pixels = read_picture(folder / "0.png", PLAIN.resize).pixels[None]
    highest = session_of(onnx.load(path), path).run(["heatmaps"], {"image": pixels})[0][0, 0].max()
    at = replace(known, thresholds=known.thresholds.copy())
    at.thresholds[0] = highest * known.peaks[0]
    (tmp_path / "at.npz").write_bytes(bank_bytes(at))
    path = compile_bank(tmp_path / "at.npz", tmp_path / "at.onnx").path
    for above, good in ((3e-6, True), (1e-3, False)):
        moved = changed(path, told("threshold", float(highest) + above, 0))
        found = {one.output: one for one in verify(moved, folder / "0.png").compared}["boxes"]
        assert (found.differ, found.good) == (1, good)
        assert found.note == ("1 of 3 differ, 1 with a value at the threshold" if good else "1 of 3 differ")


UNFIT: dict[str, Change] = {
    "no loss": without("loss"),
    "no scores": without("scores"),
    "another name": lambda model: (renamed(model, "kkt", "other"), setattr(model.graph.output[4], "name", "other"))[0],
    "more outputs": lambda model: model.graph.output.append(
        helper.make_tensor_value_info(CONCEPTS, TensorProto.FLOAT, [3, 384])
    ),
    "another type": lambda model: (
        passed_through("scores", "Cast", to=TensorProto.DOUBLE)(model),
        setattr(model.graph.output[1].type.tensor_type, "elem_type", TensorProto.DOUBLE),
    )[0],
    "regions said to be masks": told("boxes", "masks"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_file_without_the_outputs_of_its_kind_is_refused(name: str, compiled: Path) -> None:
    with pytest.raises(ModelError, match=r"changed\.onnx: gives .*, and a file of its kind .*; compile it again"):
        verify(changed(compiled, UNFIT[name]))


DAMAGED: dict[str, Change] = {
    "kind": told("kind", "other"),
    "no count": told("k", True),
    "another count": told("k", 2),
    "rounds": told("unroll", 0),
    "boxes": told("boxes", ["regions"]),
    "half": told("float16", "no"),
    "classes": told("classes", -1),
    "bank": told("bank_sha256", 5),
    "limit": told("limit", "x"),
    "size": told("resize", {"mode": "square", "pixels": "x"}),
    "fingerprint": told("fingerprint", None),
    "number": told("number", 1, 0),
    "name": told("name", 7, 1),
    "colour": told("colour", None, 2),
    "threshold": told("threshold", "x", 0),
    "peak": told("peak", 10**400, 0),
    "energy": told("energy", [], 0),
    "no concepts": told("concepts", None),
    "no texts": lambda model: helper.set_model_props(model, {KEY: "\x1b[2J["}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_a_file_says_of_itself_is_looked_at(name: str, compiled: Path) -> None:
    with pytest.raises(ModelError, match="what it says of itself is damaged") as caught:
        verify(changed(compiled, DAMAGED[name]))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_a_file_that_says_half_precision_and_has_none_is_judged_as_any_other(compiled: Path) -> None:
    def change(model: ModelProto) -> None:
        told("float16", True)(model)
        passed_through("scores", "Mul", FLOAT(1.001))(model)

    assert not verify(changed(compiled, change)).good


def test_a_changed_factorization_is_found(fit: Path) -> None:
    assert verify(fit).good
    for output, change in {
        "loss": passed_through("loss", "Mul", FLOAT(1.1)),
        "coefficients": passed_through("coefficients", "Mul", FLOAT(1.1)),
        "heatmaps": passed_through("heatmaps", "Mul", FLOAT(1.1)),
        "scores": passed_through("scores", "Mul", FLOAT(1.1)),
    }.items():
        assert output in [one.output for one in verify(changed(fit, change)).compared if not one.good]
    assert not verify(changed(fit, passed_through("concepts", "Div", FLOAT(0)))).good
    with pytest.raises(ModelError, match=r"its concepts and coefficients have the shapes \(3, 384\) and .* 4\)"):
        verify(changed(fit, told("k", 4)))


def test_a_factorization_is_compared_on_pictures_of_one_size(fit: Path, tmp_path: Path, folder: Path) -> None:
    free = changed(fit, told("resize", {"mode": "short", "pixels": 64}))
    Image.open(folder / "0.png").rotate(90, expand=True).save(folder / "8.png")
    found = verify(free, folder)
    assert found.good and found.pictures == 7
    with pytest.raises(BankError, match="was made of another bank"):
        (tmp_path / "bank.npz").write_bytes(bank_bytes(alike(0.5)))
        verify(fit, bank=tmp_path / "bank.npz")


def test_a_broken_picture_is_told_and_the_others_are_compared(compiled: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    found = verify(compiled, folder)
    assert found.good and found.pictures == 7
    assert [one.path for one in found.failures] == ["broken.png"] and found.to_dict()["failures"][0]["reason"]
    (tmp_path / "all").mkdir()
    (folder / "broken.png").rename(tmp_path / "all" / "broken.png")
    with pytest.raises(NoImagesError, match="not one of 1 pictures can be used"):
        verify(compiled, tmp_path / "all")


def alike(apart: float) -> Bank:
    """Eight concepts of the embedded network, two of which differ by so much."""
    rng = np.random.default_rng(1)
    W = np.abs(rng.normal(0, 1, (8, 384))).astype(np.float32)
    W[1] = W[0] + apart * np.abs(rng.normal(0, 1, 384))
    return Bank(
        W=W / np.linalg.norm(W, axis=1, keepdims=True),
        thresholds=np.full(8, 0.5, np.float32),
        peaks=np.full(8, 2, np.float32),
        energy=np.full(8, 1 / 8, np.float32),
        names=(None,) * 8,
        colours=("#000000",) * 8,
        fingerprint=Backbone.open(threads=1).fingerprint,
        resize=Resize("square", 64),
    )


@pytest.mark.parametrize("apart", [0.1, 0.03, 0.01, 0.003])
def test_concepts_that_are_much_alike_compile(apart: float, tmp_path: Path) -> None:
    """Coordinate descent ends short of the optimum there, and pivoting does not."""
    (tmp_path / "bank.npz").write_bytes(bank_bytes(alike(apart)))
    compile_bank(tmp_path / "bank.npz", tmp_path / "c.onnx")
    assert verify(tmp_path / "c.onnx").good and verify(tmp_path / "c.onnx", BUNNY).good
    assert not verify(changed(tmp_path / "c.onnx", passed_through("scores", "Mul", FLOAT(1.5)))).good


def test_the_worst_of_pictures_is_what_is_no_number() -> None:
    rows = [Compared("loss", 5e-5, 1e-4, "a"), Compared("loss", float("nan"), 1e-4, "b")]
    for some in (rows, rows[::-1]):
        assert worst_of(some).where == "b" and not worst_of(some).good


def test_boxes_of_maps_that_may_be_off_lie_between_the_least_and_the_largest() -> None:
    maps = np.array([[[0.1, 0.49, 0.6, 0.9, 0.6, 0.49]]], np.float32)
    half = np.array([0.5], np.float32)
    for box, largest, good in (
        ([2, 0, 5, 1], False, True), ([1, 0, 6, 1], False, True), ([1, 0, 5, 1], False, True),
        ([0, 0, 5, 1], False, False), ([3, 0, 4, 1], False, False), ([3, 0, 4, 1], True, True),
    ):  # fmt: skip
        assert bool(may_be(np.array([box]), maps, half, largest, near=0.02)[0]) == good


def test_random_pictures_have_several_shapes(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = set[tuple[int, ...]]()
    honest = module.reference
    monkeypatch.setattr(module, "reference", lambda *given: (shapes.add(given[3].shape), honest(*given))[1])
    assert verify(compiled).good and shapes == {(1, 64, 64, 3), (1, 64, 85, 3), (1, 96, 64, 3)}


def fixed(batch: int, kind: Any = np.float32) -> ModelProto:
    """A network that takes so many pictures of 64 x 96 at once, and no others."""
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.normal(0, 0.3, (8, 3, 4, 4)).astype(kind), "weights")
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=weights.data_type),
        helper.make_node("Conv", ["cast", "weights"], ["conv"], strides=[4, 4]),
        helper.make_node("Reshape", ["conv", "shape"], ["grid"]),
        helper.make_node("Relu", ["grid"], ["relu"]),
        helper.make_node("Cast", ["relu"], ["features"], to=TensorProto.FLOAT),
    ]
    shape = numpy_helper.from_array(np.array([batch, 8, 16, 24]), "shape")
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 64, 96])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 8, 16, 24])],
        [weights, shape],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def bank_of(network: Path) -> Bank:
    W = np.abs(np.random.default_rng(1).normal(0, 1, (3, 8))).astype(np.float32)
    return Bank(
        W=W / np.linalg.norm(W, axis=1, keepdims=True),
        thresholds=np.full(3, 0.5, np.float32),
        peaks=np.full(3, 2, np.float32),
        energy=np.full(3, 1 / 3, np.float32),
        names=(None,) * 3,
        colours=("#000000",) * 3,
        fingerprint=Backbone.open(load_model(network), "relu", threads=1).fingerprint,
    )


@pytest.mark.parametrize(("batch", "kind"), [(1, np.float32), (4, np.float32), (1, np.float16)])
def test_networks_of_a_fixed_batch_and_those_in_half_precision_compile(batch: int, kind: Any, tmp_path: Path) -> None:
    network = tmp_path / "net.onnx"
    network.write_bytes(fixed(batch, kind).SerializeToString())
    (tmp_path / "bank.npz").write_bytes(bank_bytes(bank_of(network)))
    made = compile_bank(tmp_path / "bank.npz", tmp_path / "c.onnx", model=network)
    assert made.inputs == (batch, 64, 96, 3)
    assert verify(tmp_path / "c.onnx", model=network).good
    compile_fit(network, tmp_path / "f.onnx", 2, layer="relu")
    assert verify(tmp_path / "f.onnx", model=network).pictures == (6 if batch == 1 else 4) // (6 if batch == 1 else 1)


def test_half_precision_does_not_hide_wrong_boxes(bank: Path, folder: Path, tmp_path: Path) -> None:
    path = compile_bank(bank, tmp_path / "h.onnx", Form(float16=True)).path
    assert verify(path, folder).good
    for change in (WRONG["boxes"][1], passed_through("boxes", "Add", np.array([-64, -64, 64, 64], np.int32))):
        assert not verify(changed(path, change), folder).good


def test_a_graph_that_differs_is_not_written(bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dff_onnx.runs.compile_ as module

    wrong = replace(read_bank(bank), W=read_bank(bank).W[[1, 0, 2]])
    honest = module.compiled_bank
    monkeypatch.setattr(module, "compiled_bank", lambda _, *others: honest(wrong, *others))
    with pytest.raises(ModelError, match=r"differs from the Python pipeline: heatmaps by .*nothing was written"):
        compile_bank(bank, tmp_path / "c.onnx")
    assert not (tmp_path / "c.onnx").exists()
