"""Matrices to factorize: features of real networks, and a synthetic one as large as is wanted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.session import Backbone
from dff_onnx.export import export_file
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize
from dff_onnx.progress import Silent
from dff_onnx.runs.collect import collect

Matrix = NDArray[np.float32]
NETWORKS = ("squeezenet1_1", "resnet50v2-stage3", "compact")


def data() -> Path | None:
    """The folder of real networks and photographs, where `DFF_ONNX_DATA` names one."""
    named = os.environ.get("DFF_ONNX_DATA")
    return Path(named) if named else None


def features(network: str, folder: Path, size: int, images: int | None, scratch: Path) -> Matrix:
    """Activations of a network on the first pictures of a folder, `(N, c)`.

    Args:
        network: one of `NETWORKS`.
        folder: of pictures.
        size: in pixels.
        images: how many; None takes all.
        scratch: for what has to be exported.
    """
    root = data()
    assert root is not None
    path: Path | None = root / "models" / f"{network}.onnx"
    if network == "squeezenet1_1":
        path = scratch / f"{network}.onnx"
        if not path.exists():
            export_file(network, root / "models" / f"{network}.safetensors", path)
    backbone = Backbone.open(None if network == "compact" else path, threads=1)
    A: Matrix = collect(folder, walk_pictures(folder)[:images], backbone, Resize(pixels=size), Silent()).A
    return A


def synthetic(images: int, channels: int = 512, concepts: int = 40, cells: int = 14) -> Matrix:
    """Pictures of a few blobs each, every blob one of forty sparse concepts, with noise cut off at zero.

    Args:
        images: 196 rows each.
        channels: of `A`.
        concepts: there are, some far more frequent than others.
        cells: of a grid's side.
    """
    model, rng = np.random.default_rng(1234), np.random.default_rng(images)
    W = model.gamma(0.5, 1.0, (concepts, channels)) * (model.random((concepts, channels)) < 0.18)
    W *= model.lognormal(0, 0.6, (1, channels))
    W = (W / np.linalg.norm(W, axis=1, keepdims=True)).astype(np.float32)
    often = np.arange(1, concepts + 1) ** -0.7
    often /= often.sum()
    ground = model.gamma(0.3, 1.0, channels)
    ground = (0.3 * ground / np.linalg.norm(ground)).astype(np.float32)
    bias = (0.035 * model.lognormal(0, 0.5, channels)).astype(np.float32)
    A = np.empty((images * cells**2, channels), np.float32)
    for start in range(0, images, 64):
        many = min(64, images - start)
        H = np.concatenate([_blobs(rng, often, cells) for _ in range(many)])
        X = H @ W + rng.gamma(2.0, 0.5, (len(H), 1)).astype(np.float32) * ground
        X += 0.06 * rng.standard_normal(X.shape, np.float32) * (0.4 + np.linalg.norm(X, axis=1, keepdims=True))
        A[start * cells**2 : (start + many) * cells**2] = 20 * np.maximum(X - bias, 0)
    return A


def _blobs(rng: np.random.Generator, often: NDArray[Any], cells: int) -> Matrix:
    """Coefficients of one picture, `(cells^2, concepts)`."""
    y, x = np.mgrid[0:cells, 0:cells]
    H = np.zeros((cells * cells, len(often)), np.float32)
    for concept in rng.choice(len(often), rng.integers(3, 9), replace=False, p=often):
        (cy, cx), (sy, sx) = rng.uniform(0, cells, 2), rng.uniform(1.0, 4.0, 2)
        blob = np.exp(-(((y - cy) / sy) ** 2) / 2 - ((x - cx) / sx) ** 2 / 2)
        H[:, concept] += rng.lognormal(0, 0.7) * np.where(blob > 0.1, blob, 0).ravel()
    return H * rng.gamma(4.0, 0.25, H.shape).astype(np.float32)
