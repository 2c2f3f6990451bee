"""Classifiers are opened for every method, and refused where a method cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifier_networks import (
    CHANNELS,
    CLASSES,
    CPU,
    FEATURES,
    METHODS,
    POOLED,
    RECTIFIED,
    SECOND,
    SIZE,
    TAIL,
    TENSORFLOW,
    TENSORS,
    activations,
    assert_works,
    drawn,
    gradient_file,
    network,
    node,
    saved,
    scores_by_hand,
    trained,
)
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.model_file import load_model
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.runs.cam_settings import Method
from dff_onnx.runs.classifier import deepest_layer, open_classifier
from dff_onnx.runs.mapping import Cam, Eigen, Weighted

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
    with pytest.raises(ModelError, match=r"another layer of .*: .*, layer 'relu2'.*, not .*, layer 'conv2'"):
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
