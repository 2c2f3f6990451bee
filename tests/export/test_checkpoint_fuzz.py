"""Mutated files of weights: only our refusal may come out, whatever was changed, and memory stays small."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import weight_files as files
from mutations import mutated
from torture_tier import each, tiers

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
FORMS = ("zip", "legacy", "safetensors")


@tiers("mutated checkpoints")
def test_only_our_refusal_leaves_a_mutated_checkpoint(cases: range, tmp_path: Path) -> None:
    goods = {form: files.write(tmp_path / form, form, ARRAYS).read_bytes() for form in FORMS}
    path = tmp_path / "mutated"

    def judge(number: int, rng: np.random.Generator) -> str:
        path.write_bytes(at_an_end(goods[FORMS[number % len(FORMS)]], rng))
        try:
            with open_checkpoint(path) as checkpoint:
                for name in checkpoint.shapes.keys() - {"features.1.num_batches_tracked"}:
                    checkpoint.array(name)
            export("vgg11_bn", path)
        except CheckpointError as refusal:
            assert str(refusal).startswith(str(path))
            return "refused"
        return "read"

    tracemalloc.start()
    try:
        found = each(cases, judge)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    # A changed weight is a valid weight; the archive alone has checksums.
    assert 0 < found["read"] < 0.8 * len(cases)


def at_an_end(content: bytes, rng: np.random.Generator) -> bytes:
    """Most edits near the beginning or the end of a file, where its structure is."""
    near, where = 2500, rng.integers(3)
    if where == 0:
        return mutated(content[:near], rng) + content[near:]
    if where == 1:
        return content[:-near] + mutated(content[-near:], rng)
    return mutated(content, rng)
