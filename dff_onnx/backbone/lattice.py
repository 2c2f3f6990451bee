"""Where on the picture a cell of a grid looks: the centre of its receptive field.

A network without padding looks at the inside of a picture only, one that pads at the end of each axis (TensorFlow's
`SAME`) looks to the lower right of where its cells seem to lie. Features of two networks are compared at the same
places, not at the same cells. The arithmetic is that of Araujo, Norris & Sim, "Computing Receptive Fields of
Convolutional Neural Networks" (Distill, 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.nodes import constants
from dff_onnx.backbone.shapes import values_at
from dff_onnx.errors import ModelError

WINDOWS = {"Conv", "MaxPool", "AveragePool", "LpPool"}
# Operators that move or mix cells in ways that no stride and offset describe.
NO_LATTICE = {"Reshape", "Resize", "Upsample", "ConvTranspose", "DepthToSpace", "SpaceToDepth", "MatMul", "Gemm"}


@dataclass(frozen=True, slots=True)
class Lattice:
    """Cell `i` of an axis has its centre at `offset + i * stride`, in pixels; the first pixel's centre is 0.

    Attributes:
        stride: pixels between neighbouring cells.
        offset: of the first cell.
    """

    stride: float
    offset: float

    def through(self, kernel: int, stride: int, begin: float) -> Lattice:
        """The lattice behind a window of so many cells, that moves by `stride` and reaches `begin` cells before 0."""
        return Lattice(self.stride * stride, self.offset + ((kernel - 1) / 2 - begin) * self.stride)

    def centres(self, cells: int) -> NDArray[np.float64]:
        """Of the first so many cells, in pixels."""
        return self.offset + self.stride * np.arange(cells, dtype=np.float64)


PIXELS = Lattice(1.0, 0.0)


def lattice_of(model: ModelProto, layer: str, path: Path) -> Lattice:
    """The lattice of a layer, the same for both axes, for inputs whose sides are multiples of the stride.

    Args:
        model: the network.
        layer: a tensor's name.
        path: the model's file, for the sentence.

    Raises:
        ModelError: when the layer's cells lie on no lattice (a transformer's tokens, say), or windows are not square.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    held = constants(model.graph)
    kernels = {name: tuple(tensor.dims) for name, tensor in held.items()}
    walk: list[NodeProto] = []
    name = layer
    while name in makers:
        node = makers[name]
        if node.op_type in NO_LATTICE:
            raise ModelError(f"{path}: {layer!r} has no lattice of cells: a {node.op_type} lies before it")
        walk.append(node)
        # Branches that are joined later have one lattice; the first input that is no constant leads to the image.
        name = next((i for i in node.input if i not in held), node.input[0])
    lattice, pads = PIXELS, _pads(walk, held, model, path)
    for node in reversed(walk):
        if node.op_type in WINDOWS:
            lattice = _through(node, lattice, kernels, path)
        elif node.op_type == "Pad":
            begin = pads[node.output[0]]
            lattice = Lattice(lattice.stride, lattice.offset - begin * lattice.stride)
    return lattice


def _through(node: NodeProto, lattice: Lattice, kernels: dict[str, tuple[int, ...]], path: Path) -> Lattice:
    said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = list(said.get("kernel_shape") or kernels.get(node.input[1] if len(node.input) > 1 else "", ())[2:])
    strides, dilations = list(said.get("strides", [1, 1])), list(said.get("dilations", [1, 1]))
    pads = list(said.get("pads", [0] * 4))
    if len(kernel) != 2 or len({*strides}) > 1:
        raise ModelError(f"{path}: {node.name or node.op_type}: windows of {kernel} by strides of {strides}")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    begins = [_begin(said.get("auto_pad", b"NOTSET"), r, strides[0], p) for r, p in zip(reach, pads[:2], strict=True)]
    first, second = (lattice.through(r, strides[0], b) for r, b in zip(reach, begins, strict=True))
    if first != second:
        raise ModelError(f"{path}: {node.name or node.op_type}: its window is not centred alike on both axes")
    return first


def _begin(auto: bytes, reach: int, stride: int, pad: int) -> int:
    """Cells that a window reaches before the first, where the side is a multiple of the stride."""
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        total = max(reach - stride, 0)
        return total // 2 if auto == b"SAME_UPPER" else total - total // 2
    return 0 if auto == b"VALID" else pad


def _pads(walk: list[NodeProto], held: dict[str, TensorProto], model: ModelProto, path: Path) -> dict[str, int]:
    """Cells that each Pad node puts before the first row; an input since opset 11, which may be computed."""
    found: dict[str, list[int]] = {}
    asked: dict[str, str] = {}
    for node in walk:
        if node.op_type == "Pad":
            said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if "pads" in said:
                found[node.output[0]] = list(said["pads"])
            elif node.input[1] in held:
                found[node.output[0]] = numpy_helper.to_array(held[node.input[1]]).tolist()
            else:
                asked[node.output[0]] = node.input[1]
    if asked:
        values = values_at(model, sorted({*asked.values()}), path)
        found |= {output: values[name].tolist() for output, name in asked.items()}
    return {output: int(pads[len(pads) // 2 - 2]) for output, pads in found.items()}
