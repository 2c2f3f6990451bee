"""One code path for NumPy, CuPy and any other library of the array API standard.

Core code asks `xp = namespace_of(A)` and keeps to the standard; what the standard lacks, or what a library does
faster in its own way, is a named helper here. CuPy is named in this package only.
"""

from dff_onnx.arrays.namespace import (
    Array,
    Namespace,
    cuda_present,
    device_of,
    from_cuda,
    is_cupy,
    namespace_of,
    to_numpy,
)

__all__ = ["Array", "Namespace", "cuda_present", "device_of", "from_cuda", "is_cupy", "namespace_of", "to_numpy"]
