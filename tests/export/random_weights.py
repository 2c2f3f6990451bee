"""Random weights for a network's plan, as `weight_files` writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.export.architectures import network


def weights(architecture: str, upto: str | None = None, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Every parameter, or those of the first steps up to the layer `upto`."""
    plan, rng = network(architecture), np.random.default_rng(seed)
    expected = plan.expected
    if upto:
        steps = plan.ancestors((upto,))
        expected = {name: shape for step in steps if hasattr(step, "expected") for name, shape in step.expected()}
    return {name: rng.uniform(0.5, 1.5, shape) / np.prod(shape[1:]) for name, shape in expected.items()}
