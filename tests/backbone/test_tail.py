"""The tail of a classifier gives the scores that the whole network gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from nets import by_hand, channels_last, model, saved, weights
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.graph import list_layers
from dff_onnx.backbone.tail import Tail, tail_model
from dff_onnx.backbone.tail_gradient import TailGradient
from dff_onnx.errors import ArrayError, ModelError, UsageError


def classifier(shape: tuple[Any, ...] = ("n", 3, "h", "w"), last: str = "Softmax", classes: int = 5) -> ModelProto:
    """conv, relu1, a residual block (relu2 + relu1 -> sum), pooling, scores, and their softmax."""
    made = model(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Relu", ["conv1"], ["relu1"]),
            helper.make_node("Conv", ["relu1", "w2"], ["conv2"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv2"], ["relu2"]),
            helper.make_node("Add", ["relu2", "relu1"], ["sum"]),
            helper.make_node("Conv", ["sum", "w3"], ["conv3"]),
            helper.make_node("Relu", ["conv3"], ["relu3"]),
            helper.make_node("GlobalAveragePool", ["relu3"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w4", "b4"], ["logits"], transB=1, name="fc"),
            helper.make_node(last, ["logits"], ["answer"]),
        ],
        [weights("w1", 8, 3, 3, 3), weights("w2", 8, 8, 3, 3, seed=1), weights("w3", 10, 8, 3, 3, seed=2),
         weights("w4", classes, 10, seed=3), weights("b4", classes, seed=4)],
        "answer",
        5,
        shape,
    )  # fmt: skip
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", classes]))
    return made


def image(n: int = 3, size: int = 24) -> Any:
    return np.random.default_rng(n).normal(0, 1, (n, 3, size, size)).astype(np.float32)


@pytest.mark.parametrize("layer", ["relu1", "sum", "relu3", "conv1"])
@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Sigmoid", "Identity"])
def test_a_tail_gives_the_scores_before_any_softmax(layer: str, last: str, tmp_path: Path) -> None:
    made, pixels = classifier(last=last), image()
    tail = Tail.open(saved(made, tmp_path), layer, device="cpu")
    found = tail(by_hand(made, layer, pixels))
    np.testing.assert_allclose(found, by_hand(made, "logits", pixels), atol=1e-6)
    assert (tail.layer, tail.classes, tail.fixed, tail.device) == (layer, 5, (None, None, None), "cpu")
    assert tail.channels == (10 if layer == "relu3" else 8)


def test_a_node_means_its_tensor_and_any_number_of_pictures_of_any_size_will_do(tmp_path: Path) -> None:
    made, pixels = classifier(), image(130, 10)
    tail = Tail.open(saved(made, tmp_path), "sum", "fc", device="cpu")
    np.testing.assert_allclose(tail(by_hand(made, "sum", pixels)), by_hand(made, "logits", pixels), atol=1e-6)
    assert tail(np.zeros((0, 8, 5, 5), np.float32)).shape == (0, 5)


def test_a_file_of_a_fixed_batch_and_size_takes_any_number_of_pictures_of_that_size(tmp_path: Path) -> None:
    free, fixed = classifier(), classifier((2, 3, 24, 24))
    tail = Tail.open(saved(fixed, tmp_path), "relu1", device="cpu")
    assert tail.fixed == (2, 12, 12)
    for n in (1, 2, 5):
        pixels = image(n)
        np.testing.assert_allclose(tail(by_hand(free, "relu1", pixels)), by_hand(free, "logits", pixels), atol=1e-6)
    with pytest.raises(UsageError, match="takes grids of a fixed height of 12, the features have 14"):
        tail(np.zeros((1, 8, 14, 12), np.float32))


def test_a_score_for_one_class_alone_is_an_answer(tmp_path: Path) -> None:
    made, pixels = classifier(last="Sigmoid", classes=1), image()
    tail = Tail.open(saved(made, tmp_path), "relu3", device="cpu")
    np.testing.assert_allclose(tail(by_hand(made, "relu3", pixels)), by_hand(made, "logits", pixels), atol=1e-6)
    assert tail.classes == 1


def test_features_of_another_form_are_refused(tmp_path: Path) -> None:
    tail = Tail.open(saved(classifier(), tmp_path), "sum", device="cpu")
    for shape in ((1, 9, 4, 4), (1, 8, 4), (8, 4, 4)):
        with pytest.raises(ArrayError, match=r"features \(n, 8, h, w\) are needed"):
            tail(np.zeros(shape, np.float32))


def test_a_layer_around_which_a_shortcut_passes_is_refused_with_those_that_everything_passes(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"layer 'relu2' does not carry everything.*need 'image'") as refused:
        Tail.open(saved(classifier(), tmp_path), "relu2")
    assert str(refused.value).endswith("as relu1, sum, conv3")


def test_what_is_no_layer_before_scores_is_refused(tmp_path: Path) -> None:
    file = saved(classifier(), tmp_path)
    with pytest.raises(ModelError, match="'flat' has no grid of features"):
        Tail.open(file, "flat")
    with pytest.raises(ModelError, match="has no layer 'nothing'"):
        Tail.open(file, "nothing")
    with pytest.raises(ModelError, match="'relu3' has not one figure a class"):
        Tail.open(file, "sum", "relu3")
    with pytest.raises(ModelError, match="the scores 'pooled' do not come from layer 'pooled'"):
        Tail.open(file, "pooled", "pooled")


def test_two_answers_must_be_told_apart_but_a_softmax_is_no_answer_of_its_own(tmp_path: Path) -> None:
    made = classifier()
    made.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5]))
    Tail.open(saved(made, tmp_path), "sum")
    made.graph.node.append(helper.make_node("Gemm", ["flat", "w4"], ["second"], transB=1))
    made.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, ["n", 5]))
    with pytest.raises(ModelError, match=r"has several answers \(logits, second\)"):
        Tail.open(saved(made, tmp_path), "sum")
    pixels = image()
    second = Tail.open(saved(made, tmp_path), "sum", "second", device="cpu")(by_hand(made, "sum", pixels))
    np.testing.assert_allclose(second, by_hand(made, "second", pixels), atol=1e-6)


def test_a_backbone_has_no_tail(tmp_path: Path) -> None:
    made = channels_last()
    with pytest.raises(ModelError, match="backbone without a classifier"):
        Tail.open(saved(made, tmp_path), "relu1")


def test_channels_that_lie_last_are_turned_at_the_border(tmp_path: Path) -> None:
    made = channels_last()
    made.graph.node.append(helper.make_node("ReduceMean", ["relu1", "places"], ["pooled"], keepdims=0))
    made.graph.node.append(helper.make_node("MatMul", ["pooled", "w2"], ["scores"]))
    made.graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "places"))
    made.graph.initializer.append(weights("w2", 8, 4, seed=2))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4]))
    pixels = image().transpose(0, 2, 3, 1)
    tail = Tail.open(saved(made, tmp_path), "relu1", device="cpu")
    assert (tail.channels, tail.classes) == (8, 4)
    features = by_hand(made, "relu1", pixels).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(tail(features), by_hand(made, "scores", pixels), atol=1e-6)


def test_the_graph_alone_holds_nothing_of_what_lies_before_the_layer() -> None:
    made = tail_model(classifier(), "relu3", None, Path("net.onnx"))
    assert [tensor.name for tensor in made.graph.initializer] == ["w4", "b4"]
    assert "Conv" not in [node.op_type for node in made.graph.node]


def test_real_classifiers_give_their_own_scores_behind_every_layer_that_carries_all(real_data: Path) -> None:
    for name, layers in (
        ("squeezenet1_1", ["/fires.3/Concat_output_0", "/Relu_1_output_0"]),
        ("mobilenetv2-cam", ["/Add_8_output_0", "features"]),
    ):
        path = real_data / "models" / f"{name}.onnx"
        pixels = image(2, 96)
        made = onnx.load(path)
        for layer in layers:
            tail, expected = Tail.open(path, layer, device="cpu"), by_hand(made, "logits", pixels)
            found = tail(by_hand(made, layer, pixels))
            assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_every_layer_of_a_net_either_has_a_tail_or_is_refused_with_layers_that_have_one() -> None:
    made, path = classifier(), Path("net.onnx")
    for candidate in list_layers(made, path, 32):
        try:
            tail_model(made, candidate.name, None, path)
        except ModelError as error:
            named = str(error).rpartition(" as ")[2].split(", ")
            assert named
            for name in named:
                tail_model(made, name, None, path)


@pytest.mark.parametrize("what", ["a backbone", "without its classes", "of a layer without a name", "renamed"])
def test_what_is_no_file_of_a_gradient_is_refused(what: str, tmp_path: Path) -> None:
    source = [
        helper.make_tensor_value_info("A", TensorProto.FLOAT, ["n", 2, "h", "w"]),
        helper.make_tensor_value_info("class", TensorProto.INT64, ["n"]),
    ]
    found = [
        helper.make_tensor_value_info("gradient", TensorProto.FLOAT, ["n", 2, "h", "w"]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
    ]
    nodes = [
        helper.make_node("Add", ["A", "A"], ["gradient"]),
        helper.make_node("Cast", ["class"], ["score"], to=TensorProto.FLOAT),
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "g", source, found), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    said = {
        "dff.format": "dff-onnx/tail-gradient/1",
        "dff.layer": "x",
        "dff.model_sha256": "0" * 64,
        "dff.classes": "5",
    }
    helper.set_model_props(made, said)
    opened = TailGradient.open(saved(made, tmp_path), device="cpu")
    assert (opened.layer, opened.channels, opened.classes) == ("x", 2, 5)
    A = np.ones((3, 2, 4, 4), np.float32)
    np.testing.assert_array_equal(opened(A, np.array([0, 4, 1])), 2 * A)
    with pytest.raises(ArrayError, match="has classes 0 to 4, and is asked for 0 to 5"):
        opened(A, np.array([0, 5, 1]))
    with pytest.raises(ArrayError, match="one class a picture is needed"):
        opened(A, np.array([0.0, 1.0, 2.0]))
    opened.check_belongs("0" * 64, "x", Path("net.onnx"))
    with pytest.raises(ModelError, match=r"of another classifier than net\.onnx"):
        opened.check_belongs("1" * 64, "x", Path("net.onnx"))
    with pytest.raises(ModelError, match=r"at layer 'x' of net\.onnx, not at 'y'"):
        opened.check_belongs("0" * 64, "y", Path("net.onnx"))

    if what == "a backbone":
        del made.metadata_props[:]
    elif what == "without its classes":
        helper.set_model_props(made, said | {"dff.classes": "0"})
    elif what == "of a layer without a name":
        helper.set_model_props(made, said | {"dff.layer": ""})
    else:
        made.graph.input[0].name = made.graph.node[0].input[0] = made.graph.node[0].input[1] = "B"
    with pytest.raises(ModelError, match=r"tail's gradient.*make one with exporters/tail_gradient\.py"):
        TailGradient.open(saved(made, tmp_path))
