"""The network of a compiled file gives what the network's own file gives, from pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nets
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.cut import Sign
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.session import Backbone
from dff_onnx.deploy.network import feature_network
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Preprocessing

PASCAL = Preprocessing(mean=(103.9, 116.8, 123.7), std=(1.0, 1.0, 1.0), scale=1.0, channels="BGR")


def made_of(path: Path, layer: str, said: Preprocessing | None = None, sign: Sign = "keep") -> Backbone:
    return Backbone.open(path, layer, preprocessing=said, sign=sign, device="cpu")


def compiled(backbone: Backbone, layer: str, sign: Sign = "keep", **options: object) -> ModelProto:
    network = feature_network(
        load_model(backbone.path),
        layer,
        sign,
        backbone.fingerprint.preprocessing,
        **options,  # type: ignore[arg-type]
    )
    network.model.graph.output.append(helper.make_tensor_value_info(network.features, TensorProto.FLOAT, [None] * 4))
    network.model.ir_version = max(network.model.ir_version, 8)
    onnx.checker.check_model(network.model, full_check=True)
    return network.model


def run(made: ModelProto, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = create_session(made.SerializeToString(), "cpu").run(None, {"image": pixels})[0]
    return found


def older(made: ModelProto) -> ModelProto:
    """Convolutions, ReLUs and pools are what they were ten opsets ago."""
    made.opset_import[0].version = 11
    return made


NETWORKS: dict[str, tuple[Callable[[], ModelProto], str, Preprocessing | None, Sign]] = {
    "floats, channels first": (nets.plain, "relu2", None, "keep"),
    "BGR without division": (nets.plain, "relu2", PASCAL, "keep"),
    "negative values become 0": (nets.plain, "conv3", None, "rectify"),
    "negative values become channels": (nets.plain, "conv3", None, "split"),
    "floats, channels last": (nets.channels_last, "relu1", Preprocessing(), "keep"),
    "pixels, channels last": (lambda: nets.channels_last(kind=TensorProto.UINT8), "relu1", None, "keep"),
    "an inner graph": (nets.branching, "end", None, "keep"),
    "an older opset": (lambda: older(nets.plain()), "relu2", None, "keep"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_are_those_of_the_network_itself(name: str, tmp_path: Path) -> None:
    make, layer, said, sign = NETWORKS[name]
    backbone = made_of(nets.saved(make(), tmp_path), layer, said, sign)
    made = compiled(backbone, layer, sign)
    for pixels in (nets.picture(), nets.picture(1, 64, 33, seed=3)):
        expected = backbone(pixels)
        np.testing.assert_allclose(run(made, pixels), expected, atol=2e-5 * float(np.abs(expected).max()))
    source = made.graph.input[0]
    assert (source.name, source.type.tensor_type.elem_type) == ("image", TensorProto.UINT8)
    assert [axis.dim_value or axis.dim_param for axis in source.type.tensor_type.shape.dim] == ["n", "h", "w", 3]


def test_a_network_of_pixels_channels_first_is_turned(tmp_path: Path) -> None:
    made = nets.plain()
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    made.graph.node.insert(0, helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT))
    made.graph.node[1].input[0] = "pixels"
    backbone = made_of(nets.saved(made, tmp_path), "relu2")
    np.testing.assert_allclose(run(compiled(backbone, "relu2"), nets.picture()), backbone(nets.picture()), rtol=1e-5)


def test_a_size_that_the_network_has_fixed_stays_fixed(tmp_path: Path) -> None:
    backbone = made_of(nets.saved(nets.reshaped((1, 3, 48, 64)), tmp_path), "relu1")
    made = compiled(backbone, "relu1")
    assert [axis.dim_value for axis in made.graph.input[0].type.tensor_type.shape.dim] == [1, 48, 64, 3]
    pixels = nets.picture(1, 48, 64)
    np.testing.assert_allclose(run(made, pixels), backbone(pixels), rtol=1e-5, atol=1e-6)


def test_names_of_the_network_are_kept_apart_from_those_of_outputs(tmp_path: Path) -> None:
    renamed = nets.plain()
    for node in renamed.graph.node:
        for names in (node.input, node.output):
            names[:] = ["scores" if name == "relu1" else name for name in names]
    made = compiled(made_of(nets.saved(renamed, tmp_path), "relu2"), "relu2")
    names = {name for node in made.graph.node for name in node.output}
    assert "scores" not in names and "net/scores" in names


@pytest.mark.parametrize("opset", [18, 21])
def test_the_opset_is_what_was_asked_for(opset: int) -> None:
    backbone = made_of(embedded_model(), "features")
    made = compiled(backbone, "features", opset=opset)
    assert [one.version for one in made.opset_import if one.domain == ""] == [opset]
    pixels = nets.picture(1, 64, 64)
    np.testing.assert_allclose(run(made, pixels), backbone(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("opset", [17, 1000, 0])
def test_an_opset_that_cannot_be_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=r"opset: 18 to \d+ are possible, found"):
        compiled(made_of(embedded_model(), "features"), "features", opset=opset)


def test_weights_in_half_precision_take_half_the_room_and_change_little() -> None:
    backbone = made_of(embedded_model(), "features")
    whole, half = compiled(backbone, "features"), compiled(backbone, "features", float16=True)
    assert half.ByteSize() < 0.55 * whole.ByteSize()
    expected = backbone(nets.picture(1, 96, 96))
    error = np.abs(run(half, nets.picture(1, 96, 96)) - expected).max() / expected.max()
    assert 0 < error < 0.01


def test_weights_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    made = nets.plain()
    made.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full((16, 8, 3, 3), 1e6, np.float32), "w2"))
    with pytest.raises(ModelError, match="w2 has weights beyond float16; leave out --float16"):
        compiled(made_of(nets.saved(made, tmp_path), "relu2"), "relu2", float16=True)
