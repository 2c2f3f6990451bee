"""How many threads NumPy's BLAS may use.

Products of a few dozen columns gain nothing from BLAS threads, which spin on cores that other work could use.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_holders = 0
_lock = threading.Lock()
_before = 1


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Holds NumPy's OpenBLAS to one thread, process-wide; does nothing where NumPy brought no OpenBLAS along."""
    global _holders, _before
    library = _openblas()
    if library is None:
        yield
        return
    with _lock:
        if _holders == 0:
            _before = library.scipy_openblas_get_num_threads64_()
            library.scipy_openblas_set_num_threads64_(1)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                library.scipy_openblas_set_num_threads64_(_before)


@cache
def _openblas() -> Any:
    """The library inside NumPy's wheel, already loaded; None for other builds."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for file in sorted(folder.glob("libscipy_openblas64_*")):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(file))
            if hasattr(library, "scipy_openblas_set_num_threads64_"):
                return library
    return None
