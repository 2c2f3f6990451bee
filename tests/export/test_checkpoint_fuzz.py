"""Mutated files of weights: only our refusal may come out, whatever was changed, and memory stays small."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import weight_files as files

from dff_onnx.errors import CheckpointError
from dff_onnx.export import export, open_checkpoint

RNG = np.random.default_rng(11)
ARRAYS = {
    "features.0.weight": RNG.normal(size=(64, 3, 3, 3)).astype(np.float16),
    "features.0.bias": RNG.normal(size=64),
    "features.1.weight": RNG.normal(size=64),
    "features.1.bias": RNG.normal(size=64),
    "features.1.running_mean": RNG.normal(size=64).astype(np.float32),
    "features.1.running_var": RNG.uniform(0.5, 2, size=64),
    "features.1.num_batches_tracked": np.array(3),
}
EXTREMES = [struct.pack("<q", value) for value in (0, 1, -1, 2**31 - 1, -(2**31), 2**32, 2**62, -(2**63))]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One to four edits, most of them at the ends of the file, where its structure is."""
    edited = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        near = min(len(edited), 2500)
        at = rng.choice([rng.randrange(len(edited)), rng.randrange(near), len(edited) - 1 - rng.randrange(near)])
        span = rng.choice([1, 1, 2, 4, 8, 40])
        match rng.randrange(6):
            case 0:
                edited[at] = rng.randrange(256)
            case 1:
                edited[at] ^= 1 << rng.randrange(8)
            case 2:
                edited[at : at + 8] = rng.choice(EXTREMES)[: rng.choice([1, 2, 4, 8])]
            case 3:
                del edited[at : at + span]
            case 4:
                other = rng.randrange(len(edited))
                edited[at:at] = edited[other : other + span]
            case 5:
                edited[at : at + span] = rng.randbytes(span)
        if not edited:
            break
    return bytes(edited)


FORMS = ("zip", "legacy", "safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_only_our_refusal_leaves_a_mutated_checkpoint(tmp_path: Path, form: str) -> None:
    mutate_and_read(tmp_path, form, range(500))


@pytest.mark.torture
@pytest.mark.parametrize("form", FORMS)
def test_only_our_refusal_leaves_very_many_mutated_checkpoints(tmp_path: Path, form: str) -> None:
    mutate_and_read(tmp_path, form, range(500, 67_500))


def mutate_and_read(folder: Path, form: str, seeds: range) -> None:
    content = files.write(folder / "good", form, ARRAYS).read_bytes()
    path, accepted = folder / "mutated", 0
    tracemalloc.start()
    try:
        for seed in seeds:
            path.write_bytes(mutated(content, random.Random(f"{form} {seed}")))
            try:
                with open_checkpoint(path) as checkpoint:
                    for name in checkpoint.shapes.keys() - {"features.1.num_batches_tracked"}:
                        checkpoint.array(name)
                export("vgg11_bn", path)
                accepted += 1
            except CheckpointError as refusal:
                assert str(refusal).startswith(str(path))
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    # A changed weight is a valid weight; the archive alone has checksums.
    assert 0 < accepted < 0.8 * len(seeds)
