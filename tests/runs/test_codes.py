"""Neural codes: any tensor of a network as a descriptor, with or without a grid."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "backbone"))

from nets import weights

from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.cli import main
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.evaluation import retrieval_systems
from dff_onnx.evaluation.retrieval_systems import RetrievalPlan
from dff_onnx.records import Box
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.index import index_folder, plan_index
from dff_onnx.runs.opened_index import open_index
from dff_onnx.runs.whiten import write_whitening

SIDE = 64


def alexnet_like() -> ModelProto:
    """conv, ReLU, pool5 of 4 x 4 cells, flattened; fc6, its ReLU, fc7. A picture must have 64 x 64 pixels."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"], strides=[8, 8]),
            helper.make_node("Relu", ["conv1"], ["relu1"]),
            helper.make_node("MaxPool", ["relu1"], ["pool5"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["pool5"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w6"], ["fc6"], transB=1),
            helper.make_node("Relu", ["fc6"], ["relu6"]),
            helper.make_node("Gemm", ["relu6", "w7"], ["fc7"], transB=1),
        ],
        "codes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("fc7", TensorProto.FLOAT, ["n", 10])],
        [weights("w1", 6, 3, 8, 8), weights("w6", 24, 6 * 16, seed=1), weights("w7", 10, 24, seed=2)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "alex.onnx"
    path.write_bytes(alexnet_like().SerializeToString())
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(64, 64), (40, 120), (200, 90), (70, 64), (64, 65), (96, 96)]):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return tmp_path / "pictures"


def by_runtime(network: Path, layer: str, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """What ONNX Runtime gives at a tensor, flattened, of unit length."""
    model = ModelProto.FromString(network.read_bytes())
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(layer, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    preprocessing = Backbone.open(network, layer, gridless=True).fingerprint.preprocessing
    values = session.run(None, {"image": to_input(pixels[None], preprocessing)})[0].reshape(-1)
    return values / np.linalg.norm(values)


@pytest.mark.parametrize(("layer", "length"), [("fc6", 24), ("relu6", 24), ("fc7", 10), ("flat", 96), ("pool5", 96)])
def test_codes_are_all_that_the_layer_says_of_a_square(network: Path, pictures: Path, layer: str, length: int) -> None:
    describer = Describer(Backbone.open(network, layer, threads=1, gridless=True), DescriptorSettings("codes", SIDE))
    assert describer.dimensions == length
    path = pictures / "b" / "1.png"  # 120 x 40
    for box in (None, Box(10, 5, 70, 35)):
        found = describer.describe(describer.read(path, box))
        image = Image.open(path) if box is None else Image.open(path).crop((box.x0, box.y0, box.x1, box.y1))
        square = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(found.vector, by_runtime(network, layer, square), atol=1e-5)
        assert len(found.parts) == len(found.boxes) == 0


def test_other_descriptors_of_a_layer_without_a_grid_are_refused_in_one_sentence(network: Path) -> None:
    with pytest.raises(ModelError, match=r"alex\.onnx: 'fc6' has no grid of features; .*--descriptor codes"):
        Backbone.open(network, "fc6")


def test_negative_channels_of_a_layer_without_a_grid_can_be_split(network: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    kept, split = (Backbone.open(network, "fc7", sign=sign, gridless=True)(pixels) for sign in ("keep", "split"))
    assert kept.shape == (3, 10, 1, 1) and split.shape == (3, 20, 1, 1)
    np.testing.assert_allclose(split[:, :10] - split[:, 10:], kept, atol=1e-6)


def test_codes_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = alexnet_like()
    model.graph.initializer.append(numpy_helper.from_array(np.float32(-np.inf), "far"))
    model.graph.node.append(helper.make_node("Add", ["fc7", "far"], ["end"]))
    (tmp_path / "far.onnx").write_bytes(model.SerializeToString())
    describer = Describer(Backbone.open(tmp_path / "far.onnx", "end", gridless=True), DescriptorSettings("codes", SIDE))
    with pytest.raises(ModelError, match="not finite"):
        _ = describer.dimensions


def test_an_index_of_codes_is_whitened_searched_and_knows_its_layer(
    network: Path, pictures: Path, tmp_path: Path
) -> None:
    backbone = Backbone.open(network, "fc6", threads=1, gridless=True)
    settings = DescriptorSettings("codes", SIDE)
    write_whitening(pictures, tmp_path / "w.npz", Describer(backbone, settings), 4)
    where = tmp_path / "index.db"
    plan = plan_index(where, {"kind": "codes"}, tmp_path / "w.npz")
    assert plan.settings == settings
    made = index_folder(pictures, where, backbone, plan)
    assert (made.images, made.regions) == (6, 0)
    with open_index(where) as index:  # beside the network: found by its sha256
        assert index.describer.activations.fingerprint.layer == "fc6"
        assert index.describer.dimensions == index.store.identity.dimensions == 4


def test_codes_come_of_squares_of_224_where_nothing_is_said(tmp_path: Path) -> None:
    assert DescriptorSettings("codes").size == plan_index(tmp_path / "n.db", {"kind": "codes"}).settings.size == 224
    assert DescriptorSettings("mac").size == 320
    assert retrieval_systems(["codes"])[0].settings.size == 224


def test_codes_of_several_sizes_or_beside_other_systems_are_refused() -> None:
    with pytest.raises(UsageError, match="one size"):
        DescriptorSettings("codes", scales=(1.0, 0.5))
    with pytest.raises(UsageError, match=r"evaluate codes alone, .*eval compare"):
        RetrievalPlan(retrieval_systems(["codes", "mac"]))


def test_the_commands_take_codes(
    network: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = ["--model", str(network), "--layer", "fc6", "--size", str(SIDE)]

    def run(*words: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        seen = capsys.readouterr()
        return ended.value.code, seen.out + seen.err

    code, said = run("index", pictures, "-o", tmp_path / "c.db", "--descriptor", "codes", *of)
    assert code == 0 and "6 pictures" in said, said
    code, said = run("search", tmp_path / "c.db", pictures / "a" / "0.png", "--top", 1)
    assert code == 0 and "a/0.png" in said, said
    code, said = run("index", pictures, "-o", tmp_path / "c.db")
    assert code == 0, said
    code, said = run("whiten", pictures, "-o", tmp_path / "c.npz", "--descriptor", "codes", *of)
    assert code == 0 and "of 24 dimensions" in said, said
    code, said = run("eval", "retrieval", pictures, "--systems", "codes", *of)
    assert code == 0 and "codes" in said, said
    code, said = run("index", pictures, "-o", tmp_path / "m.db", "--descriptor", "mac", *of)
    assert code == 5 and "has no grid" in said and "--descriptor codes" in said, said
