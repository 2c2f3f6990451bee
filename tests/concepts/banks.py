"""Banks to write and to damage."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from dff_onnx.concepts.bank import Bank
from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.images import Resize
from dff_onnx.records import Fingerprint, Preprocessing


def bank(k: int = 3, c: int = 5, **changes: Any) -> Bank:
    rng = np.random.default_rng(0)
    W = rng.random((k, c), np.float32)
    fields: dict[str, Any] = {
        "W": W / np.linalg.norm(W, axis=1, keepdims=True),
        "thresholds": rng.random(k, np.float32),
        "peaks": 1 + rng.random(k, np.float32),
        "energy": np.full(k, 1 / max(k, 1), np.float32),
        "names": ("ear", None, 'a "näme" =1')[:k],
        "colours": ("#e69f00", "#0072b2", "#f0e442")[:k],
        "fingerprint": Fingerprint("ab" * 32, "relu5_4", Preprocessing(layout="NCHW", dtype="float32")),
        "provenance": {"images": 6, "loss": 0.25, "dff-onnx": "0.1.0", "per_image": False},
    }
    return Bank(**fields | changes)


def foreground_bank() -> Bank:
    """As a run with --foreground writes it."""
    mean = np.zeros(5, np.float32)
    return bank(k=0, foreground=ForegroundModel(mean + 1, mean, 0.0, 0.0, 1.0, Resize("square", 448)))


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return data.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    data = io.BytesIO()
    np.save(data, array, **options)
    return data.getvalue()


def about(contents: dict[str, bytes], **changes: Any) -> bytes:
    """The bank's JSON with other fields."""
    fields = json.loads(np.load(io.BytesIO(contents["about.npy"])).tobytes())
    return text_array(json.dumps(fields | changes))


def text_array(text: str) -> bytes:
    return npy(np.frombuffer(text.encode(), np.uint8))
