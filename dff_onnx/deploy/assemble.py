"""A network and what is made of its activations, in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto, helper

from dff_onnx.backbone.cut import Sign
from dff_onnx.backbone.model_file import ModelFile
from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.concepts.bank import Bank, bank_sha256, limit_of
from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.deploy.classes import add_classes
from dff_onnx.deploy.concepts import add_concepts
from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.fit import add_fit
from dff_onnx.deploy.foreground import add_foreground
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.metadata import CLASS_NAMES_KEY, KEY, Compiled, CompiledConcept, CompiledForeground
from dff_onnx.deploy.network import FeatureNetwork, add, feature_network
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.errors import BankError, ModelError, UsageError, first_line
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead
from dff_onnx.records import Fingerprint

LEAST_IR = 8  # of opset 18
MOST_FITTED = 32  # concepts: nodes of a round grow with their square


def compiled_bank(
    bank: Bank,
    file: ModelFile,
    layer: str,
    sign: Sign,
    form: Form,
    head: LinearHead | None = None,
    class_names: Sequence[str] = (),
) -> ModelProto:
    """A bank and its network in one file.

    Args:
        bank: of concepts, of a foreground, or of both.
        file: the bank's network.
        layer, sign: of the bank's fingerprint, as `Backbone.open` takes them.
        form: what is wanted.
        head: of the classifier that the network is, for class maps; it looks at the layer.
        class_names: of its classes, kept in the file; may be empty.

    Raises:
        UsageError: when class maps or a foreground are wanted, and there is no head or no foreground.
        ModelError, BankError: when the network does not fit.
    """
    alone = len(bank.W) == 0
    if form.foreground and bank.foreground is None:
        raise UsageError("foreground: this bank holds none; `dff-onnx run --foreground` makes one that does")
    if form.cam and head is None:
        raise UsageError("cam: no classifier's head looks at the activations of this layer as they are; leave it out")
    foreground = bank.foreground if form.foreground or alone else None
    about = _about(bank, form, foreground, head)
    network = feature_network(file, layer, sign, bank.fingerprint.preprocessing, form.opset, float16=form.float16)
    nodes, outputs = Nodes(), list[ValueInfoProto]()
    picture = Picture.of(nodes, INPUT, network.features)
    if not alone:
        outputs += add_concepts(nodes, bank, network.features, picture, form)
    if foreground is not None:
        outputs += add_foreground(nodes, foreground, network.features, picture, form)
    if form.cam and head is not None:
        outputs += add_classes(nodes, head, network.features, picture, form)
    return _finished(network, nodes, outputs, about, file, class_names if form.cam else ())


def compiled_fit(
    file: ModelFile,
    layer: str,
    sign: Sign,
    k: int,
    fingerprint: Fingerprint,
    resize: Resize | None = None,
    form: Form | None = None,
) -> ModelProto:
    """A network and the factorization of what it sees in one file.

    Args:
        file: the network.
        layer, sign: as `Backbone.open` takes them.
        k: concepts to find.
        fingerprint: of the activations.
        resize: how large pictures should be; kept in the file.
        form: opset and float16; the rest is of banks.

    Raises:
        UsageError: for an impossible k.
        ModelError: when the network does not fit.
    """
    form = form or Form()
    if not 1 <= k <= MOST_FITTED:
        raise UsageError(f"k: 1 to {MOST_FITTED} concepts can be compiled, found {k}")
    network = feature_network(file, layer, sign, fingerprint.preprocessing, form.opset, float16=form.float16)
    nodes = Nodes()
    outputs = add_fit(nodes, k, network.features, Picture.of(nodes, INPUT, network.features))
    about = Compiled("fit", fingerprint, resize, float16=form.float16, k=k)
    return _finished(network, nodes, outputs, about, file)


def _about(bank: Bank, form: Form, foreground: ForegroundModel | None, head: LinearHead | None) -> Compiled:
    figures = CompiledForeground(foreground.threshold, foreground.upper, foreground.spread) if foreground else None
    return Compiled(
        kind="concepts",
        fingerprint=bank.fingerprint,
        resize=foreground.resize if foreground else bank.resize,  # a foreground is found at its size alone
        unroll=form.unroll,
        boxes=form.boxes,
        float16=form.float16,
        k=len(bank.W),
        concepts=_concepts(bank),
        bank_sha256=bank_sha256(bank),
        limit=limit_of(bank),
        foreground=figures,
        classes=head.classes if form.cam and head else 0,
    )


def _concepts(bank: Bank) -> tuple[CompiledConcept, ...]:
    with np.errstate(over="ignore"):
        relative = bank.thresholds / np.where(bank.peaks > 0, bank.peaks, 1)
    if beyond := np.flatnonzero(~np.isfinite(relative)).tolist():
        j = beyond[0]
        raise BankError(
            f"concept {j}: has the threshold {bank.thresholds[j]:g} and the peak {bank.peaks[j]:g}, whose quotient no "
            "float32 holds; make the bank again"
        )
    return tuple(
        CompiledConcept(
            number=j,
            name=name,
            colour=bank.colours[j],
            threshold=float(relative[j]),
            peak=float(bank.peaks[j]),
            energy=float(bank.energy[j]),
        )
        for j, name in enumerate(bank.names)
    )


def _finished(
    network: FeatureNetwork,
    nodes: Nodes,
    outputs: Sequence[ValueInfoProto],
    about: Compiled,
    file: ModelFile,
    class_names: Sequence[str] = (),
) -> ModelProto:
    model = network.model
    add(model, nodes, outputs)
    model.producer_name, model.ir_version = "dff-onnx", max(model.ir_version, LEAST_IR)
    texts = {KEY: about.to_text()}
    if class_names:
        texts[CLASS_NAMES_KEY] = json.dumps(list(class_names), ensure_ascii=False)
    helper.set_model_props(model, texts)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        why = first_line(error)
        raise ModelError(f"{file.path}: what was made of it is no valid ONNX: {why}") from error
    return model
