"""Which library an array belongs to, and the one way back to the host."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# The standard has no base class for arrays; the alias says what is meant where a type cannot.
Array: TypeAlias = Any
Namespace: TypeAlias = Any


def namespace_of(*arrays: Array) -> Namespace:
    """The array API namespace of the arguments: `numpy`, `cupy`, `array_api_strict`, ...

    Args:
        arrays: one or more arrays of the same library.

    Raises:
        TypeError: when they come from different libraries, or one is not an array.

    >>> import numpy as np
    >>> namespace_of(np.zeros(3)).__name__
    'numpy'
    """
    if len(arrays) == 1:  # asked for in every inner loop
        return _namespace(arrays[0])
    found = {_namespace(a) for a in arrays}
    if len(found) != 1:
        names = ", ".join(sorted(n.__name__ for n in found)) or "no array"
        raise TypeError(f"one array library is needed at a time, found {names}")
    return found.pop()


def _namespace(array: Array) -> Namespace:
    if isinstance(array, np.ndarray | np.generic):
        return np
    if is_cupy(array):
        return sys.modules["cupy"]
    try:
        return array.__array_namespace__()
    except AttributeError:
        raise TypeError(f"not an array of the array API standard: {type(array).__name__}") from None


def is_cupy(array: Array) -> bool:
    """Whether `array` lives in CuPy; never imports it."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def device_of(array: Array) -> Any:
    """The device to create new arrays on beside `array` (the argument `device=` of the standard)."""
    return None if is_cupy(array) else array.device


def to_numpy(array: Array) -> NDArray[Any]:
    """The array on the host, copied only when it is not there yet. For the shell, never for the core.

    >>> import numpy as np
    >>> to_numpy(np.arange(2)).tolist()
    [0, 1]
    """
    if isinstance(array, np.ndarray):
        return array
    if isinstance(array, np.generic):  # what NumPy makes of an array without axes
        return np.asarray(array)
    if is_cupy(array):
        return np.asarray(sys.modules["cupy"].asnumpy(array))
    return np.asarray(np.from_dlpack(array))


def cuda_present() -> bool:
    """Whether CuPy is installed and sees a CUDA device. Imports CuPy when it is there."""
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.cuda.is_available())


def from_cuda(owner: Any) -> Array:
    """A CuPy array over device memory that `owner` lends through DLPack, without a copy.

    The caller must have synchronized the stream that wrote it: DLPack as ONNX Runtime speaks it does not.
    """
    import cupy

    return cupy.from_dlpack(owner)
