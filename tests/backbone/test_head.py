"""The head of a classifier: found in every way it is written, and what it says is what the network says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from heads import (
    BEHIND,
    CASES,
    CHANNELS,
    CLASSES,
    CONV1,
    FIXED,
    FLAT,
    GRID,
    LARGE,
    LINEAR,
    POOL,
    RELU,
    SIZE,
    TENSORS,
    WITHOUT,
    network,
    node,
    reduced,
)
from nets import by_hand, gated, plain, saved, weights
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torture_tier import each, tiers

from dff_onnx.backbone.graph import layout_of
from dff_onnx.backbone.head import FoundHead, answer_named, find_head, usual_head
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import DffError, ModelError, UsageError


def image(made: ModelProto, n: int = 3) -> Any:
    shape = [axis.dim_value for axis in made.graph.input[0].type.tensor_type.shape.dim]
    last = shape[3] == 3 and shape[1] != 3
    drawn = np.random.default_rng(0).normal(0, 1, (shape[0] or n, SIZE, SIZE, 3)).astype(np.float32)
    return drawn if last else np.ascontiguousarray(drawn.transpose(0, 3, 1, 2))


def assert_scores(found: FoundHead, made: ModelProto, answer: str = "logits", tolerance: float = 1e-4) -> None:
    """The head's scores of the features are what ONNX Runtime gives."""
    pixels = image(made)
    features = by_hand(made, found.features, pixels).astype(np.float32)
    if layout_of(made, found.features, Path("net.onnx")) == "NCHW":
        features = np.moveaxis(features, 1, -1)
    assert features.shape[1:3] == (GRID, GRID)
    expected = by_hand(made, answer, pixels).reshape(len(pixels), -1)
    assert expected.shape[1] == found.head.classes == CLASSES and np.ptp(expected, axis=1).min() > 0.05
    scores = found.head.scores(features)
    assert np.abs(scores - expected).max() <= tolerance * np.abs(expected).max()
    np.testing.assert_array_equal(by_hand(made, found.answer, pixels).ravel(), by_hand(made, answer, pixels).ravel())


def head_of_layer(file: ModelFile, layer: str) -> FoundHead | None:
    found = usual_head(file)
    return found if found and found.features == layer else None


def head_of(made: ModelProto, folder: Path, **options: Any) -> FoundHead:
    return find_head(load_model(saved(made, folder)), **options)


@pytest.mark.parametrize("name", CASES)
def test_the_head_that_is_found_gives_the_networks_own_scores(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    made = network(*case.nodes, **case.options)
    found = head_of(made, tmp_path)
    assert (found.features, found.head.pool, found.head.rectified) == (case.features, case.pool, case.rectified)
    assert found.head.weights.dtype == found.head.bias.dtype == np.float32 and not found.head.unit
    assert_scores(found, made)


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_scores_are_those_before_probabilities(last: str, tmp_path: Path) -> None:
    cast = node("Cast", ["logits"], ["double"], to=TensorProto.DOUBLE)
    made = network(POOL, FLAT, LINEAR, cast, node(last, ["double"], ["p"]), outputs=("p",))
    found = head_of(made, tmp_path)
    assert found.answer == "logits"
    assert_scores(found, made)


def test_scores_and_their_probabilities_are_one_head(tmp_path: Path) -> None:
    made = network(POOL, FLAT, LINEAR, node("Softmax", ["logits"], ["prob"]), outputs=("prob", "logits"))
    assert_scores(head_of(made, tmp_path), made)


def test_a_head_in_float16_is_taken_as_float32(tmp_path: Path) -> None:
    held = numpy_helper.to_array(TENSORS[1]).astype(np.float16)
    made = network(
        node("Cast", ["relu1"], ["small"], to=TensorProto.FLOAT16),
        node("GlobalAveragePool", ["small"], ["pooled"]),
        FLAT,
        node("Constant", [], ["half"], value=numpy_helper.from_array(held)),
        node("Gemm", ["flat", "half"], ["product"], transB=1),
        node("Cast", ["product"], ["logits"], to=TensorProto.FLOAT),
    )
    found = head_of(made, tmp_path)
    assert found.features == "small" and found.head.weights.dtype == np.float32
    np.testing.assert_array_equal(found.head.weights, held)
    assert_scores(found, made, "product", 2e-3)  # the network itself rounds to eleven bits


def two_heads() -> ModelProto:
    second = [node("Gemm", ["flat", "wt", "row"], ["second"], name="auxiliary")]
    return network(POOL, FLAT, LINEAR, *second, node("Softmax", ["second"], ["p"]), outputs=("logits", "p"))


def test_of_two_heads_one_must_be_named(tmp_path: Path) -> None:
    made = two_heads()
    with pytest.raises(ModelError, match=r"has several heads \(logits, second\); name one of them with --head"):
        head_of(made, tmp_path)
    for name, answer in (
        *((name, "logits") for name in ("logits", "fc", "w")),
        *((name, "second") for name in ("second", "auxiliary", "wt", "p")),
    ):
        found = head_of(made, tmp_path, linear=name)
        assert found.answer == answer
        assert_scores(found, made, answer)
    assert head_of_layer(load_model(saved(made, tmp_path)), "relu1") is None


@pytest.mark.parametrize("name", ["product", "logits", "mat", "wt", "sum"])
def test_a_named_product_brings_the_bias_behind_it(name: str, tmp_path: Path) -> None:
    made = network(
        reduced(),
        node("MatMul", ["pooled", "wt"], ["product"], name="mat"),
        node("Add", ["product", "b"], ["logits"], name="sum"),
    )
    found = head_of(made, tmp_path, linear=name)
    assert found.answer == "logits" == answer_named(load_model(saved(made, tmp_path)), name)
    assert_scores(found, made)


@pytest.mark.parametrize("name", ["maps", "conv10", "c1", "logits"])
def test_a_named_convolution_brings_its_relu_and_its_pooling(name: str, tmp_path: Path) -> None:
    conv = node("Conv", ["relu1", "c1", "b"], ["maps"], name="conv10")
    made = network(conv, RELU, node("GlobalAveragePool", ["rectified"], ["logits"]))
    found = head_of(made, tmp_path, linear=name)
    assert found.head.rectified and found.features == "relu1"
    assert_scores(found, made)


def test_pooled_features_beside_the_scores_are_no_head_of_their_own(tmp_path: Path) -> None:
    made = network(POOL, FLAT, LINEAR, outputs=("flat", "logits"))
    assert_scores(head_of(made, tmp_path), made)
    found = head_of_layer(load_model(saved(made, tmp_path)), "relu1")
    assert found is not None and found.answer == "logits"


def test_class_maps_beside_the_scores_are_no_second_head(tmp_path: Path) -> None:
    made = network(POOL, BEHIND, node("Flatten", ["planes"], ["logits"]), CONV1, outputs=("maps", "logits"))
    for options in ({}, {"features": "relu1"}, {"features": "rectifier"}, {"linear": "c1"}):
        assert_scores(head_of(made, tmp_path, **options), made)


def test_the_head_may_look_at_another_layer_of_as_many_channels(tmp_path: Path) -> None:
    made = network(node("Conv", ["relu1", "c10"], ["deeper"]), node("GlobalAveragePool", ["deeper"], ["pooled"]),
                   FLAT, LINEAR)  # fmt: skip
    assert head_of(made, tmp_path).features == "deeper"
    moved = head_of(made, tmp_path, features="rectifier")
    assert (moved.features, moved.answer, moved.head.pool) == ("relu1", "logits", "mean")
    np.testing.assert_array_equal(moved.head.weights, head_of(made, tmp_path).head.weights)


def test_a_linear_layer_that_pools_nothing_is_taken_for_the_features_that_are_named(tmp_path: Path) -> None:
    made = network(
        node("MaxPool", ["relu1"], ["window"], kernel_shape=[GRID - 2, GRID - 2], strides=[GRID, GRID]),
        node("Flatten", ["window"], ["flat"]),
        LINEAR,
        shape=FIXED,
    )
    with pytest.raises(ModelError, match="does not follow a pooling over all places: MaxPool 'window' lies before it"):
        head_of(made, tmp_path)
    found = head_of(made, tmp_path, features="relu1")
    assert (found.features, found.head.pool, found.head.channels) == ("relu1", "mean", CHANNELS)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_network_without_such_a_head_is_refused_with_what_is_there(name: str, tmp_path: Path) -> None:
    said, nodes, options = WITHOUT[name]
    made = network(*nodes, **options)
    path = saved(made, tmp_path)
    by_hand(made, made.graph.output[0].name, image(made))  # it is a network
    with pytest.raises(ModelError, match=said) as refused:
        find_head(load_model(path))
    assert str(refused.value).startswith(f"{path}: has no ") and "\n" not in str(refused.value)
    assert head_of_layer(load_model(path), "relu1") is None


@pytest.mark.parametrize("make", [plain, gated])
def test_a_backbone_has_no_head(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="backbone without a classifier; give the whole network"):
        head_of(make(), tmp_path)


def test_features_that_do_not_fit_the_head_are_refused(tmp_path: Path) -> None:
    made = network(node("Conv", ["relu1", "c3"], ["narrow"]), POOL, FLAT, LINEAR, outputs=("logits", "narrow"))
    file = load_model(saved(made, tmp_path))
    with pytest.raises(ModelError, match="head behind 'logits' takes 10 channels, and 'narrow' has 5; name another"):
        find_head(file, "narrow")
    with pytest.raises(ModelError, match="'flat' has no grid of features; `dff-onnx layers` lists"):
        find_head(file, "flat")
    with pytest.raises(ModelError, match="has no layer 'relu9'; the nearest: relu1"):
        find_head(file, "relu9")
    vgg = network(node("Flatten", ["relu1"], ["flat"]), LARGE, shape=FIXED)
    with pytest.raises(ModelError, match="takes 1440 channels, and 'relu1' has 10"):
        head_of(vgg, tmp_path, features="relu1")


def test_what_is_named_must_be_a_linear_layer(tmp_path: Path) -> None:
    file = load_model(saved(network(POOL, FLAT, LINEAR), tmp_path))
    for name in ("relu1", "rectifier"):
        with pytest.raises(UsageError, match=f"'{name}' is a Relu, and a head is a linear layer"):
            find_head(file, linear=name)
    with pytest.raises(UsageError, match=r"has no layer 'nothing' for --head; it has conv1, fc$"):
        find_head(file, linear="nothing")
    for name in ("gap", "conv1"):
        with pytest.raises(ModelError, match="GlobalAveragePool 'gap' pools the features that Gemm 'fc' looks at"):
            find_head(file, linear=name)


def test_weights_that_cannot_be_are_refused_and_are_no_head_of_a_backbone(tmp_path: Path) -> None:
    for damaged, said in (
        (np.full((CLASSES, CHANNELS), np.nan, np.float32), "tensor 'w' holds NaN or infinite values"),
        (np.full((CLASSES, CHANNELS), np.inf, np.float32), "tensor 'w' holds NaN or infinite values"),
        (np.zeros((CLASSES, CHANNELS + 1), np.float32), "tensor 'w' holds no numbers of its shape"),
    ):
        made = network(POOL, FLAT, LINEAR)
        tensor = next(one for one in made.graph.initializer if one.name == "w")
        tensor.raw_data = damaged.tobytes()
        file = load_model(saved(made, tmp_path))
        with pytest.raises(ModelError, match=said):
            find_head(file)
        assert head_of_layer(file, "relu1") is None


@tiers("mutated classifiers")
def test_mutated_classifiers_have_a_head_or_are_refused(
    cases: range, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    originals = [
        np.frombuffer(network(*case.nodes, **case.options).SerializeToString(), np.uint8) for case in CASES.values()
    ]

    def judge(number: int, rng: np.random.Generator) -> str:
        data = originals[number % len(originals)].copy()
        # The nodes come first; where tensors are, most bytes are weights.
        where = rng.integers(0, min(700, len(data)) if number % 2 else len(data), 3)
        data[where] = rng.integers(0, 256, len(where))
        (tmp_path / "m.onnx").write_bytes(data.tobytes())
        try:
            file = load_model(tmp_path / "m.onnx")
        except DffError:
            return "refused"
        try:
            head_of_layer(file, "relu1")
            find_head(file)
        except DffError:
            return "no head"
        return "head"

    found = each(cases, judge)
    assert found["refused"] + found["no head"] > len(cases) / 4 < found["head"] + found["no head"]
    assert capfd.readouterr().out == ""


def test_a_backbone_has_the_head_that_looks_at_its_layer_and_no_other(tmp_path: Path) -> None:
    path = saved(network(node("Conv", ["relu1", "c10"], ["deep"]), node("Relu", ["deep"], ["relu2"]),
                         node("GlobalAveragePool", ["relu2"], ["pooled"]), FLAT, LINEAR), tmp_path)  # fmt: skip
    opened = Backbone.open(path, "relu2", device="cpu")
    assert opened.head is not None
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    whole = by_hand(onnx.load(path), "logits", _normalised(pixels))
    np.testing.assert_allclose(opened.head.scores(np.moveaxis(opened(pixels), 1, -1)), whole, atol=1e-4)
    assert Backbone.open(path, "relu1", device="cpu").head is None
    assert Backbone.open(path, "deep", device="cpu").head is None
    for sign in ("split", "rectify"):
        assert Backbone.open(path, "relu2", device="cpu", sign=sign).head is None
    assert Backbone.open(saved(plain(), tmp_path, "plain.onnx"), "relu2", device="cpu").head is None
    assert Backbone.open(device="cpu").head is None  # the embedded one


def _normalised(pixels: Any) -> Any:
    values = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return values.transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "features", "answer"),
    [("squeezenet1_1", "/fires.7/Concat_output_0", "logits"), ("mobilenetv2-cam", "features", "/c.52/Conv_output_0")],
)
def test_real_classifiers_give_their_own_scores(real_data: Path, name: str, features: str, answer: str) -> None:
    file = load_model(real_data / "models" / f"{name}.onnx")
    for said in (None, features):
        found = find_head(file, said)
        assert (found.features, found.answer) == (features, answer)
    assert head_of_layer(file, features) is not None
    pixels = np.random.default_rng(0).normal(0, 1, (2, 3, 96, 128)).astype(np.float32)
    A = np.moveaxis(by_hand(file.model, features, pixels), 1, -1)
    expected = by_hand(file.model, "logits", pixels)
    assert np.abs(found.head.scores(A) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_more_channels_than_a_network_has_classes_are_no_maps(tmp_path: Path) -> None:
    many = 9000
    maps = node("Conv", ["relu1", "many"], ["maps"], strides=[16, 16])  # no linear layer: it leaves places out
    made = network(maps, node("Relu", ["maps"], ["on"]), node("GlobalAveragePool", ["on"], ["logits"]))
    made.graph.initializer.append(weights("many", many, CHANNELS, 1, 1))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", many, 1, 1]))
    with pytest.raises(ModelError, match=f"pools {many} channels, more than 8192 classes"):
        head_of(made, tmp_path)
    assert head_of_layer(load_model(saved(made, tmp_path)), "on") is None


def test_pooled_features_may_be_classes_for_class_maps_but_are_no_evidence_for_concepts(tmp_path: Path) -> None:
    made = network(node("GlobalAveragePool", ["relu1"], ["logits"]))
    found = head_of(made, tmp_path)
    assert (found.features, found.learned) == ("relu1", False)
    assert head_of_layer(load_model(saved(made, tmp_path)), "relu1") is None


def test_a_classifier_that_names_no_layer_is_opened_where_its_head_looks(tmp_path: Path) -> None:
    made = network(reduced(), node("MatMul", ["pooled", "wt"], ["logits"]))
    backbone = Backbone.open(saved(made, tmp_path), device="cpu")
    assert backbone.fingerprint.layer == "relu1" and backbone.head is not None and backbone.assumed
    assert not Backbone.open(device="cpu").assumed  # the embedded one says it
