"""Coefficients inside a graph: `H = argmin_{H>=0} ||A-HW||` by projected gradients with momentum.

Polyak's heavy ball (1964), projected: `X+ = max(X - a (G X - B) + b (X - X-), 0)` with `G = W W^T`, `B = A W^T`. Step
`a` and momentum `b` are the best ones for the largest and smallest eigenvalue of `G`, which are known when the graph is
made. Stacked as `[X; X-]`, a round is one matrix product whose bias and ReLU runtimes fuse: one node, whatever the
number of concepts. Coordinate descent, which the Python side uses, needs several nodes for each concept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from dff_onnx.deploy.nodes import Nodes

Doubles = NDArray[np.float64]

TOLERANCE = 1e-6  # of the largest `A W^T`, as on the Python side
ROUNDS = 10  # between two looks at what is left
MORE = 4  # times the rounds that the eigenvalues ask for, at most
NOTHING, LEAST_EIGENVALUE = 1e-10, 1e-5  # beside the largest


@dataclass(frozen=True, slots=True)
class Gram:
    """`W W^T` of concepts of unit length, and what it says of the descent.

    Attributes:
        G: `(k, k)`.
        step, momentum: of the heavy ball.
        condition: the largest eigenvalue beside the least; how much of a gradient may be an error of coefficients.
    """

    G: Doubles
    step: float
    momentum: float
    condition: float

    @classmethod
    def of(cls, W: NDArray[np.floating]) -> Gram:
        """Of concepts `(k, c)`; rows of zeros, which nothing uses, count for nothing."""
        exact = W.astype(np.float64)
        G = exact @ exact.T
        values = np.linalg.eigvalsh(G)
        high = float(values[-1]) or 1.0
        # A direction of next to no eigenvalue has next to no gradient; momentum made for it would only swing.
        least = float(values[values > NOTHING * high].min(initial=high))
        low = max(least, LEAST_EIGENVALUE * high)
        root_high, root_low = high**0.5, low**0.5
        momentum = ((root_high - root_low) / (root_high + root_low)) ** 2
        return cls(G, 4 / (root_high + root_low) ** 2, momentum, high / least)

    @property
    def rounds(self) -> int:
        """After which coefficients are expected within 1e-5 of their largest: measured on banks of three networks.

        >>> Gram.of(np.eye(3)).rounds
        5
        """
        rate = self.momentum**0.5
        return 5 + (int(np.ceil(np.log(1e-5) / np.log(rate))) if rate > 0 else 0)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Names of tensors, all `(k, cells)` for the cells of all pictures.

    Attributes:
        H: the coefficients.
        AWt: `W A^T`.
        gradient: `G H - W A^T`.
    """

    H: str
    AWt: str
    gradient: str


def add_least_squares(nodes: Nodes, AWt: str, gram: Gram, unroll: int | None) -> Coefficients:
    """Adds the coefficients of all cells.

    Args:
        nodes: of the graph.
        AWt: `(k, cells)`, the concepts times the activations.
        gram: of the concepts.
        unroll: rounds, written out one behind the other; None goes on in a loop until what the optimality conditions
            say is zero is below 1e-6 of the largest `A W^T`.
    """
    k = len(gram.G)
    one, zero = np.eye(k), np.zeros((k, k))
    turn = np.block([[(1 + gram.momentum) * one - gram.step * gram.G, -gram.momentum * one], [one, zero]])
    matrix = nodes.held(turn.astype(np.float32))
    pull = nodes.op("Mul", AWt, np.float32(gram.step))
    bias = nodes.op("Concat", pull, nodes.op("Mul", AWt, 0.0), axis=0)
    first = nodes.op("Relu", pull)
    state = nodes.op("Concat", first, first, axis=0)

    def round_of(inner: Nodes, stacked: str) -> str:
        return inner.op("Relu", inner.op("Gemm", matrix, stacked, bias))

    def newest(inner: Nodes, stacked: str) -> str:
        return inner.op("Slice", stacked, [0], [k], [0])

    def gradient_of(inner: Nodes, H: str) -> str:
        return inner.op("Sub", inner.op("MatMul", gram.G.astype(np.float32), H), AWt)

    if unroll is not None:
        for _ in range(unroll):
            state = round_of(nodes, state)
    else:
        allowed = nodes.op("Mul", nodes.op("ReduceMax", nodes.op("Abs", AWt), keepdims=0), np.float32(TOLERANCE))

        def some_rounds(inner: Nodes, carried: list[str]) -> tuple[str, list[str]]:
            [stacked] = carried
            for _ in range(ROUNDS):
                stacked = round_of(inner, stacked)
            H = newest(inner, stacked)
            left = violation(inner, H, gradient_of(inner, H))
            return inner.op("Greater", inner.op("ReduceMax", left, keepdims=0), allowed), [stacked]

        [state] = nodes.loop([state], -(-MORE * gram.rounds // ROUNDS), some_rounds, TensorProto.FLOAT)
    H = newest(nodes, state)
    return Coefficients(H, AWt, gradient_of(nodes, H))


def violation(nodes: Nodes, H: str, gradient: str) -> str:
    """The projected gradient's absolute values: what the Karush-Kuhn-Tucker conditions say is zero."""
    # Where H is zero, only a way into H > 0 counts.
    inwards = nodes.op("Relu", nodes.op("Neg", gradient))
    return nodes.op("Where", nodes.op("Greater", H, 0.0), nodes.op("Abs", gradient), inwards)
