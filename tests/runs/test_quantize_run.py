"""A network in eight bits, and what that does to heat maps: the figures, the file, the mistakes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import metadata_of
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import ModelError, NoImagesError, OutputError, UsageError
from dff_onnx.export import export_file
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize
from dff_onnx.records import Grid, Preprocessing
from dff_onnx.runs.collect import Collected
from dff_onnx.runs.compile_ import compile_fit
from dff_onnx.runs.quantize import ConceptKept, Effect, effect_on, quantize
from dff_onnx.runs.seen import Seen

SMALL = Resize("square", 64)
ROOT = Path(__file__).parent.parent.parent
HALF = Preprocessing(mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
OXFORD = Preprocessing(mean=(123.68, 116.779, 103.939), std=(1.0,) * 3, scale=1.0)


def network(shape: tuple[Any, ...] = ("n", 3, "h", "w"), kind: int = TensorProto.FLOAT) -> ModelProto:
    """conv, relu1 (8 channels, stride 4), conv, relu2 (8 channels, stride 8), and one that can be negative."""
    rng = np.random.default_rng(0)
    sizes = {"w1": (8, 3, 4, 4), "w2": (8, 8, 2, 2), "w3": (9, 8, 1, 1)}
    tensors = [numpy_helper.from_array(rng.normal(0, 0.2, s).astype(np.float32), name) for name, s in sizes.items()]
    planes = [helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT)]
    if shape[-1] == 3:
        planes.append(helper.make_node("Transpose", ["cast"], ["planes"], perm=[0, 3, 1, 2]))
    nodes = [
        *planes,
        helper.make_node("Conv", [planes[-1].output[0], "w1"], ["conv1"], strides=[4, 4]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "w2"], ["conv2"], strides=[2, 2]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("Conv", ["relu2", "w3"], ["conv3"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, None, None])
        for name, channels in (("relu2", 8), ("conv3", 9))
    ]
    inputs = [helper.make_tensor_value_info("image", kind, list(shape))]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(network().SerializeToString())
    return tmp_path / "net.onnx"


def collected(A: NDArray[np.float32], pictures: int) -> Collected:
    """Rows of pictures of 4 x 4 cells, seen by the network at 16 x 16 pixels."""
    size = Grid(16, 16)
    seen = tuple(Seen(Path(f"{i}.png"), size, size, Grid(4, 4)) for i in range(pictures))
    return Collected(A, seen, ())


def blobs() -> NDArray[np.float32]:
    """Two concepts, each in a place of its own in each of three pictures, in four channels."""
    rng, H = np.random.default_rng(0), np.zeros((48, 2), np.float32)
    for start in (0, 16, 32):
        where = start + rng.permutation(16)
        H[where[:4], 0] = rng.uniform(1, 2, 4)
        H[where[4:8], 1] = rng.uniform(1, 2, 4)
    return H @ np.array([[1, 1, 0, 0], [0, 0, 1, 2]], np.float32)


def test_the_same_activations_have_lost_nothing() -> None:
    rows = collected(blobs(), 3)
    found = effect_on(rows, rows, 2)
    assert (found.pictures, found.error) == (3, 0.0)
    assert (found.cosine, found.least_cosine) == pytest.approx((1.0, 1.0))
    assert [one.number for one in found.concepts] == [0, 1]
    assert all((one.cosine, one.iou) == pytest.approx((1.0, 1.0)) for one in found.concepts)
    assert found.applied == pytest.approx(1.0, abs=0.05)  # least squares once more


def test_the_figures_are_those_of_the_activations() -> None:
    exact, A = blobs(), blobs()
    lost = np.flatnonzero(exact[:, 0])[0]
    A[lost] = 0  # one cell of one concept is gone, another points elsewhere
    turned = np.flatnonzero(exact[:, 2])[0]
    A[turned] = exact[turned][[2, 3, 0, 1]]
    found = effect_on(collected(exact, 3), collected(A, 3), 2)
    wrong = (exact[lost] ** 2).sum() + 2 * (exact[turned] ** 2).sum()
    assert found.error == pytest.approx(math.sqrt(wrong / (exact**2).sum()))
    seen = np.count_nonzero(exact.any(axis=1))
    assert found.cosine == pytest.approx(1 - 2 / seen) and found.least_cosine == 0
    assert all(0.5 < one.applied < 1 for one in found.concepts)


def test_concepts_are_matched_before_their_masks_are_compared() -> None:
    exact = blobs()
    stronger = exact * np.array([5, 5, 1, 1], np.float32)  # the order of the concepts is by energy
    found = effect_on(collected(exact, 3), collected(stronger, 3), 2)
    assert [one.number for one in found.concepts] == [0, 1] and found.iou > 0.95


def test_the_same_concept_can_be_there_though_another_one_is_found() -> None:
    """One concept is looked for; of two that are as strong, a little decides which is found."""
    first, second = (blobs() * np.array(one, np.float32) for one in ([1, 1, 0.6, 0.6], [0.99, 0.99, 0.7, 0.7]))
    found = effect_on(collected(first, 3), collected(second, 3), 1)
    assert found.iou < 0.1 and found.applied > 0.9 and "another solution" in found.verdict


def test_the_verdict_says_what_changes_as_much() -> None:
    def verdict(iou: float, applied: float) -> str:
        return Effect(5, 0.1, 1.0, 1.0, (ConceptKept(0, 1.0, iou, applied), ConceptKept(1, 1.0, iou, applied))).verdict

    assert "less than" in verdict(0.91, 0.5) and "a quarter" in verdict(0.91, 0.5)
    assert "another solution" in verdict(0.89, 0.91)
    assert "a quarter to a half" in verdict(0.86, 0.89) and "keep the float" in verdict(0.84, 0.89)


def test_half_of_a_small_folder_calibrates_and_the_rest_measures(net: Path, folder: Path, tmp_path: Path) -> None:
    found = quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)
    assert (found.calibrated, found.effect.pictures, len(found.effect.concepts)) == (3, 4, 2)
    fewer = quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2, images=2)
    assert (fewer.calibrated, fewer.effect.pictures) == (2, 5)
    (tmp_path / "more").mkdir()
    for i in range(70):
        Image.effect_noise((64, 64), i + 1).save(tmp_path / "more" / f"{i}.png")
    other = quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2, on=tmp_path / "more")
    assert (other.calibrated, other.effect.pictures) == (7, 64)


def test_no_picture_is_measured_on_that_was_calibrated_on(
    net: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dff_onnx.runs import few_pictures
    from dff_onnx.runs import quantize as module

    calibrated, measured = set[Path](), set[Path]()
    reads, collects = few_pictures.read_picture, module.collect

    def reading(path: Path, resize: Resize) -> Any:
        calibrated.add(path)
        return reads(path, resize)

    def collecting(root: Path, paths: Any, *rest: Any) -> Collected:
        measured.update(root / path for path in paths)
        return collects(root, paths, *rest)

    monkeypatch.setattr(few_pictures, "read_picture", reading)
    monkeypatch.setattr(module, "collect", collecting)
    quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)
    assert (len(calibrated), len(measured), calibrated & measured) == (3, 4, set())


def test_the_file_says_layer_and_preprocessing_and_takes_what_its_network_took(
    net: Path, folder: Path, tmp_path: Path
) -> None:
    found = quantize(net, folder, tmp_path / "a" / "out.onnx", layer="relu2", preprocessing=HALF, resize=SMALL, k=2)
    assert found.path == tmp_path / "a" / "out.onnx" and not found.assumed and found.layer == "relu2"
    assert found.size == found.path.stat().st_size
    backbone, float_one = Backbone.open(found.path), Backbone.open(net, "relu2", preprocessing=HALF)
    assert backbone.nonnegative and backbone.fingerprint.layer == "relu2" and not backbone.assumed
    assert backbone.fingerprint.preprocessing == replace(HALF, layout="NCHW", dtype="float32")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 72, 56, 3), np.uint8)
    near = np.linalg.norm(backbone(pixels) - float_one(pixels)) / np.linalg.norm(float_one(pixels))
    assert backbone(pixels).shape == (3, 8, 9, 7) and 0 < near < 0.1


@pytest.mark.parametrize(
    ("shape", "kind"), [(("n", "h", "w", 3), TensorProto.UINT8), ((2, 3, 64, 64), TensorProto.FLOAT)]
)
def test_pixels_and_fixed_sizes_are_taken_too(shape: Any, kind: int, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(network(shape, kind).SerializeToString())
    found = quantize(path, folder, tmp_path / "out.onnx", layer="relu1", resize=SMALL, k=2)
    backbone = Backbone.open(found.path)
    dtype = "uint8" if kind == TensorProto.UINT8 else "float32"
    assert backbone.fingerprint.preprocessing.dtype == dtype and found.assumed == (dtype == "float32")
    assert found.effect.error < 0.05 and found.effect.iou > 0.9


def test_what_a_cut_network_says_of_itself_is_kept(net: Path, folder: Path, tmp_path: Path) -> None:
    file = load_model(net)
    small = tmp_path / "cut.onnx"
    small.write_bytes(cut(file, ["relu1", "relu2"], preprocessing=HALF).SerializeToString())
    found = quantize(small, folder, tmp_path / "out.onnx", resize=SMALL, k=2)
    said = metadata_of(load_model(found.path).model, found.path)
    assert said and said.weights_sha256 == file.sha256 and said.architecture == "net"
    assert [layer.name for layer in said.layers] == ["relu2"] and said.layers[0].nonnegative


def test_the_same_call_writes_the_same_bytes(net: Path, folder: Path, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)
        written.append((tmp_path / "out.onnx").read_bytes())
    assert written[0] == written[1]


def test_the_factorization_is_compiled_with_a_quantized_network(net: Path, folder: Path, tmp_path: Path) -> None:
    quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)
    made = compile_fit(tmp_path / "out.onnx", tmp_path / "fit.onnx", 2, resize=SMALL)
    assert made.verified.good


def test_pictures_that_cannot_be_read_are_listed(net: Path, folder: Path, tmp_path: Path) -> None:
    for name in ("0.png", "1.png"):  # one to calibrate, one to measure on
        (folder / name).write_bytes(b"nothing")
    found = quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)
    assert (found.calibrated, found.effect.pictures) == (2, 3)
    assert sorted(one.path for one in found.failures) == ["0.png", "1.png"]
    told = json.loads(json.dumps(found.to_dict()))
    assert told["failures"][0]["path"] == "0.png" and told["verdict"] == found.effect.verdict


MISTAKES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no layer": ({"layer": "relu9"}, ModelError, "has no layer 'relu9'"),
    "negative": ({"layer": "conv3"}, ModelError, r"layer conv3 can be negative \(the nearest that cannot: relu2\)"),
    "no grid": ({"layer": "w1"}, ModelError, "has no layer 'w1'"),
    "images": ({"images": 0}, UsageError, "at least 1 is needed"),
    "k": ({"k": 9}, UsageError, "9 concepts are more"),
    "folder": ({"on": "nowhere"}, UsageError, "no such folder"),
    "on the model": ({"output": "net.onnx"}, UsageError, "is what the file is to be made of"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_and_nothing_is_written(
    name: str, net: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, error, sentence = MISTAKES[name]
    monkeypatch.chdir(net.parent)
    before = net.read_bytes()
    usual: dict[str, Any] = {"output": "out.onnx", "layer": "relu2", "resize": SMALL, "k": 2}
    with pytest.raises(error, match=sentence):
        quantize("net.onnx", folder, **(usual | options))
    assert not Path("out.onnx").exists() and net.read_bytes() == before


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fixed_size_that_the_pictures_have_not_is_said(batch: int, folder: Path, tmp_path: Path) -> None:
    made = network((batch, 3, 64, 64))
    made.graph.node[0].CopyFrom(helper.make_node("Reshape", ["image", "sizes"], ["cast"]))  # so it cannot be freed
    made.graph.initializer.append(numpy_helper.from_array(np.array([batch, 3, 64, 64]), "sizes"))
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(UsageError, match="has a fixed height of 64, the pictures have 224; use --size 64"):
        quantize(tmp_path / "net.onnx", folder, tmp_path / "out.onnx", layer="relu2")
    found = quantize(tmp_path / "net.onnx", folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)
    assert found.effect.error < 0.1


def test_what_is_calibrated_on_is_not_measured_on(net: Path, folder: Path, tmp_path: Path) -> None:
    found = quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2, on=folder, images=2)
    assert (found.calibrated, found.effect.pictures) == (2, len(walk_pictures(folder)) - 2)
    with pytest.raises(NoImagesError, match="holds no picture that is not calibrated on"):
        quantize(net, folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2, on=folder)


def with_nodes(*nodes: NodeProto, **figures: Any) -> ModelProto:
    """The network with further nodes behind `relu2`, the last of which is the layer `z`."""
    made = network()
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in figures.items())
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


@pytest.mark.parametrize("kind", ["another domain", "one axis"])
def test_what_the_tool_does_not_know_stays_in_float(kind: str, folder: Path, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(0, 1, (8, 8, 1)).astype(np.float32)
    made = {
        "another domain": with_nodes(
            helper.make_node("FusedConv", ["relu2", "w"], ["mixed"], domain="com.microsoft", activation="Relu"),
            helper.make_node("Relu", ["mixed"], ["z"]),
            w=rows[..., None],
        ),
        "one axis": with_nodes(
            helper.make_node("Reshape", ["relu2", "flat"], ["line"]),
            helper.make_node("Conv", ["line", "w"], ["mixed"]),
            helper.make_node("Reshape", ["mixed", "grid"], ["grids"]),
            helper.make_node("Relu", ["grids"], ["z"]),
            w=rows, flat=np.array([0, 8, -1]), grid=np.array([0, 8, 8, 8]),
        ),
    }[kind]  # fmt: skip
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    found = quantize(tmp_path / "net.onnx", folder, tmp_path / "out.onnx", layer="z", resize=SMALL, k=2)
    assert 0 < found.effect.error < 0.1 and found.layer == "z"
    kinds = [node.op_type for node in load_model(tmp_path / "out.onnx").model.graph.node]
    assert kinds.count("FusedConv") + kinds.count("Conv") == 3


def test_too_few_pictures_are_said(net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    with pytest.raises(NoImagesError, match="holds no pictures"):
        quantize(net, folder, tmp_path / "out.onnx", layer="relu2")
    Image.new("RGB", (64, 64), "red").save(folder / "a.png")
    with pytest.raises(NoImagesError, match="holds 1 picture, and 2 are needed"):
        quantize(net, folder, tmp_path / "out.onnx", layer="relu2")
    (folder / "0.png").write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match=r"not one of 1 pictures can be used; the first: 0\.png"):
        quantize(net, folder, tmp_path / "out.onnx", layer="relu2")
    assert not (tmp_path / "out.onnx").exists()


def test_a_layer_that_is_zero_on_all_pictures_is_said(tmp_path: Path, folder: Path) -> None:
    made = network()
    for tensor in made.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(-np.abs(numpy_helper.to_array(tensor)), tensor.name))
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="layer relu2 is zero"):
        quantize(tmp_path / "net.onnx", folder, tmp_path / "out.onnx", layer="relu2", resize=SMALL, k=2)


def test_a_place_that_cannot_be_written_is_said(net: Path, folder: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        quantize(net, folder, net / "out.onnx", layer="relu2", resize=SMALL, k=2)


def test_the_embedded_network_keeps_its_heat_maps(tmp_path: Path) -> None:
    found = quantize(ROOT / "models" / "compact.onnx", ROOT / "examples" / "bunny", tmp_path / "out.onnx")
    assert found.effect.iou > 0.94 and 0 < found.effect.error < 0.1
    assert found.size < 0.3 * found.float_size and found.speed.ratio > 0


REAL: dict[str, tuple[str | None, Preprocessing | None]] = {
    "squeezenet1_1": ("/fires.7/Concat_output_0", None),
    "mobilenetv2-cam": ("features", HALF),
    "resnet50v2-stage3": ("features", None),
    "vgg19": (None, None),
    "resnet18": (None, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_networks_keep_one_concept(name: str, real_data: Path, tmp_path: Path) -> None:
    layer, said = REAL[name]
    path = real_data / "models" / f"{name}.onnx"
    if not path.exists():
        weights = next((real_data / "models").glob(f"{name}-*.safetensors"))
        path = export_file(name, weights, tmp_path / f"{name}.onnx", (), OXFORD if name == "vgg19" else None).path
    group = next((real_data / "icoseg" / "images").glob("021 *"))
    found = quantize(path, real_data / "photos", tmp_path / "out.onnx", layer=layer, preprocessing=said, on=group, k=1)
    assert found.effect.concepts[0].cosine > 0.99 and found.effect.iou > 0.9
    assert found.effect.error < 0.16 and found.size < 0.3 * found.float_size
