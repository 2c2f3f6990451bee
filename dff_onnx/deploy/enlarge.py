"""Bilinear enlarging inside a graph, by matrix products as in `dff_onnx.maps.upsample`.

ONNX's `Resize` gives the same values; on a CPU it took eight times as long as two products (224 x 224, eight maps).
The matrices come from the sizes of picture and grid when the graph runs. Their numerators are whole numbers, exact in
float32, and divided once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from onnx import TensorProto

from dff_onnx.deploy.nodes import Nodes


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a picture beside that of its grid; names of tensors.

    Between the centres of two neighbouring cells a row of an enlarged map is a straight line. Its largest value is
    therefore found, and whether it crosses a threshold, at a few pixels: the *turns*, the last before and the first
    behind each centre, and the two ends.

    Attributes:
        pixels, cells: how many there are, `()` int64.
        places: `(pixels,)` float32, where each pixel is, kept between the outermost centres.
        centres: `(cells,)` float32, of the cells; both in units of a cell over `twice`.
        twice: `()` float32, two times the pixels.
    """

    pixels: str
    cells: str
    places: str
    centres: str
    twice: str

    @classmethod
    def between(cls, nodes: Nodes, pixels: str, cells: str) -> Self:
        """Of an axis of so many pixels over one of so many cells, both `()` int64."""
        size, count = (nodes.op("Cast", name, to=TensorProto.FLOAT) for name in (pixels, cells))
        twice = nodes.op("Mul", size, 2.0)
        odd = nodes.op("Add", nodes.op("Mul", _counted(nodes, pixels), 2.0), 1.0)
        places = nodes.op("Sub", nodes.op("Mul", odd, count), size)
        last = nodes.op("Mul", twice, nodes.op("Sub", count, 1.0))
        places = nodes.op("Min", nodes.op("Max", places, 0.0), last)
        return cls(pixels, cells, places, nodes.op("Mul", _counted(nodes, cells), twice), twice)

    def weights(self, nodes: Nodes, places: str, *, turned: bool = False) -> str:
        """What each cell gives to each place, `max(0, 1 - |place - centre|)` in cells.

        Args:
            nodes: of the graph.
            places: `(p,)`, all of them or some.
            turned: whether the cells come first. (Runtimes fuse a Transpose into the product, which is then slower.)

        Returns:
            `(p, cells)` float32, two entries a row that sum to 1; `(cells, p)` where it is turned.
        """
        upright, flat = (self.centres, places) if turned else (places, self.centres)
        away = nodes.op("Abs", nodes.op("Sub", nodes.op("Unsqueeze", upright, [1]), flat))
        return nodes.op("Div", nodes.op("Relu", nodes.op("Sub", self.twice, away)), self.twice)

    def turns(self, nodes: Nodes) -> str:
        """The turns' pixels, `(t,)` int64, ascending; some may be there twice."""
        size, count = (nodes.op("Cast", name, to=TensorProto.FLOAT) for name in (self.pixels, self.cells))
        # A centre lies at ((2 i + 1) pixels / cells - 1) / 2.
        shifted = nodes.op("Add", self.centres, nodes.op("Sub", size, count))
        at = nodes.op("Unsqueeze", nodes.op("Div", shifted, nodes.op("Mul", count, 2.0)), [1])
        around = nodes.op("Concat", nodes.op("Floor", at), nodes.op("Ceil", at), axis=1)
        end = nodes.op("Sub", size, 1.0)
        inside = nodes.op("Min", nodes.op("Max", nodes.op("Reshape", around, [-1]), 0.0), end)
        all_ = nodes.op("Concat", np.zeros(1, np.float32), inside, nodes.op("Unsqueeze", end, [0]), axis=0)
        return nodes.op("Cast", all_, to=TensorProto.INT64)


def _counted(nodes: Nodes, many: str) -> str:
    return nodes.op("Cast", nodes.op("Range", 0, many, 1), to=TensorProto.FLOAT)


@dataclass(frozen=True, slots=True)
class Picture:
    """The axes of all pictures of a batch, with the matrices that enlarge.

    Attributes:
        down, across: the axes.
        tall: `(height, h)`.
        wide: `(w, width)`.
    """

    down: Axis
    across: Axis
    tall: str
    wide: str

    @classmethod
    def of(cls, nodes: Nodes, image: str, grid: str) -> Self:
        """The axes of pixels `(n, height, width, 3)` over a grid `(n, c, h, w)`, by the names of both."""
        sizes, cells = nodes.op("Shape", image), nodes.op("Shape", grid)
        down, across = (
            Axis.between(nodes, nodes.op("Gather", sizes, axis), nodes.op("Gather", cells, axis + 1)) for axis in (1, 2)
        )
        tall = down.weights(nodes, down.places)
        return cls(down, across, tall, across.weights(nodes, across.places, turned=True))

    def enlarged(self, nodes: Nodes, maps: str, out: str | None = None) -> str:
        """Maps `(n, m, h, w)` at the size of the pictures."""
        return nodes.op("MatMul", self.rows(nodes, maps), self.wide, out=out)

    def rows(self, nodes: Nodes, maps: str) -> str:
        """Maps enlarged downwards alone, `(n, m, height, w)`."""
        return nodes.op("MatMul", self.tall, maps)

    def columns(self, nodes: Nodes, maps: str) -> str:
        """Maps enlarged sideways alone, `(n, m, h, width)`."""
        return nodes.op("MatMul", maps, self.wide)
