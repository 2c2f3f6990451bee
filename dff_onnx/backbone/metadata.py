"""What a backbone's ONNX file says about itself, in its metadata properties.

Every value is a string (ONNX allows nothing else); structured ones are JSON. A file without these properties is an
ordinary ONNX file: its user must say which layer and preprocessing to take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Preprocessing

FORMAT = "1"
FORMAT_KEY = "dff.format"


@dataclass(frozen=True, slots=True)
class Layer:
    """One output of a backbone.

    Attributes:
        name: of the tensor, in the field's terms (`relu5_4`, `layer3.5`, `fire9`).
        stride: input pixels per cell of the grid.
        channels: how many.
        nonnegative: whether the graph proves that no value is below zero.
    """

    name: str
    stride: int
    channels: int
    nonnegative: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a backbone: see `Layer` and `Preprocessing`.

    Attributes:
        architecture: torchvision's name, or the source file's name for a cut network.
        layers: the outputs, in order.
        preprocessing: what the input expects.
        weights_sha256: of the file of weights (for a cut network, of the source ONNX file).
    """

    architecture: str
    layers: tuple[Layer, ...]
    preprocessing: Preprocessing
    weights_sha256: str

    def to_properties(self) -> dict[str, str]:
        """As ONNX metadata properties."""
        return {
            FORMAT_KEY: FORMAT,
            "dff.architecture": self.architecture,
            "dff.layers": json.dumps([asdict(layer) for layer in self.layers]),
            "dff.preprocessing": json.dumps(self.preprocessing.to_dict()),
            "dff.weights_sha256": self.weights_sha256,
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], path: str) -> Metadata | None:
        """Reads them back; None for a file that has none.

        Raises:
            ModelError: when they are there and cannot be read; `path` is for the sentence.
        """
        if FORMAT_KEY not in properties:
            return None
        if properties[FORMAT_KEY] != FORMAT:
            raise ModelError(
                f"{path}: its metadata has format {properties['dff.format']!r}, this version reads {FORMAT!r}; "
                "export the model again"
            )
        try:
            return cls(
                architecture=properties["dff.architecture"],
                layers=tuple(Layer(**fields) for fields in json.loads(properties["dff.layers"])),
                preprocessing=Preprocessing.from_dict(json.loads(properties["dff.preprocessing"])),
                weights_sha256=properties["dff.weights_sha256"],
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ModelError(f"{path}: its dff metadata cannot be read ({error}); export the model again") from error
