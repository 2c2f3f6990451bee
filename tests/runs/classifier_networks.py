"""Small classifiers, and what belongs to them in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.images import Resize
from dff_onnx.learning.head_file import FittedHead, head_bytes
from dff_onnx.linear_head import LinearHead
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.runs.cam_settings import Method
from dff_onnx.runs.classifier import Classifier
from dff_onnx.runs.mapping import Mapping
from dff_onnx.runs.opening import Opening

METHODS: tuple[Method, ...] = ("cam", "grad-cam", "eigen-cam", "score-cam", "ablation-cam")
CPU = Opening("cpu")
CLASSES, CHANNELS, SIZE = 5, 10, 16
TENSORFLOW = Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)

node = helper.make_node
START = [
    node("Conv", ["image", "w1"], ["conv1"], pads=[1] * 4, strides=[2, 2]),
    node("Relu", ["conv1"], ["relu1"]),
    node("Conv", ["relu1", "w2"], ["conv2"], pads=[1] * 4),
    node("Relu", ["conv2"], ["relu2"]),
]
POOLED = [
    node("GlobalAveragePool", ["relu2"], ["pooled"]),
    node("Flatten", ["pooled"], ["flat"]),
    node("Gemm", ["flat", "w", "b"], ["logits"], transB=1, name="fc"),
]
RECTIFIED = [
    node("Conv", ["relu2", "w4", "b"], ["maps"]),
    node("Relu", ["maps"], ["on"]),
    node("GlobalAveragePool", ["on"], ["means"]),
    node("Flatten", ["means"], ["logits"]),
]
# A hidden layer behind the pooling: no linear head.
HIDDEN = [
    node("GlobalAveragePool", ["relu2"], ["pooled"]),
    node("Flatten", ["pooled"], ["flat"]),
    node("Gemm", ["flat", "hidden"], ["inner"]),
    node("Relu", ["inner"], ["active"]),
    node("Gemm", ["active", "w", "b"], ["logits"], transB=1, name="fc"),
]
SECOND = [node("MatMul", ["active", "hidden"], ["product"], name="fc2"), node("Add", ["product", "b10"], ["second"])]
FEATURES, TAIL = "relu2", HIDDEN


def drawn(name: str, *shape: int, seed: int = 0) -> TensorProto:
    return numpy_helper.from_array(np.random.default_rng(seed).normal(0, 0.4, shape).astype(np.float32), name)


TENSORS = [
    drawn("w1", 8, 3, 3, 3),
    drawn("w2", CHANNELS, 8, 3, 3, seed=1),
    drawn("w", CLASSES, CHANNELS, seed=2),
    drawn("b", CLASSES, seed=3),
    drawn("w4", CLASSES, CHANNELS, 1, 1, seed=2),
    drawn("hidden", CHANNELS, CHANNELS, seed=5),
    drawn("b10", CHANNELS, seed=6),
]


def network(nodes: list[NodeProto], outputs: dict[str, int] | None = None) -> ModelProto:
    used = {name for one in (*START, *nodes) for name in one.input}
    graph = helper.make_graph(
        [*START, *nodes],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", classes])
            for name, classes in (outputs or {"logits": CLASSES}).items()
        ],
        [tensor for tensor in TENSORS if tensor.name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def saved(nodes: list[NodeProto], folder: Path, name: str = "net.onnx", **options: Any) -> Path:
    (folder / name).write_bytes(network(nodes, **options).SerializeToString())
    return folder / name


def gradient_file(folder: Path, sha256: str, layer: str = FEATURES, name: str = "gradient.onnx") -> Path:
    """Says of itself that it is a tail's gradient: `A` for class 0, else three times as much."""
    graph = helper.make_graph(
        [
            node("Cast", ["class"], ["score"], to=TensorProto.FLOAT),
            node("Constant", [], ["axes"], value_ints=[1, 2, 3]),
            node("Min", ["score", "two"], ["capped"]),
            node("Unsqueeze", ["capped", "axes"], ["column"]),
            node("Mul", ["A", "column"], ["added"]),
            node("Add", ["A", "added"], ["gradient"]),
        ],
        "gradient",
        [
            helper.make_tensor_value_info("A", TensorProto.FLOAT, ["n", CHANNELS, "h", "w"]),
            helper.make_tensor_value_info("class", TensorProto.INT64, ["n"]),
        ],
        [
            helper.make_tensor_value_info("gradient", TensorProto.FLOAT, ["n", CHANNELS, "h", "w"]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(np.array([2], np.float32), "two")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    said = {"dff.format": "dff-onnx/tail-gradient/1", "dff.layer": layer, "dff.model_sha256": sha256}
    helper.set_model_props(made, said | {"dff.classes": str(CLASSES)})
    (folder / name).write_bytes(made.SerializeToString())
    return folder / name


def trained(folder: Path, network: Path, **changes: Any) -> Path:
    """A head of `dff-onnx fit` on a layer of a network."""
    known: dict[str, Any] = {"layer": FEATURES, "preprocessing": Preprocessing("NCHW", "float32"), "channels": CHANNELS}
    known |= changes
    digest = known.get("sha256") or load_model(network).sha256
    weights = np.random.default_rng(7).normal(0, 1, (2, known["channels"])).astype(np.float32)
    kept = FittedHead(
        head=LinearHead(weights, np.array([0.5, -0.5], np.float32), unit=True),
        names=("cats", "dogs"),
        fingerprint=Fingerprint(digest, known["layer"], known["preprocessing"]),
        resize=Resize("square", SIZE * 2),
        pictures=(3, 4),
    )
    (folder / "head.npz").write_bytes(head_bytes(kept))
    return folder / "head.npz"


def pixels(n: int = 2) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), np.uint8)


def activations(backbone: Backbone, seen: Any = None) -> Any:
    return np.moveaxis(backbone(pixels() if seen is None else seen), 1, -1)


def scores_by_hand(path: Path, classifier: Classifier, answer: str = "logits") -> Any:
    """What ONNX Runtime gives for the whole network."""
    import onnxruntime

    from dff_onnx.backbone.session import to_input

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([answer], {"image": to_input(pixels(), classifier.backbone.fingerprint.preprocessing)})[0]


def assert_works(classifier: Classifier, expected: Any, method: Method) -> None:
    """Scores as the whole network has them, finite maps of every class."""
    mapping: Mapping = classifier.mapping
    A = activations(classifier.backbone)
    assert mapping.method == method and mapping.classes == expected.shape[1]
    np.testing.assert_allclose(mapping.scores(A), expected, atol=1e-5)
    wanted = np.tile(np.arange(mapping.classes), (len(A), 1))
    maps = mapping.maps(A, wanted)
    assert mapping.by_class == (method != "eigen-cam")
    assert maps.shape == (len(A), mapping.classes if mapping.by_class else 1, *A.shape[1:3])
    assert np.isfinite(maps).all() and maps.max() > 0 and (maps.min() >= 0 or method == "cam")
