"""`A -> H, W`: pure solvers of the non-negative factorization, one per file, and the estimator over them."""

from dff_onnx.factorization.distributed import DistributedRows, Part
from dff_onnx.factorization.estimator import DFF
from dff_onnx.factorization.factorize import Solver, factorize
from dff_onnx.factorization.losses import losses
from dff_onnx.factorization.nnls import nonnegative_least_squares
from dff_onnx.factorization.result import Factorization
from dff_onnx.factorization.rows import Rows, whole_images

__all__ = [
    "DFF",
    "DistributedRows",
    "Factorization",
    "Part",
    "Rows",
    "Solver",
    "factorize",
    "losses",
    "nonnegative_least_squares",
    "whole_images",
]
