"""The stored foreground of a set inside a graph: `ForegroundModel.soft`, before any look at colours.

A picture's own thresholds are Otsu's (`dff_onnx.maps.otsu`), from a histogram of 256 bins. It is computed in float64,
as on the Python side, so that values fall into the same bins.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto

from dff_onnx.concepts.foreground import SAMPLED, ForegroundModel
from dff_onnx.deploy.concepts import boxes
from dff_onnx.deploy.enlarge import Axis, Picture
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.metadata import DIRECTION, MEAN
from dff_onnx.deploy.network import output
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.maps.otsu import BINS, ROUNDING

FOREGROUND = "foreground"
STEEPEST = 30.0  # in the logistic function


def add_foreground(
    nodes: Nodes, model: ForegroundModel, features: str, picture: Picture, form: Form
) -> list[ValueInfoProto]:
    """Adds the soft map of a foreground, 0.5 at the threshold, and its box.

    Args:
        nodes: of the graph.
        model: of a bank.
        features: `(n, c, h, w)`, `>= 0`.
        picture: the sizes.
        form: which boxes, and whether the map itself is wanted.

    Returns:
        the outputs.
    """
    rows = nodes.op("Reshape", nodes.op("Sqrt", features), [0, 0, -1])
    direction, mean = nodes.held(model.direction[None], DIRECTION), nodes.held(model.mean, MEAN)
    along, shift = nodes.op("MatMul", direction, rows), nodes.op("MatMul", direction, mean)
    one = nodes.op("Concat", nodes.op("Slice", nodes.op("Shape", features), [0], [1]), [1], axis=0)
    shape = nodes.op("Concat", one, nodes.op("Slice", nodes.op("Shape", features), [2], [4]), axis=0)
    values = nodes.op("Reshape", nodes.op("Sub", along, shift), shape)  # (n, 1, h, w)
    own = _own_threshold(nodes, _sampled(nodes, values, picture), model.upper)
    threshold = nodes.op("Mul", nodes.op("Add", own, np.float64(model.threshold)), np.float64(0.5))
    threshold = nodes.op("Reshape", nodes.op("Cast", threshold, to=TensorProto.FLOAT), [-1, 1, 1])
    found = [boxes(nodes, values, threshold, picture, form, 1, f"{FOREGROUND}_")]
    if form.heatmaps:
        raised = nodes.op("Sub", picture.enlarged(nodes, values), nodes.op("Unsqueeze", threshold, [3]))
        raised = nodes.op("Div", raised, np.float32(model.spread))
        raised = nodes.op("Min", nodes.op("Max", raised, -STEEPEST), STEEPEST)
        nodes.op("Squeeze", nodes.op("Sigmoid", raised), [1], out=FOREGROUND)
        doc = "The foreground of the bank's set, 0..1, on from 0.5; not sharpened by colours."
        found.insert(0, output(FOREGROUND, TensorProto.FLOAT, ["n", "h", "w"], doc))
    return found


def _sampled(nodes: Nodes, values: str, picture: Picture) -> str:
    """Values on 64 x 64 places, `(n, 4096)` float64."""
    side = nodes.held(SAMPLED)
    down, across = (Axis.between(nodes, side, axis.cells) for axis in (picture.down, picture.across))
    tall, wide = down.weights(nodes, down.places), across.weights(nodes, across.places, turned=True)
    enlarged = nodes.op("MatMul", nodes.op("MatMul", tall, values), wide)
    flat = nodes.op("Reshape", enlarged, [-1, SAMPLED * SAMPLED])
    return nodes.op("Cast", flat, to=TensorProto.DOUBLE)


def _own_threshold(nodes: Nodes, values: str, upper: float) -> str:
    """Otsu's threshold of each picture, `(n, 1)` float64: of two classes, the upper one of three, or in between."""
    low, high = (nodes.op(kind, values, [1]) for kind in ("ReduceMin", "ReduceMax"))
    span = nodes.op("Sub", high, low)
    sums = _moments(nodes, values, low, span)
    cut = nodes.held(np.float64(0))
    if upper < 1:
        cut = nodes.op("Mul", _best_of_two(nodes, *sums), np.float64(1 - upper))
    if upper > 0:
        cut = nodes.op("Add", cut, nodes.op("Mul", _best_of_three(nodes, *sums), np.float64(upper)))
    edge = nodes.op("Add", low, nodes.op("Mul", nodes.op("Div", cut, np.float64(BINS)), span))
    # Values that are all equal, but for rounding, part at themselves.
    largest = nodes.op("Max", nodes.op("Abs", low), nodes.op("Abs", high))
    flat = nodes.op("LessOrEqual", span, nodes.op("Mul", largest, np.float64(ROUNDING)))
    return nodes.op("Where", flat, low, edge)


def _moments(nodes: Nodes, values: str, low: str, span: str) -> tuple[str, str]:
    """Running sums over the bins of a histogram, `(n, 257)`: of shares, and of shares times centred places."""
    share_of_range = nodes.op("Div", nodes.op("Sub", values, low), nodes.op("Max", span, np.finfo(np.float64).tiny))
    place = nodes.op("Floor", nodes.op("Mul", share_of_range, np.float64(BINS)))
    place = nodes.op("Cast", nodes.op("Min", place, np.float64(BINS - 1)), to=TensorProto.INT64)
    nothing = nodes.op("Mul", nodes.op("Slice", values, [0], [BINS], [1]), np.float64(0))
    each = nodes.op("Expand", np.float64(1 / SAMPLED**2), nodes.op("Shape", place))
    share = nodes.op("ScatterElements", nothing, place, each, axis=1, reduction="add")
    centres = ((np.arange(BINS) + 0.5) / BINS)[None]
    mean = nodes.op("ReduceSum", nodes.op("Mul", share, centres), [1])
    centred = nodes.op("Mul", share, nodes.op("Sub", centres, mean))
    first = nodes.op("Slice", nothing, [0], [1], [1])
    weight, total = (nodes.op("Concat", first, nodes.op("CumSum", one, 1), axis=1) for one in (share, centred))
    return weight, total


def _between(nodes: Nodes, weight: str, total: str) -> str:
    """What a class contributes to the variance between classes; the mean of all values is zero."""
    there = nodes.op("Max", weight, np.float64(1e-12))
    return nodes.op("Div", nodes.op("Mul", total, total), there)


def _part(nodes: Nodes, sums: str, first: int, end: int) -> str:
    return nodes.op("Slice", sums, [first], [end], [1])


def _best_of_two(nodes: Nodes, weight: str, total: str) -> str:
    """The bin at which the class above begins, `(n, 1)` float64."""
    below = _between(nodes, _part(nodes, weight, 1, BINS), _part(nodes, total, 1, BINS))
    above = _between(
        nodes, *(nodes.op("Sub", _whole(nodes, one), _part(nodes, one, 1, BINS)) for one in (weight, total))
    )
    best = nodes.op("ArgMax", nodes.op("Add", below, above), axis=1)
    return nodes.op("Cast", nodes.op("Add", best, 1), to=TensorProto.DOUBLE)


def _best_of_three(nodes: Nodes, weight: str, total: str) -> str:
    """The bin at which the uppermost of three classes begins, `(n, 1)` float64."""
    low, middle, high = [], [], []
    for one in (weight, total):
        cuts = _part(nodes, one, 1, BINS)
        first, second = nodes.op("Unsqueeze", cuts, [2]), nodes.op("Unsqueeze", cuts, [1])
        low.append(first)
        middle.append(nodes.op("Sub", second, first))
        high.append(nodes.op("Sub", nodes.op("Unsqueeze", _whole(nodes, one), [2]), second))
    three = nodes.op("Sum", *(_between(nodes, *part) for part in (low, middle, high)))
    # The first cut comes before the second.
    ordered = nodes.op("Trilu", nodes.op("Add", three, np.float64(1)), 1, upper=1)
    best = nodes.op("ArgMax", nodes.op("Reshape", ordered, [0, -1]), axis=1)
    return nodes.op("Cast", nodes.op("Add", nodes.op("Mod", best, BINS - 1), 1), to=TensorProto.DOUBLE)


def _whole(nodes: Nodes, sums: str) -> str:
    return _part(nodes, sums, BINS, BINS + 1)
