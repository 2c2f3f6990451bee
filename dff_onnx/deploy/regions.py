"""The largest 8-connected region of a mask, inside a graph: as `dff_onnx.maps.regions` finds it, by runs.

A run is a stretch of a row that is on. Between two turns (see `enlarge.Axis`) a row of an enlarged map is a straight
line, so runs follow from the values at the turns; no pixel is looked at. Runs stand in a table, a line for each row of
pixels, and carry the number of a run of their region: first their own, then, round by round, the smallest number that a
touching run has. Each round also lets a run's number stand for what that number's run has become (Shiloach & Vishkin
1982), so that rounds are few, however long a region is.

Numbers and columns are kept in float32, which runtimes compute in vectors; they count within one map and are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.nodes import Nodes, Value

NEVER = 2.0**24  # larger than any column, row, or number of a run; whole numbers up to it are exact
ALL = 2**40  # the end of any axis
MOST_ROUNDS = 2**20  # a bound for the loop, which ends when nothing changes


@dataclass(frozen=True, slots=True)
class _Runs:
    """Names of tensors; M maps of so many rows, W runs in the row that has most.

    Attributes:
        start, end: `(M, W, rows)`, `start <= x < end`; where there is no run, `NEVER` and `-NEVER`. Rows come last, so
            that neighbours are worked on in vectors.
    """

    start: str
    end: str


def add_region_boxes(nodes: Nodes, maps: str, thresholds: Value, picture: Picture, out: str) -> str:
    """Adds the boxes of the largest regions, `(n, m, 4)` int32: `x0, y0, x1, y1`, half-open; zeros for an empty mask.

    Of regions of equal size the first in raster order counts.

    Args:
        nodes: of the graph.
        maps: `(n, m, h, w)`.
        thresholds: `(n or 1, m, 1)` float32.
        picture: the sizes.
        out: name of the boxes.
    """
    runs = _runs(nodes, maps, thresholds, picture)
    box = _largest(nodes, runs, _connected(nodes, runs))
    shape = nodes.op("Concat", nodes.op("Slice", nodes.op("Shape", maps), [0], [2]), [4], axis=0)
    return nodes.op("Cast", nodes.op("Reshape", box, shape), out=out, to=TensorProto.INT32)


def _runs(nodes: Nodes, maps: str, thresholds: Value, picture: Picture) -> _Runs:
    """The table of runs of masks."""
    turns = picture.across.turns(nodes)
    wide = picture.across.weights(nodes, nodes.op("Gather", picture.across.places, turns), turned=True)
    values = nodes.op("MatMul", picture.rows(nodes, maps), wide)
    above = nodes.op("Sub", values, nodes.op("Unsqueeze", thresholds, [3]))  # (n, m, rows, turns)
    many = nodes.op("Size", turns)
    above = nodes.op("Reshape", above, nodes.op("Concat", [-1], nodes.op("Unsqueeze", many, [0]), axis=0))
    on = nodes.op("Cast", nodes.op("GreaterOrEqual", above, 0.0), to=TensorProto.FLOAT)
    # Beyond both ends everything is off: a step up begins a run, a step down ends one; they take turns along a line.
    padded = nodes.op("Pad", on, [0, 1, 0, 1])
    steps = nodes.op("Sub", _part(nodes, padded, 1, ALL, 1), _part(nodes, padded, 0, -1, 1))
    line, place = (nodes.op("Gather", nodes.op("NonZero", steps), row, axis=0) for row in (0, 1))
    first, behind = _every_other(nodes, place)
    line, _ = _every_other(nodes, line)
    flat, last = nodes.op("Mul", line, many), nodes.op("Sub", behind, 1)
    pixels, values = nodes.op("Cast", turns, to=TensorProto.FLOAT), nodes.op("Reshape", above, [-1])
    start = _crossing(nodes, pixels, values, (flat, first), -1)
    end = nodes.op("Add", _crossing(nodes, pixels, values, (flat, last), 1), 1.0)
    count = nodes.op("Mul", nodes.op("ReduceSum", nodes.op("Abs", steps), [1], keepdims=0), 0.5)
    return _table(nodes, nodes.op("Cast", count, to=TensorProto.INT64), line, (start, end), picture.down.pixels)


def _every_other(nodes: Nodes, values: str) -> tuple[str, str]:
    """Those at even and at odd places."""
    even, odd = (nodes.op("Slice", values, [first], [ALL], [0], [2]) for first in (0, 1))
    return even, odd


def _part(nodes: Nodes, values: str, first: int, end: int, axis: int) -> str:
    return nodes.op("Slice", values, [first], [end], [axis])


def _crossing(nodes: Nodes, pixels: str, values: str, at: tuple[str, str], side: int) -> str:
    """The last pixel that is on, going on from a turn that is on to the next one on a side, which is off.

    Args:
        nodes: of the graph.
        pixels: `(turns,)` of the turns.
        values: at all turns of all lines, less the threshold.
        at: `(runs,)` where the line of a run begins in the values, and the number of the turn in it.
        side: -1 for the left, 1 for the right.
    """
    begins, turn = at
    # At an end of the line there is no next turn: the turn itself stands for it, and the way to it is 0.
    other = nodes.op(
        "Min", nodes.op("Max", nodes.op("Add", turn, side), 0), nodes.op("Sub", nodes.op("Size", pixels), 1)
    )
    here, there = (nodes.op("Gather", pixels, index) for index in (turn, other))
    inside, outside = (nodes.op("Gather", values, nodes.op("Add", begins, index)) for index in (turn, other))
    way = nodes.op("Abs", nodes.op("Sub", there, here))
    fall = nodes.op("Max", nodes.op("Sub", inside, outside), np.finfo(np.float32).tiny)
    steps = nodes.op("Floor", nodes.op("Div", nodes.op("Mul", inside, way), fall))
    steps = nodes.op("Max", nodes.op("Min", steps, nodes.op("Sub", way, 1.0)), 0.0)
    return nodes.op("Add" if side > 0 else "Sub", here, steps)


def _table(nodes: Nodes, count: str, line: str, ends: tuple[str, str], rows: str) -> _Runs:
    """Runs, which come line by line, in a table of lines.

    Args:
        nodes: of the graph.
        count: `(lines,)` int64, runs of each line.
        line: `(runs,)` of each run.
        ends: `(runs,)` their starts and ends.
        rows: of a map.
    """
    width = nodes.op("Max", nodes.op("ReduceMax", count, keepdims=0), 1)
    before = nodes.op("CumSum", count, 0, exclusive=1)
    rank = nodes.op("Sub", nodes.op("Range", 0, nodes.op("Size", line), 1), nodes.op("Gather", before, line))
    # Of a map, all first runs of a line come first, then all second ones.
    whole = nodes.op("Mul", nodes.op("Div", line, rows), nodes.op("Mul", width, rows))
    place = nodes.op("Add", nodes.op("Mul", rank, rows), nodes.op("Add", whole, nodes.op("Mod", line, rows)))
    cells = nodes.op("Unsqueeze", nodes.op("Mul", nodes.op("Size", count), width), [0])
    shape = nodes.op("Concat", [-1], *(nodes.op("Unsqueeze", one, [0]) for one in (width, rows)), axis=0)
    start, end = (
        nodes.op("Reshape", nodes.op("ScatterElements", nodes.op("Expand", nothing, cells), place, value), shape)
        for nothing, value in zip((NEVER, -NEVER), ends, strict=True)
    )
    return _Runs(start, end)


def _connected(nodes: Nodes, runs: _Runs) -> str:
    """For each run of a map, `(M, W rows)`, the smallest number of a run of its region."""
    shape = nodes.op("Shape", runs.start)
    nobody = nodes.op("Expand", NEVER, nodes.op("Concat", nodes.op("Slice", shape, [0], [2]), [1], axis=0))
    by_map = nodes.op("Concat", nodes.op("Slice", shape, [0], [1]), [-1], axis=0)
    apart = _apart(nodes, runs)

    def round_of(inner: Nodes, carried: list[str]) -> tuple[str, list[str]]:
        [numbers] = carried
        table = inner.op("Reshape", numbers, shape)
        upper, lower = _neighbours(inner, table)
        above = inner.op("ReduceMin", inner.op("Add", upper, apart), [1], keepdims=0)
        below = inner.op("ReduceMin", inner.op("Add", lower, apart), [2], keepdims=0)
        above, below = inner.op("Concat", nobody, above, axis=2), inner.op("Concat", below, nobody, axis=2)
        seen = inner.op("Reshape", inner.op("Min", table, above, below), by_map)
        index = inner.op("Cast", numbers, to=TensorProto.INT64)
        new = inner.op("ScatterElements", seen, index, seen, axis=1, reduction="min")
        for _ in range(2):
            new = inner.op("GatherElements", new, inner.op("Cast", new, to=TensorProto.INT64), axis=1)
        fell = inner.op("ReduceMax", inner.op("Sub", numbers, new), keepdims=0)
        return inner.op("Greater", fell, 0.0), [new]

    flat = nodes.op("Shape", nodes.op("Reshape", runs.start, by_map))
    numbers = nodes.op("Expand", _counted(nodes, flat, 1), flat)
    return nodes.loop([numbers], MOST_ROUNDS, round_of)[0]


def _neighbours(nodes: Nodes, table: str) -> tuple[str, str]:
    """A table's upper and lower rows, as `(M, W, 1, rows - 1)` and `(M, 1, W, rows - 1)`."""
    return (
        nodes.op("Unsqueeze", _part(nodes, table, 0, -1, 2), [2]),
        nodes.op("Unsqueeze", _part(nodes, table, 1, ALL, 2), [1]),
    )


def _apart(nodes: Nodes, runs: _Runs) -> str:
    """`(M, W, W, rows - 1)`: 0 where a run touches one of the row below, also by a corner, else `NEVER`."""
    (upper_start, lower_start), (upper_end, lower_end) = (_neighbours(nodes, one) for one in (runs.start, runs.end))
    # Neither begins behind the other's end.
    gap = nodes.op("Max", nodes.op("Sub", upper_start, lower_end), nodes.op("Sub", lower_start, upper_end))
    return nodes.op("Mul", nodes.op("Cast", nodes.op("Greater", gap, 0.0), to=TensorProto.FLOAT), NEVER)


def _largest(nodes: Nodes, runs: _Runs, numbers: str) -> str:
    """The box of each map's largest region, `(M, 4)`."""
    by_map, table = nodes.op("Shape", numbers), nodes.op("Shape", runs.start)
    length = nodes.op("Reshape", nodes.op("Relu", nodes.op("Sub", runs.end, runs.start)), by_map)
    index = nodes.op("Cast", numbers, to=TensorProto.INT64)
    areas = nodes.op("ScatterElements", nodes.op("Mul", length, 0.0), index, length, axis=1, reduction="add")
    largest = nodes.op("ReduceMax", areas, [1])
    # Of equal areas the first in raster order: the least number of a run, counted line by line.
    row, rank = (_counted(nodes, table, axis) for axis in (2, 1))
    width = nodes.op("Cast", nodes.op("Gather", table, 1), to=TensorProto.FLOAT)
    raster = nodes.op("Add", nodes.op("Unsqueeze", rank, [1]), nodes.op("Mul", row, width))
    raster = nodes.op("Reshape", nodes.op("Expand", raster, table), by_map)
    late = nodes.op("Expand", NEVER, by_map)
    first = nodes.op("ScatterElements", late, index, raster, axis=1, reduction="min")
    chosen = nodes.op("ArgMin", nodes.op("Where", nodes.op("Equal", areas, largest), first, late), axis=1)
    mine = nodes.op("Equal", numbers, nodes.op("Cast", chosen, to=TensorProto.FLOAT))
    mine = nodes.op("Reshape", mine, table)

    def bound(kind: str, values: str, otherwise: float) -> str:
        kept = nodes.op("Where", mine, values, otherwise)
        return nodes.op("Unsqueeze", nodes.op(kind, kept, [1, 2], keepdims=0), [1])

    corners = bound("ReduceMin", runs.start, NEVER), bound("ReduceMin", row, NEVER)
    ends = bound("ReduceMax", runs.end, -1.0), nodes.op("Add", bound("ReduceMax", row, -1.0), 1.0)
    there = nodes.op("Cast", nodes.op("Greater", largest, 0.0), to=TensorProto.FLOAT)
    return nodes.op("Mul", nodes.op("Concat", *corners, *ends, axis=1), there)


def _counted(nodes: Nodes, shape: str, axis: int) -> str:
    """0, 1, 2, ... along an axis of a table."""
    return nodes.op("Cast", nodes.op("Range", 0, nodes.op("Gather", shape, axis), 1), to=TensorProto.FLOAT)
