"""The embedded backbone is what its card says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.graph import metadata_of
from dff_onnx.backbone.lattice import Lattice, lattice_of
from dff_onnx.backbone.session import Backbone
from dff_onnx.factorization import factorize
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.records import Preprocessing

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
STRIDE = 16


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone.open()


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """All examples, a stride larger than the network's size."""
    paths = walk_pictures(EXAMPLES)
    return np.stack([read_picture(EXAMPLES / path, Resize("square", 224 + STRIDE)).pixels for path in paths])


def test_it_is_small_and_says_what_it_is() -> None:
    path = embedded_model()
    assert path.stat().st_size <= 4_000_000
    model = onnx.load(path)
    metadata = metadata_of(model, path)
    assert metadata is not None
    (layer,) = metadata.layers
    assert (layer.name, layer.stride, layer.nonnegative) == ("features", STRIDE, True)
    assert metadata.preprocessing == Preprocessing()
    assert lattice_of(model, "features", path) == Lattice(16.0, 8.0)
    assert {node.op_type for node in model.graph.node} == {
        "Cast", "Transpose", "Sub", "Mul", "Conv", "Relu", "MaxPool", "Concat",
    }  # fmt: skip


def test_its_card_names_this_very_file_and_its_command() -> None:
    path = embedded_model()
    card = path.with_name("compact.md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    said = {p.key: p.value for p in onnx.load(path).metadata_props}
    plan = json.loads(said["dff.distillation"])
    for teacher in (*plan["teachers"], *plan["energy"]):
        assert re.search(rf"{re.escape(teacher['file'])}@{teacher['size']}", card)
    for name in ("epochs", "crops", "rate", "channels"):
        assert re.search(rf"--{name} {plan[name]}\b", card), name


def test_it_comes_with_its_licence() -> None:
    text = embedded_model().with_name("LICENSE-Apache-2.0.txt").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_most_activations_are_zero_and_no_channel_is_dead(backbone: Backbone, pictures: NDArray[np.uint8]) -> None:
    found = np.asarray(backbone(pictures[:, :224, :224]))
    assert (found == 0).mean() >= 0.6
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (8, 7, 7, 3), np.uint8).repeat(32, 1).repeat(32, 2)
    answered = (found.max((0, 2, 3)) > 0) | (np.asarray(backbone(noise)).max((0, 2, 3)) > 0)
    assert answered.mean() >= 0.9  # thirteen cartoon frames and noise do not wake every channel


def test_maps_move_with_the_picture(backbone: Backbone, pictures: NDArray[np.uint8]) -> None:
    still, moved = (np.asarray(backbone(pictures[:, o : 224 + o, o : 224 + o])) for o in (0, STRIDE))
    # The outermost cells see the border, which moved against the picture.
    still, moved = still[:, :, 2:-1, 2:-1], moved[:, :, 1:-2, 1:-2]
    assert np.corrcoef(still.ravel(), moved.ravel())[0, 1] > 0.95
    rows = np.ascontiguousarray(still.transpose(0, 2, 3, 1).reshape(-1, still.shape[1]))
    W = factorize(rows, 3, seed=0).W
    maps = [np.tensordot(W, part, (1, 1)) for part in (still, moved)]
    for one, other in zip(*maps, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 224, 160), (2, 97, 131)])
def test_any_size_and_batch(shape: tuple[int, int, int], backbone: Backbone) -> None:
    n, height, width = shape
    found = np.asarray(backbone(np.zeros((*shape, 3), np.uint8)))
    assert found.shape[0] == n
    assert found.shape[2:] == pytest.approx((height / STRIDE, width / STRIDE), abs=1)
