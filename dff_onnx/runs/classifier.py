"""From an ONNX classifier to what a run of class maps needs: the network up to its features, and a mapping."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.backbone.graph import RECTIFIERS, list_layers, metadata_of, resolve_layer
from dff_onnx.backbone.head import FoundHead, answer_named, find_head
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.backbone.tail_gradient import TailGradient
from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.errors import ModelError, NoHeadError, UsageError
from dff_onnx.images import Resize
from dff_onnx.learning.head_file import FittedHead, read_head
from dff_onnx.runs.cam_settings import Method
from dff_onnx.runs.mapping import Mapping, head_mapping, tail_mapping
from dff_onnx.runs.opening import Opening, unsigned


@dataclass(frozen=True, slots=True)
class Classifier:
    """What `make_class_maps` takes.

    Attributes:
        backbone: up to the features.
        mapping: from there on.
        names, resize: of the classes, and of the pictures, where a trained head brings them.
    """

    backbone: Backbone
    mapping: Mapping
    names: ClassNames | None = None
    resize: Resize | None = None


def open_classifier(
    path: str | Path,
    method: Method = "cam",
    *,
    features: str | None = None,
    head: str | Path | None = None,
    gradients: str | Path | None = None,
    opening: Opening | None = None,
) -> Classifier:
    """Opens a classifier for class maps.

    Args:
        path: the ONNX file.
        method: how maps are made.
        features: the layer to look at; by default the one before the head's pooling, else the deepest rectified one.
        head: the linear layer, where it is not found or there are several; or a head of `dff-onnx fit` (a path that
            ends in `.npz`).
        gradients: the file of the tail's gradients, for `grad-cam` where the head is not pooled and linear.
        opening: device and preprocessing.

    Raises:
        ModelError: when the file has no such head or layer, or the gradients are of another network.
        UsageError: when options do not go together, or a file is not there.
        RefusedError: when a trained head is damaged, or belongs to another network.
    """
    opening = opening or Opening()
    if gradients is not None and method != "grad-cam":
        raise UsageError(f"--gradients: goes with --method grad-cam, not with {method}; leave it out")
    if gradients is not None and head is not None:
        raise UsageError("give one of --gradients and --head")
    if head is not None and Path(head).suffix == ".npz":
        return _with_trained_head(Path(path), method, Path(head), features, opening)
    file = load_model(path)
    if gradients is not None:
        return _with_gradients(file, gradients, features, opening)
    linear = None if head is None else str(head)
    found = _head(file, method, features, linear)
    if found is not None:
        said = {"head": found.answer} if linear else {}
        return Classifier(opening.backbone(file, found.features), head_mapping(method, found.head, said))
    if method == "grad-cam":
        raise ModelError(
            f"{file.path}: Grad-CAM needs a file of gradients wherever the features are not just pooled for a linear "
            f"layer: `python exporters/tail_gradient.py {file.path.name} --layer LAYER -o FILE`, then --gradients FILE"
        )
    layer = resolve_layer(file.model, features, file.path) if features else deepest_layer(file)
    answer = answer_named(file, linear) if linear else None
    tail = opening.tail(file, layer, answer)
    made_of = {"head": answer} if answer else {}
    return Classifier(opening.backbone(file, layer), tail_mapping(method, tail, made_of=made_of))


def deepest_layer(file: ModelFile) -> str:
    """The layer to look at where none is named and no head says it: the last one that is rectified.

    Raises:
        ModelError: when there is none.
    """
    metadata = metadata_of(file.model, file.path)
    if metadata:
        return metadata.layers[-1].name
    layers = [c.name for c in list_layers(file.model, file.path) if c.nonnegative and c.operator in RECTIFIERS]
    if not layers:
        raise ModelError(f"{file.path}: no layer is provably non-negative; name one with --features")
    return layers[-1]


def _head(file: ModelFile, method: Method, features: str | None, linear: str | None) -> FoundHead | None:
    """The head; None where there is none and the method needs none."""
    try:
        found = find_head(file, features if method == "cam" else None, linear)
    except NoHeadError:
        if method == "cam":
            raise
        return None
    # Another layer than the head's: the tail from there on is not the head.
    named = resolve_layer(file.model, features, file.path) if features else found.features
    return found if method == "cam" or named == found.features else None


def _with_gradients(file: ModelFile, gradients: str | Path, features: str | None, opening: Opening) -> Classifier:
    gradient = TailGradient.open(gradients, opening.device, 1, opening.accelerator)
    layer = resolve_layer(file.model, features, file.path) if features else gradient.layer
    gradient.check_belongs(file.sha256, layer, file.path)
    tail = opening.tail(file, layer)
    return Classifier(opening.backbone(file, layer), tail_mapping("grad-cam", tail, gradient))


def _with_trained_head(path: Path, method: Method, head: Path, features: str | None, opening: Opening) -> Classifier:
    fitted: FittedHead = read_head(head)
    wanted = fitted.fingerprint
    file = load_model(path)
    if file.sha256 != wanted.model_sha256:
        raise ModelError(
            f"{head}: was trained on features of network {wanted.model_sha256[:12]}, and {path} is {file.sha256[:12]} "
            "(sha256); take that network, or train another head with `dff-onnx fit`"
        )
    layer, sign = unsigned(file, wanted.layer)
    backbone = opening.backbone(file, features or layer, sign)
    if backbone.fingerprint != wanted:
        differs = "layer" if backbone.fingerprint.layer != wanted.layer else "preprocessing"
        raise ModelError(
            f"{head}: was trained on features of another {differs} of {path}: {wanted.described}, not "
            f"{backbone.fingerprint.described}; say the same, or train another head with `dff-onnx fit`"
        )
    digest = hashlib.sha256(head.read_bytes()).hexdigest()
    names = ClassNames(fitted.names, (None,) * len(fitted.names))
    return Classifier(backbone, head_mapping(method, fitted.head, {"head_sha256": digest}), names, fitted.resize)
