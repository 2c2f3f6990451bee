"""Ours and others' factorizations behind one face: a matrix and a rank in, two factors out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matrices import Matrix
from numpy.typing import NDArray
from sklearn.decomposition import NMF, MiniBatchNMF

from dff_onnx import factorize

Factors = tuple[NDArray[Any], NDArray[Any]]
Method = Callable[[Matrix, int], Factors]


def ours(**options: Any) -> Method:
    """Our solver, one thread."""

    def run(A: Matrix, k: int) -> Factors:
        found = factorize(A, k, threads=1, **options)
        return found.H, found.W

    return run


def sklearn(transposed: bool = False, **options: Any) -> Method:
    """scikit-learn's; transposed as pytorch-grad-cam calls it (`NMF(...).fit_transform(A.T)`)."""

    def run(A: Matrix, k: int) -> Factors:
        model = NMF(k, random_state=0, **options)
        if transposed:
            Wt = model.fit_transform(A.T)
            return model.components_.T, Wt.T
        return model.fit_transform(A), model.components_

    return run


def minibatch(A: Matrix, k: int) -> Factors:
    """scikit-learn's online solver, by its defaults but for the batch."""
    model = MiniBatchNMF(k, init="nndsvda", random_state=0, batch_size=4096)
    return model.fit_transform(A), model.components_


def torch_mu(max_iter: int, tol: float) -> Method:
    """The authors' multiplicative updates in PyTorch, as their code has them."""

    def run(A: Matrix, k: int) -> Factors:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        V = torch.from_numpy(A)
        scale = float(V.mean() / k) ** 0.5
        H, W = torch.randn(V.shape[0], k).abs() * scale, torch.randn(k, V.shape[1]).abs() * scale
        first = previous = float((V - H @ W).norm())
        for step in range(max_iter):
            H = H * ((V @ W.T) / (H @ (W @ W.T)).clamp(min=1e-7))
            W = W * ((H.T @ V) / ((H.T @ H) @ W).clamp(min=1e-7))
            if tol > 0 and step % 10 == 0:
                error = float((V - H @ W).norm())
                if (previous - error) / first < tol:
                    break
                previous = error
        return H.numpy(), W.numpy()

    return run


def methods(names: Iterable[str]) -> dict[str, Method]:
    """Those of the names that can run here."""
    found: dict[str, Method] = {
        "ours": ours(),
        "ours, one start": ours(starts=1),
        "ours, 1 pass": ours(max_iter=1),
        "ours, 2 passes": ours(max_iter=2, tol=0.0),
        "ours, 3 passes": ours(max_iter=3, tol=0.0),
        "ours, hals": ours(solver="hals"),
        "authors' MU, 50 steps": ours(solver="mu", max_iter=50, tol=0.0),
        "authors' MU": ours(solver="mu"),
        "sklearn cd, 10 steps": sklearn(init="nndsvda", max_iter=10, tol=0),
        "sklearn cd": sklearn(init="nndsvda"),
        "sklearn mu": sklearn(init="nndsvda", solver="mu"),
        "pytorch-grad-cam": sklearn(transposed=True, init="random"),
        "sklearn MiniBatchNMF": minibatch,
    }
    if find_spec("torch") is not None:
        found["authors' MU in torch, 50 steps"] = torch_mu(50, 0.0)
        found["authors' MU in torch"] = torch_mu(200, 1e-4)
    return {name: found[name] for name in names if name in found}


@dataclass(slots=True)
class Measured:
    """CPU seconds (the best round), loss of that round, and MiB above what was there before."""

    seconds: float = np.inf
    loss: float = np.inf
    memory: float = 0.0


def measure(A: Matrix, k: int, chosen: Mapping[str, Method], rounds: int, patience: float = 5.0) -> dict[str, Measured]:
    """Runs methods in turns, one thread each; one that takes longer than `patience` seconds runs once."""
    found = {name: Measured() for name in chosen}
    norm = _squares(A)
    for _ in range(rounds):
        for name, one in found.items():
            if patience < one.seconds < np.inf:
                continue
            before = _memory("VmRSS", reset=True)
            started = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a peer stops at its limit is part of the comparison
                H, W = chosen[name](A, k)
            seconds = time.process_time() - started
            one.memory = max(one.memory, _memory("VmHWM") - before)
            if seconds < one.seconds:
                one.seconds, one.loss = seconds, loss(A, H, W, norm)
    return found


def loss(A: Matrix, H: NDArray[Any], W: NDArray[Any], norm: float) -> float:
    """`||A-HW||^2 / ||A||^2` in float64: what scikit-learn says of float32 matrices is off by up to a thousandth."""
    W = W.astype(np.float64)
    blocks = [slice(i, i + 2048) for i in range(0, len(A), 2048)]
    return sum(float(((A[b].astype(np.float64) - H[b].astype(np.float64) @ W) ** 2).sum()) for b in blocks) / norm


def _squares(A: Matrix) -> float:
    return sum(float((A[i : i + 2048].astype(np.float64) ** 2).sum()) for i in range(0, len(A), 2048))


def _memory(what: Literal["VmRSS", "VmHWM"], reset: bool = False) -> float:
    """MiB now, or at most since the last reset; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024
