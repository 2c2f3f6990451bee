"""A network in eight bits: what the tool is spared, what it makes, and what is put right afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from nets import branching, by_hand, channels_last, model, picture, plain, saved, weights
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import metadata_of
from dff_onnx.backbone.image_input import TORCHVISION
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.backbone.session import to_input
from dff_onnx.deploy.quantize import quantized
from dff_onnx.errors import ModelError
from dff_onnx.records import Preprocessing

PICTURES = [picture(1, seed=seed) for seed in range(6)]
HERE = Path("net.onnx")


def floats(number: int) -> NDArray[Any]:
    return to_input(PICTURES[number], TORCHVISION)


def pixels(number: int) -> NDArray[Any]:
    return PICTURES[number]


def made_of(network: ModelProto, layer: str, feed: Callable[[int], NDArray[Any]] = floats) -> ModelProto:
    """The network up to a layer in eight bits."""
    return quantized(cut(ModelFile(HERE, network, ""), [layer]), HERE, feed, len(PICTURES))


def difference(
    network: ModelProto, made: ModelProto, layer: str, feed: Callable[[int], NDArray[Any]] = floats
) -> float:
    """Of the layer's values for a picture that was not calibrated on, relative to their length."""
    values = np.concatenate([feed(0)[..., ::-1, :], feed(1)[..., ::-1, :]])
    before, after = (by_hand(one, layer, values) for one in (network, made))
    return float(np.linalg.norm(before - after) / np.linalg.norm(before))


def kinds(made: ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


def constant(made: ModelProto, name: str) -> NDArray[Any]:
    return numpy_helper.to_array(next(one for one in made.graph.initializer if one.name == name))


def whole_weights(made: ModelProto) -> list[NDArray[Any]]:
    """The convolutions' weights in whole numbers, in the order of the graph."""
    makers = {node.output[0]: node for node in made.graph.node}
    convolutions = [node for node in made.graph.node if node.op_type == "Conv"]
    return [constant(made, makers[node.input[1]].input[0]) for node in convolutions]


def convolution(source: str, weight: str, output: str, bias: str | None = None, **attributes: Any) -> NodeProto:
    inputs = [source, weight, *([bias] if bias else [])]
    return helper.make_node("Conv", inputs, [output], **{"pads": [1, 1, 1, 1], **attributes})


def figures(**values: Any) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(one, np.float32), name) for name, one in values.items()]


def test_a_network_in_eight_bits_gives_nearly_the_same() -> None:
    made = made_of(plain(), "relu2")
    assert 0 < difference(plain(), made, "relu2") < 0.03
    first, second = whole_weights(made)
    assert first.dtype == second.dtype == np.int8 and second.shape == (16, 8, 3, 3)
    steps = [one for one in made.graph.initializer if one.data_type == TensorProto.FLOAT and list(one.dims) == [16]]
    assert len(steps) == 2  # of the weights by output channel, and of the biases
    assert "relu2" in nonnegative_tensors(made.graph)
    assert kinds(made)[-2:] == ["DequantizeLinear", "Relu"]  # see `_finish`


def test_runtimes_that_take_the_file_literally_give_the_same() -> None:
    """Each weight by the step of its output channel, then a convolution in float."""
    made = made_of(plain(), "relu2")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    [literally] = session.run(None, {"image": floats(0)})
    usually = by_hand(made, "relu2", floats(0))
    step = max(constant(made, node.input[1]).max() for node in made.graph.node if node.op_type == "QuantizeLinear")
    assert np.abs(literally - usually).max() <= 1.01 * step  # rounded to the other side


def test_input_output_axes_and_metadata_stay(tmp_path: Path) -> None:
    file = load_model(saved(plain(), tmp_path))
    said = Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
    source = cut(file, ["relu2"], preprocessing=said)
    made = quantized(source, file.path, floats, len(PICTURES))
    assert list(made.graph.input) == list(source.graph.input)
    assert list(made.graph.output) == list(source.graph.output)
    assert metadata_of(made, file.path) == metadata_of(source, file.path)
    assert [one.domain for one in made.opset_import] == [""]
    for shape in ((1, 3, 40, 56), (3, 3, 97, 41)):
        found = by_hand(made, "relu2", np.zeros(shape, np.float32))
        assert found.shape == by_hand(plain(), "relu2", np.zeros(shape, np.float32)).shape


def test_the_same_network_and_pictures_give_the_same_bytes() -> None:
    first, second = (made_of(plain(), "relu2").SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_a_layer_that_can_be_negative_stays_so() -> None:
    made = made_of(plain(), "conv3")
    assert by_hand(made, "conv3", floats(0)).min() < 0 and difference(plain(), made, "conv3") < 0.05
    assert "conv3" not in nonnegative_tensors(made.graph)


def test_no_pair_of_products_exceeds_what_processors_without_vnni_add_in() -> None:
    """Where all inputs are as large as they get, and all weights of a channel alike."""
    flat = np.full((8, 3, 3, 3), 0.1, np.float32)
    flat[4:] *= -1
    flat[0, 1:] = 0  # one large weight a place is no pair
    flat[0, 0, 1:] = 0
    flat[0, 0, 0, 1:] = 0
    tensors = [numpy_helper.from_array(flat, "w1")]
    network = model(
        [convolution("image", "w1", "conv1"), helper.make_node("Relu", ["conv1"], ["end"])], tensors, "end", 8
    )
    [whole] = whole_weights(made_of(network, "end", lambda _: np.ones((1, 3, 24, 24), np.float32)))
    products = 255 * np.sort(np.abs(whole.reshape(8, -1).astype(int)), axis=1)
    assert (products[:, -2:].sum(axis=1) <= 2**15 - 1).all()
    assert products[0, -1] == 255 * 127 and (products[1:, -1] > 255 * 63).all()  # no coarser than that


def test_of_a_grouped_convolution_each_group_has_inputs_of_its_own() -> None:
    nodes = [convolution("image", "w1", "conv1", group=2), helper.make_node("Relu", ["conv1"], ["end"])]
    tensors = [numpy_helper.from_array(np.full((8, 2, 3, 3), 0.1, np.float32), "w1")]
    network = model(nodes, tensors, "end", 8, ("n", 4, "h", "w"))
    bright = np.ones((1, 4, 24, 24), np.float32)
    bright[:, 2:] /= 4
    made = quantized(network, HERE, lambda _: bright, 1)
    [whole] = whole_weights(made)
    assert (whole[:4] == 64).all() and (whole[4:] == 127).all()


def test_channels_that_are_dead_or_nearly_so_keep_their_bias() -> None:
    values = np.random.default_rng(0).normal(0, 1, (8, 3, 3, 3))
    values[0], values[1] = 0, 1e-20
    bias = np.array([0.0, 5.0, *np.ones(6)])
    nodes = [convolution("image", "w1", "conv1", "b1"), helper.make_node("Relu", ["conv1"], ["end"])]
    network = model(nodes, figures(w1=values, b1=bias), "end", 8)
    made = made_of(network, "end")
    dead, nearly = by_hand(made, "end", floats(0))[0, :2]
    assert dead.max() == 0 and nearly == pytest.approx(np.full_like(nearly, 5.0), rel=0.01)


def test_depthwise_convolutions_keep_all_bits() -> None:
    nodes = [convolution("image", "w1", "conv1", group=3), helper.make_node("Relu", ["conv1"], ["end"])]
    network = model(nodes, [numpy_helper.from_array(np.full((9, 1, 3, 3), 0.1, np.float32), "w1")], "end", 9)
    [whole] = whole_weights(made_of(network, "end", lambda _: np.ones((1, 3, 24, 24), np.float32)))
    assert whole.max() == 127


def test_biases_make_up_for_what_rounding_adds_on_average() -> None:
    """Weights that nearly cancel, and inputs that are all much larger than their differences."""
    rng = np.random.default_rng(0)
    cancelling = rng.normal(0, 1, (8, 3, 3, 3))
    cancelling -= cancelling.mean(axis=(1, 2, 3), keepdims=True) - 0.0005
    nodes = [convolution("image", "w1", "conv1", pads=[0, 0, 0, 0])]
    network = model(nodes, figures(w1=cancelling), "conv1", 8)

    def bright(number: int) -> NDArray[np.float32]:
        return (10 + np.random.default_rng(number).normal(0, 0.1, (1, 3, 24, 24))).astype(np.float32)

    made = made_of(network, "conv1", bright)
    before, after = (by_hand(one, "conv1", bright(99)).mean(axis=(0, 2, 3)) for one in (network, made))
    rounded = [whole / np.abs(whole).max() for whole in whole_weights(made)[0].reshape(8, -1).astype(float)]
    exact = [w / np.abs(w).max() for w in cancelling.reshape(8, -1)]
    shifts = [abs(10 * (r - e).sum() * np.abs(w).max()) for r, e, w in zip(rounded, exact, cancelling, strict=True)]
    assert np.abs(before - after).max() < 0.1 * max(shifts)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_normalisation_of_pixels_becomes_one_operator(order: str) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["planes", "order"], ["ordered"], axis=1),
        helper.make_node("Sub", ["ordered", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "half"], ["halved"]),
        helper.make_node("Add", ["one", "halved"], ["normal"]),
        convolution("normal", "w1", "conv1", strides=[2, 2]),
        helper.make_node("Relu", ["conv1"], ["end"]),
    ]
    mean, std = np.reshape([120.0, 110, 100], (3, 1, 1)), np.reshape([60.0, 50, 70], (1, 3, 1, 1))
    tensors = [weights("w1", 8, 3, 3, 3), *figures(mean=mean, std=std, half=0.5, one=[0.1])]
    tensors.append(numpy_helper.from_array(np.array([2, 1, 0] if order == "BGR" else [0, 1, 2], np.int64), "order"))
    network = model(nodes, tensors, "end", 8, ("n", "h", "w", 3), TensorProto.UINT8)
    made = made_of(network, "end", pixels)
    assert kinds(made).count("BatchNormalization") == 1
    assert not {"Sub", "Div", "Mul", "Add"} & set(kinds(made))
    assert difference(network, made, "end", pixels) < 0.02


def test_arithmetic_that_is_no_normalisation_stays_as_it_is() -> None:
    made = made_of(channels_last(), "relu1", lambda number: floats(number).transpose(0, 2, 3, 1))
    assert "Add" in kinds(made) and "BatchNormalization" not in kinds(made)
    nodes = [
        helper.make_node("Sub", ["mean", "image"], ["centred"]),  # the other way round
        convolution("centred", "w1", "conv1"),
        helper.make_node("Relu", ["conv1"], ["end"]),
    ]
    network = model(nodes, [weights("w1", 8, 3, 3, 3), *figures(mean=np.ones((3, 1, 1)))], "end", 8)
    made = made_of(network, "end")
    assert "Sub" in kinds(made) and difference(network, made, "end") < 0.02


def test_where_normalisation_comes_first_sums_and_the_first_convolution_stay_in_float() -> None:
    """A block of a ResNet v2: the sum that all blocks add to is normalised in front of each of them."""
    nodes = [
        convolution("image", "w1", "conv1"),
        helper.make_node("MaxPool", ["conv1"], ["pool1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Mul", ["pool1", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["relu1"]),
        convolution("relu1", "w2", "conv2"),
        helper.make_node("Add", ["conv2", "pool1"], ["sum"]),
        helper.make_node("Mul", ["sum", "scale2"], ["end_scaled"]),
        helper.make_node("Relu", ["end_scaled"], ["end"]),
    ]
    columns = np.geomspace(0.1, 10, 8).reshape(8, 1, 1)
    tensors = [weights("w1", 8, 3, 3, 3), weights("w2", 8, 8, 3, 3), *figures(scale=columns, shift=0.3, scale2=columns)]
    network = model(nodes, tensors, "end", 8)
    made = made_of(network, "end")
    makers = {node.output[0]: node for node in made.graph.node}
    first, second = [node for node in made.graph.node if node.op_type == "Conv"]
    assert first.input[1] not in makers and makers[second.input[1]].op_type == "DequantizeLinear"
    assert all(makers[name].op_type == "MaxPool" for node in made.graph.node for name in node.input if name == "pool1")
    assert kinds(made)[-3:] == ["Add", "Mul", "Relu"] and difference(network, made, "end") < 0.02


def test_a_first_convolution_that_another_one_reads_is_quantized_beside_arithmetic() -> None:
    nodes = [
        convolution("image", "w1", "conv1"),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        convolution("relu1", "w2", "conv2"),
        helper.make_node("Add", ["relu1", "conv2"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["end"]),
    ]
    made = made_of(model(nodes, [weights("w1", 8, 3, 3, 3), weights("w2", 8, 8, 3, 3)], "end", 8), "end")
    assert len(whole_weights(made)) == 2


def test_a_pad_goes_into_its_convolution() -> None:
    nodes = [
        helper.make_node("Pad", ["image", "pads", ""], ["padded"]),
        convolution("padded", "w1", "conv1", pads=[0] * 4),
        helper.make_node("Relu", ["conv1"], ["end"]),
    ]
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64), "pads")
    network = model(nodes, [weights("w1", 8, 3, 3, 3), pads], "end", 8)
    made = made_of(network, "end")
    assert "Pad" not in kinds(made) and difference(network, made, "end") < 0.02


def test_a_weight_that_two_convolutions_share_serves_both() -> None:
    """Pairs of products of the first could saturate, those of the second could not: its steps may be finer."""
    nodes = [
        convolution("image", "w1", "conv1", "b1", pads=[0] * 4),
        helper.make_node("Mul", ["image", "less"], ["darker"]),
        convolution("darker", "w1", "conv2", "b1", pads=[0] * 4),
        helper.make_node("Concat", ["conv1", "conv2"], ["both"], axis=1),
        helper.make_node("Relu", ["both"], ["end"]),
    ]
    less = np.reshape([1, 0.001, 0.001], (3, 1, 1))
    tensors = figures(w1=np.full((8, 3, 1, 1), 0.1), less=less, b1=np.full(8, 1.0))
    network = model(nodes, tensors, "end", 16)

    def positive(number: int) -> NDArray[np.float32]:
        return np.abs(floats(number))

    made = made_of(network, "end", positive)
    coarse, fine = sorted(int(whole.max()) for whole in whole_weights(made))
    assert coarse < 70 and fine == 127
    assert difference(network, made, "end", positive) < 0.01


@pytest.mark.parametrize("opset", [7, 11, 13, 21])
def test_old_and_new_opsets_are_quantized(opset: int) -> None:
    network = plain()
    network.opset_import[0].version, network.ir_version = opset, 3 if opset == 7 else 8 if opset < 20 else 10
    if opset == 7:  # files of that time list their initializers among the inputs
        for tensor in network.graph.initializer:
            network.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    made = made_of(network, "relu2")
    assert difference(plain(), made, "relu2") < 0.03 and made.opset_import[0].version == max(opset, 13)


def test_control_flow_stays_in_float() -> None:
    made = made_of(branching(), "end")
    assert len(whole_weights(made)) == 1 and difference(branching(), made, "end") < 0.03


def test_the_tool_is_not_heard(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = list(logging.root.handlers)
    made_of(plain(), "relu2")
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == before and not list(tmp_path.iterdir())


def gathered(kind: int) -> ModelProto:
    """Weights of another type, cast where they are used."""
    nodes = [helper.make_node("Cast", ["image"], ["cast"], to=kind), convolution("cast", "w1", "conv1")]
    nodes += [
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Cast", ["relu1"], ["end"], to=TensorProto.FLOAT),
    ]
    values = np.ones((8, 3, 3, 3), helper.tensor_dtype_to_np_dtype(kind))
    return model(nodes, [numpy_helper.from_array(values, "w1")], "end", 8)


REFUSED: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "quantized": (lambda: made_of(plain(), "relu2"), r"net\.onnx: is quantized already; quantize the float32 network"),
    "half": (lambda: gathered(TensorProto.FLOAT16), r"net\.onnx: has weights in float16; quantize the float32 network"),
    "double": (lambda: gathered(TensorProto.DOUBLE), r"net\.onnx: has weights in double"),
    "pooling": (
        lambda: model([helper.make_node("MaxPool", ["image"], ["end"], kernel_shape=[2, 2])], [], "end", 3),
        r"net\.onnx: has no convolution up to this layer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_quantized_is_refused_in_a_sentence(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(ModelError, match=sentence):
        quantized(make(), HERE, floats, len(PICTURES))


def test_what_the_tool_refuses_is_said_in_a_sentence() -> None:
    def wrong(_: int) -> NDArray[np.float32]:
        return np.zeros((1, 4, 40, 56), np.float32)

    with pytest.raises(ModelError, match=r"^net\.onnx: cannot be quantized: .*invalid dimensions.*") as refused:
        quantized(plain(), HERE, wrong, 2)
    assert "\n" not in str(refused.value)


def test_a_network_of_convolutions_with_computed_biases_is_refused() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["image", "places"], ["bias"], keepdims=0),
        convolution("image", "w1", "end", "bias"),
    ]
    places = numpy_helper.from_array(np.array([0, 2, 3], np.int64), "places")
    network = model(nodes, [weights("w1", 3, 3, 3, 3), places], "end", 3)
    with pytest.raises(
        ModelError, match=r"^net\.onnx: has no convolution over height and width whose weights and bias are constant"
    ):
        quantized(network, HERE, floats, len(PICTURES))
