"""CuPy lacks some names of the array API standard; core code keeps to those it has, also where no GPU can prove it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dff_onnx"
# Seen in cupy-cuda13x 14.2.0, which has neither linalg.vector_norm, linalg.diagonal, vecdot nor finfo.
IN_CUPY = set(
    """
    abs all any arange argmax argmin argsort asarray astype bincount broadcast_to ceil clip concatenate count_nonzero
    cumsum empty empty_like exp expand_dims flip float32 float64 floor full full_like int32 int64 isdtype isfinite
    linalg.eigh linalg.solve log log1p max maximum mean min minimum moveaxis ndarray nonzero ones ones_like permute_dims
    reshape round searchsorted sort sqrt squeeze stack sum take tile uint8 unique_values where zeros zeros_like bool
    cumulative_sum isnan concat matmul matrix_transpose
    """.split()
)  # fmt: skip


def names_of_namespace(file: Path) -> set[str]:
    """`xp.something` and `xp.linalg.something` in a file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if text.startswith("xp.") and text != "xp.linalg" and text.count(".") <= 1 + text.startswith("xp.linalg"):
                found.add(text.removeprefix("xp."))
    return found


@pytest.mark.parametrize("room", ["factorization", "maps", "metrics", "cam", "retrieval"])
def test_core_code_uses_names_that_cupy_has(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    used = {name for file in files for name in names_of_namespace(file)}
    assert used <= IN_CUPY, f"CuPy 14.2 lacks {sorted(used - IN_CUPY)}: make a helper in dff_onnx/arrays"


def test_the_list_of_names_is_true_where_cupy_is_installed() -> None:
    cupy = pytest.importorskip("cupy", reason="needs CuPy: pip install 'dff-onnx[cupy]'")
    missing = [name for name in IN_CUPY if not hasattr(cupy.linalg if "." in name else cupy, name.split(".")[-1])]
    assert not missing
