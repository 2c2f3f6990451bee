"""Classifiers are opened for every method, and refused where a method cannot be; what maps of methods share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.images import Resize, read_picture
from dff_onnx.learning.head_file import FittedHead, head_bytes
from dff_onnx.linear_head import LinearHead
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.runs.cam_settings import Method
from dff_onnx.runs.classifier import Classifier, Opening, deepest_layer, open_classifier
from dff_onnx.runs.mapping import Cam, Eigen, Mapping, Weighted

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


KINDS = {"cam": Cam, "eigen-cam": Eigen}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("nodes", [POOLED, RECTIFIED], ids=["pooled", "rectified"])
def test_a_classifier_with_a_linear_head_is_opened_for_every_method(
    nodes: list[NodeProto], method: Method, tmp_path: Path
) -> None:
    path = saved(nodes, tmp_path)
    classifier = open_classifier(path, method, opening=CPU)
    assert type(classifier.mapping) is KINDS.get(method, Weighted) and classifier.names is None
    assert classifier.backbone.fingerprint.layer == FEATURES and classifier.mapping.made_of == {}
    assert_works(classifier, scores_by_hand(path, classifier), method)


@pytest.mark.parametrize("method", ["eigen-cam", "score-cam", "ablation-cam"])
def test_a_classifier_without_one_is_opened_by_its_tail_at_the_deepest_rectified_layer(
    method: Method, tmp_path: Path
) -> None:
    path = saved(TAIL, tmp_path)
    classifier = open_classifier(path, method, opening=CPU)
    assert classifier.backbone.fingerprint.layer == FEATURES == deepest_layer(load_model(path))
    assert_works(classifier, scores_by_hand(path, classifier), method)
    earlier = open_classifier(path, method, features="relu1", opening=CPU)
    assert earlier.backbone.fingerprint.layer == "relu1"
    assert_works(earlier, scores_by_hand(path, earlier), method)


@pytest.mark.parametrize("method", ["eigen-cam", "score-cam", "ablation-cam"])
def test_another_layer_than_the_heads_is_seen_through_the_tail(method: Method, tmp_path: Path) -> None:
    path = saved(POOLED, tmp_path)
    classifier = open_classifier(path, method, features="relu1", opening=CPU)
    assert classifier.backbone.fingerprint.layer == "relu1"
    assert_works(classifier, scores_by_hand(path, classifier), method)
    same = open_classifier(path, method, features=FEATURES, opening=CPU)
    A = activations(same.backbone)
    of_head = open_classifier(path, method, opening=CPU).mapping
    np.testing.assert_array_equal(same.mapping.scores(A), of_head.scores(A))


def test_cam_at_another_layer_of_as_many_channels_takes_the_heads_weights(tmp_path: Path) -> None:
    classifier = open_classifier(saved(POOLED, tmp_path), features="conv2", opening=CPU)
    A = activations(classifier.backbone)
    assert A.min() < 0 and classifier.backbone.fingerprint.layer == "conv2"
    expected = np.einsum("nhwc,c->nhw", A, numpy_helper.to_array(TENSORS[2])[3])
    np.testing.assert_allclose(classifier.mapping.maps(A, np.full((2, 1), 3))[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["second", "fc2"])
def test_of_several_answers_the_named_one_counts_also_without_a_linear_head(name: str, tmp_path: Path) -> None:
    path = saved([*TAIL, *SECOND], tmp_path, outputs={"logits": CLASSES, "second": CHANNELS})
    with pytest.raises(ModelError, match=r"has several answers \(logits, second\)"):
        open_classifier(path, "score-cam", opening=CPU)
    classifier = open_classifier(path, "score-cam", head=name, opening=CPU)
    assert_works(classifier, scores_by_hand(path, classifier, "second"), "score-cam")


def test_of_several_linear_heads_the_named_one_counts_for_every_method(tmp_path: Path) -> None:
    path = saved([*POOLED, node("Gemm", ["flat", "hidden"], ["second"], name="fc2")], tmp_path,
                 outputs={"logits": CLASSES, "second": CHANNELS})  # fmt: skip
    for method in METHODS:
        with pytest.raises(ModelError, match=r"has several heads \(logits, second\); name one of them with --head"):
            open_classifier(path, method, opening=CPU)
        for features in (None, "relu1") if method in ("score-cam", "ablation-cam", "eigen-cam") else (None,):
            classifier = open_classifier(path, method, head="fc2", features=features, opening=CPU)
            assert classifier.backbone.fingerprint.layer == (features or FEATURES)
            assert classifier.mapping.made_of == {"head": "second"}, "another head makes other files of the same layer"
            assert_works(classifier, scores_by_hand(path, classifier, "second"), method)


@pytest.mark.parametrize("method", METHODS)
def test_what_no_method_can_use_is_told_in_the_same_words_for_all(method: Method, tmp_path: Path) -> None:
    rows = [node("Flatten", ["image"], ["row"]), node("Gemm", ["row", "wide", "b"], ["logits"], transB=1)]
    graph = helper.make_graph(
        rows,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [drawn("wide", CLASSES, 3 * SIZE * SIZE), TENSORS[3]],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "flat.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="no layer with a grid of features, so there is no place to map"):
        open_classifier(tmp_path / "flat.onnx", method, opening=CPU)
    damaged = network(POOLED)
    weights = next(tensor for tensor in damaged.graph.initializer if tensor.name == "w")
    weights.CopyFrom(numpy_helper.from_array(np.full((CLASSES, CHANNELS), np.nan, np.float32), "w"))
    (tmp_path / "nan.onnx").write_bytes(damaged.SerializeToString())
    with pytest.raises(ModelError, match="'w' holds NaN or infinite values"):
        open_classifier(tmp_path / "nan.onnx", method, opening=CPU)


def test_cam_needs_a_linear_head(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Relu 'active' lies before it; take another --method: eigen-cam, score-cam"):
        open_classifier(saved(TAIL, tmp_path), opening=CPU)


@pytest.mark.parametrize("features", [None, "relu1"])
def test_grad_cam_needs_a_linear_head_or_gradients(features: str | None, tmp_path: Path) -> None:
    path = saved(TAIL if features is None else POOLED, tmp_path)
    with pytest.raises(ModelError, match=r"`python exporters/tail_gradient\.py net\.onnx --layer .*then --gradients"):
        open_classifier(path, "grad-cam", features=features, opening=CPU)


def test_grad_cam_with_gradients_weighs_by_their_means(tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    gradients = gradient_file(tmp_path, load_model(path).sha256)
    classifier = open_classifier(path, "grad-cam", gradients=gradients, opening=CPU)
    assert classifier.backbone.fingerprint.layer == FEATURES
    assert_works(classifier, scores_by_hand(path, classifier), "grad-cam")
    A = activations(classifier.backbone)
    maps = classifier.mapping.maps(A, np.array([[0, 4], [2, 0]]))
    expected = np.maximum(np.einsum("nhwc,nc->nhw", A, A.mean(axis=(1, 2))), 0)
    np.testing.assert_allclose(maps[:, 0], expected * np.array([1, 3])[:, None, None], rtol=1e-4)
    np.testing.assert_allclose(maps[:, 1], expected * np.array([3, 1])[:, None, None], rtol=1e-4)


def test_gradients_go_with_grad_cam_its_own_network_and_layer(tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    good = gradient_file(tmp_path, load_model(path).sha256)
    for method in METHODS:
        if method != "grad-cam":
            with pytest.raises(UsageError, match=f"--gradients: goes with --method grad-cam, not with {method}"):
                open_classifier(path, method, gradients=good, opening=CPU)
    with pytest.raises(ModelError, match=r"at layer 'relu2' of .*, not at 'relu1'; take that layer"):
        open_classifier(path, "grad-cam", gradients=good, features="relu1", opening=CPU)
    with pytest.raises(ModelError, match="is the gradient of another classifier than"):
        other = saved(POOLED, tmp_path, "other.onnx")
        open_classifier(other, "grad-cam", gradients=good, opening=CPU)
    with pytest.raises(ModelError, match="is no file of a tail's gradient"):
        open_classifier(path, "grad-cam", gradients=path, opening=CPU)
    with pytest.raises(UsageError, match="there is no such file"):
        open_classifier(path, "grad-cam", gradients=tmp_path / "none.onnx", opening=CPU)
    for head in ("fc", trained(tmp_path, path)):
        with pytest.raises(UsageError, match="give one of --gradients and --head"):
            open_classifier(path, "grad-cam", gradients=good, head=head, opening=CPU)


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_head_takes_the_place_of_the_networks(method: Method, tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    classifier = open_classifier(path, method, head=trained(tmp_path, path), opening=CPU)
    assert classifier.names is not None and classifier.names.names == ("cats", "dogs")
    assert list(classifier.mapping.made_of) == ["head_sha256"]
    A = activations(classifier.backbone)
    descriptors = A.mean(axis=(1, 2)).astype(np.float64)
    weights = np.random.default_rng(7).normal(0, 1, (2, CHANNELS))
    expected = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True) @ weights.T + (0.5, -0.5)
    assert_works(classifier, expected, method)


@pytest.mark.parametrize(("layer", "channels"), [("conv2_rectified", CHANNELS), ("conv2_split", 2 * CHANNELS)])
def test_a_head_that_was_trained_on_rectified_or_split_features_gets_such(
    layer: str, channels: int, tmp_path: Path
) -> None:
    path = saved(TAIL, tmp_path)
    head = trained(tmp_path, path, layer=layer, channels=channels)
    classifier = open_classifier(path, head=head, opening=CPU)
    assert classifier.backbone.fingerprint.layer == layer and classifier.backbone.nonnegative
    assert classifier.mapping.maps(activations(classifier.backbone), np.array([[0], [1]])).shape == (2, 1, 8, 8)


def test_a_trained_head_of_other_features_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    with pytest.raises(ModelError, match=r"features of network abababababab, and .*; take that network, or train"):
        open_classifier(path, head=trained(tmp_path, path, sha256="ab" * 32), opening=CPU)
    with pytest.raises(ModelError, match=r"features of network abababababab, and"):  # also where it has no such layer
        open_classifier(path, head=trained(tmp_path, path, sha256="ab" * 32, layer="relu5_4"), opening=CPU)
    with pytest.raises(ModelError, match=r"another layer of .*: layer 'relu2'.*, not layer 'conv2'"):
        open_classifier(path, head=trained(tmp_path, path), features="conv2", opening=CPU)
    with pytest.raises(ModelError, match=r"another preprocessing of .*scale 0\.00784.*, not .*scale 0\.0039"):
        open_classifier(path, head=trained(tmp_path, path, preprocessing=TENSORFLOW), opening=CPU)
    with pytest.raises(UsageError, match="there is no such file"):
        open_classifier(path, head=tmp_path / "none.npz", opening=CPU)


def test_what_is_named_must_be_there(tmp_path: Path) -> None:
    path = saved(POOLED, tmp_path)
    for method in METHODS:
        with pytest.raises(UsageError, match="has no layer 'fc9' for --head; it has conv1, conv2, fc"):
            open_classifier(path, method, head="fc9", opening=CPU)
        with pytest.raises(ModelError, match="has no layer 'relu9'"):
            open_classifier(path, method, features="relu9", opening=CPU)
    with pytest.raises(ModelError, match="takes 10 channels, and 'relu1' has 8"):
        open_classifier(path, features="relu1", opening=CPU)


def test_a_network_without_a_rectified_layer_wants_one_named(tmp_path: Path) -> None:
    made = network(TAIL)
    for one in made.graph.node:
        one.op_type = "Tanh" if one.op_type == "Relu" else one.op_type
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="no layer is provably non-negative; name one with --features"):
        open_classifier(tmp_path / "net.onnx", "score-cam", opening=CPU)
    classifier = open_classifier(tmp_path / "net.onnx", "score-cam", features="conv2", opening=CPU)
    assert classifier.backbone.fingerprint.layer == "conv2"


@pytest.mark.parametrize("method", ["grad-cam", "eigen-cam", "score-cam", "ablation-cam"])
def test_methods_of_a_tail_take_features_of_another_array_library(method: Method, tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    gradients = gradient_file(tmp_path, load_model(path).sha256) if method == "grad-cam" else None
    classifier = open_classifier(path, method, gradients=gradients, opening=CPU)
    A, classes = activations(classifier.backbone), np.array([[0, 4], [2, 0]])
    foreign = array_api_strict.asarray(np.ascontiguousarray(A))
    np.testing.assert_allclose(classifier.mapping.scores(foreign), classifier.mapping.scores(A), atol=1e-6)
    np.testing.assert_allclose(
        classifier.mapping.maps(foreign, classes), classifier.mapping.maps(A, classes), atol=1e-5
    )


def factors(classifier: Classifier, other: Classifier, seen: Any, top: int) -> Any:
    """What Grad-CAM's map of each picture and class is of the rectified class map, how exactly, and the places."""
    A = activations(classifier.backbone, seen)
    classes = np.argsort(-classifier.mapping.scores(A), axis=1)[:, :top]
    rectified = np.maximum(classifier.mapping.maps(A, classes), 0).reshape(*classes.shape, -1).astype(np.float64)
    gradient = other.mapping.maps(A, classes).reshape(*classes.shape, -1).astype(np.float64)
    alive = rectified.max(axis=2) > 0
    assert alive.any()
    factor = (rectified * gradient).sum(axis=2)[alive] / (rectified**2).sum(axis=2)[alive]
    error = np.abs(gradient - factor.mean() * rectified).max() / gradient.max()
    return factor, error, A.shape[1] * A.shape[2]


def test_grad_cam_of_a_pooled_head_is_the_rectified_class_map_up_to_one_factor(tmp_path: Path) -> None:
    path = saved(POOLED, tmp_path)
    cam, grad = (open_classifier(path, method, opening=CPU) for method in ("cam", "grad-cam"))
    factor, error, places = factors(cam, grad, pixels(4), CLASSES)
    # `alpha` is the mean over the places of `w / places`.
    np.testing.assert_allclose(factor, 1 / places, rtol=1e-5)
    assert error < 1e-5


REAL = {"squeezenet1_1": (None, "/fires.7/Concat_output_0", 1000), "mobilenetv2-cam": (TENSORFLOW, "features", 1001)}


def photographs(data: Path, count: int = 3) -> Any:
    paths = sorted((data / "photos").iterdir())[:: 1000 // count][:count]
    return np.stack([read_picture(path, Resize("square", 96)).pixels for path in paths])


@pytest.mark.parametrize("name", REAL)
def test_real_classifiers_are_opened_for_every_method(name: str, real_data: Path) -> None:
    preprocessing, layer, classes = REAL[name]
    seen = photographs(real_data, 1)
    for method in METHODS:
        path = real_data / "models" / f"{name}.onnx"
        classifier = open_classifier(path, method, opening=Opening("cpu", preprocessing))
        A = activations(classifier.backbone, seen)
        assert (classifier.mapping.classes, classifier.backbone.fingerprint.layer) == (classes, layer)
        best = np.argmax(classifier.mapping.scores(A), axis=1)[:, None]
        maps = classifier.mapping.maps(A, best)
        assert maps.shape == (1, 1, *A.shape[1:3]) and maps.max() > 0


def test_a_real_pooled_head_has_grad_cam_maps_as_its_rectified_class_maps(real_data: Path) -> None:
    path, opening = real_data / "models" / "mobilenetv2-cam.onnx", Opening("cpu", TENSORFLOW)
    cam, grad = (open_classifier(path, method, opening=opening) for method in ("cam", "grad-cam"))
    factor, error, places = factors(cam, grad, photographs(real_data), 5)
    np.testing.assert_allclose(factor, 1 / places, rtol=1e-4)
    assert error < 1e-4


def test_a_real_rectified_head_has_other_grad_cam_maps_than_class_maps(real_data: Path) -> None:
    """SqueezeNet's ReLU stands between its class maps and the mean.

    Grad-CAM weighs by the share of places where the class map is positive, and its own map leaves the bias out: it is
    that share of `relu(w . A)`, while the class map is `relu(w . A + b)`. The factor is another one for each picture
    and class, and the shapes differ by the bias, which is small here: 0.04 % of a map's maximum.
    """
    path = real_data / "models" / "squeezenet1_1.onnx"
    cam, grad = (open_classifier(path, method, opening=CPU) for method in ("cam", "grad-cam"))
    assert isinstance(cam.mapping, Cam) and cam.mapping.head.rectified
    A = activations(cam.backbone, photographs(real_data))
    classes = np.argsort(-cam.mapping.scores(A), axis=1)[:, :5]
    class_maps, gradient = cam.mapping.maps(A, classes), grad.mapping.maps(A, classes)
    weights, bias = (np.asarray(held)[classes] for held in (cam.mapping.head.weights, cam.mapping.head.bias))
    plain = np.einsum("nhwc,nmc->nmhw", A, weights)
    share = (class_maps > 0).mean(axis=(2, 3)) / (A.shape[1] * A.shape[2])
    np.testing.assert_allclose(gradient, share[:, :, None, None] * np.maximum(plain, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(class_maps, np.maximum(plain + bias[:, :, None, None], 0), rtol=1e-4, atol=1e-4)
    assert np.ptp(share) > 0 < np.abs(bias).min()
    unlike = np.abs(gradient / gradient.max(axis=(2, 3), keepdims=True)
                    - class_maps / class_maps.max(axis=(2, 3), keepdims=True)).max()  # fmt: skip
    assert 1e-4 < unlike < 1e-2
