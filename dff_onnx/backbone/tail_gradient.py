"""The gradient of a score with respect to a layer, from an ONNX file that was made for it.

ONNX Runtime has no backward pass; `exporters/tail_gradient.py` writes that of a classifier's tail down as a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.backbone.metadata import FORMAT_KEY
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import Accelerator, Device, Session, device_of_session
from dff_onnx.backbone.tail import Axes, check_features, fixed_axes, in_chunks, run_session, start
from dff_onnx.errors import ArrayError, ModelError

GRADIENT_FORMAT = "dff-onnx/tail-gradient/1"
LAYER_KEY, MODEL_KEY, CLASSES_KEY = "dff.layer", "dff.model_sha256", "dff.classes"
INPUTS, OUTPUTS = ("A", "class"), ("gradient", "score")
MAKE = "make one with exporters/tail_gradient.py"


@dataclass(frozen=True)
class TailGradient:
    """`d score / d A` of a classifier, in a session. Made by `TailGradient.open`; call it on features and classes.

    Attributes:
        path: the file.
        layer: the tensor with respect to which it is.
        model_sha256: of the classifier's file; empty where it was made of a module that was in no file.
        channels: of the features.
        classes: of the classifier.
        device: `cpu`, `cuda` or `tensorrt`, as the session really came back.
        fixed: `(n, height, width)` of the features, None where an axis is free.
        session: ONNX Runtime's.
    """

    path: Path
    layer: str
    model_sha256: str
    channels: int
    classes: int
    device: str
    fixed: Axes
    session: Session

    @classmethod
    def open(
        cls,
        path: str | Path,
        device: Device = "auto",
        threads: int | None = None,
        accelerator: Accelerator | None = None,
    ) -> Self:
        """Reads and checks such a file and starts a session on it.

        Args:
            path: the file.
            device: `auto`, `cpu`, or `cuda` or `tensorrt`, which are errors where they do not really run.
            threads: of one call; all available cores by default.
            accelerator: TensorRT's folder of engines. CUDA graphs do not serve here.

        Raises:
            ModelError: when it is no such file, or damaged.
            DeviceError: when a device was asked for and is not there.
            UsageError: when there is no such file.
        """
        file = load_model(path)
        said = _said(file.model, file.path)
        session = start(file.model, device, threads, Accelerator((accelerator or Accelerator()).engines), file.path)
        return cls(
            path=file.path,
            layer=said[LAYER_KEY],
            model_sha256=said[MODEL_KEY],
            channels=file.model.graph.input[0].type.tensor_type.shape.dim[1].dim_value,
            classes=int(said[CLASSES_KEY]),
            device=device_of_session(session),
            fixed=fixed_axes(session),
            session=session,
        )

    def check_belongs(self, model_sha256: str, layer: str, path: Path) -> None:
        """Refuses to serve another classifier or layer than the one it was made of.

        Args:
            model_sha256: of the classifier's file.
            layer: the tensor that gives the features.
            path: the classifier's file, for the sentence.

        Raises:
            ModelError: when they are others.
        """
        if self.model_sha256 != model_sha256:
            raise ModelError(f"{self.path}: is the gradient of another classifier than {path}; {MAKE} of this one")
        if self.layer != layer:
            raise ModelError(
                f"{self.path}: is the gradient at layer {self.layer!r} of {path}, not at {layer!r}; take that layer, "
                f"or {MAKE}"
            )

    def __call__(self, features: Array, classes: NDArray[Any]) -> NDArray[np.float32]:
        """The gradients of each picture's score for one class.

        Args:
            features: `(n, c, h, w)` float32.
            classes: `(n,)` numbers of classes.

        Returns:
            `(n, c, h, w)` on the host.

        Raises:
            ArrayError: when features or classes are none that the classifier has.
            UsageError: when it takes a fixed size, and they have another.
            ModelError: when the network fails on this size.
        """
        held, numbers = to_numpy(features), np.asarray(classes)
        check_features(held, self.channels, self.fixed, self.path)
        if numbers.shape != held.shape[:1] or numbers.dtype.kind not in "iu":
            raise ArrayError(f"{self.path}: one class a picture is needed, found {numbers.dtype} {numbers.shape}")
        if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.classes:
            found = f"{numbers.min()} to {numbers.max()}"
            raise ArrayError(f"{self.path}: has classes 0 to {self.classes - 1}, and is asked for {found}")
        if not len(held):
            return np.empty(held.shape, np.float32)

        def run(part: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
            inputs: dict[str, NDArray[Any]] = {"A": np.ascontiguousarray(part, np.float32)}
            inputs["class"] = wanted.astype(np.int64)
            return run_session(self.session, OUTPUTS[0], inputs, self.path)

        return in_chunks(run, (held, numbers), self.fixed[0])


def _said(model: ModelProto, path: Path) -> dict[str, str]:
    """The properties of such a file, once they and its inputs are what they must be."""
    said = {p.key: p.value for p in model.metadata_props}
    if said.get(FORMAT_KEY) != GRADIENT_FORMAT:
        raise ModelError(f"{path}: is no file of a tail's gradient ({GRADIENT_FORMAT}); {MAKE}")
    well = (
        said.get(LAYER_KEY)
        and re.fullmatch("([0-9a-f]{64})?", said.get(MODEL_KEY, "?"))
        and re.fullmatch("[1-9][0-9]{0,8}", said.get(CLASSES_KEY, ""))
    )
    if not well or not _has_its_inputs(model):
        raise ModelError(f"{path}: says that it is a tail's gradient, and has not what belongs to one; {MAKE}")
    return said


def _has_its_inputs(model: ModelProto) -> bool:
    inputs, outputs = list(model.graph.input), list(model.graph.output)
    if tuple(source.name for source in inputs) != INPUTS or tuple(output.name for output in outputs) != OUTPUTS:
        return False
    channels = inputs[0].type.tensor_type.shape.dim[1].dim_value if _axes(inputs[0]) == 4 else 0
    kinds = [source.type.tensor_type.elem_type for source in (*inputs, *outputs)]
    return (
        channels > 0
        and [_axes(value) for value in (*inputs, *outputs)] == [4, 1, 4, 1]
        and kinds == [TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT, TensorProto.FLOAT]
    )


def _axes(value: ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)
