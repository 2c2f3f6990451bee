"""Files of weights are read right: formats, types of number, wrappers, strides, shared storages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import weight_files as files
from numpy.typing import NDArray

from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export import open_checkpoint

FORMS = ("zip", "legacy", "safetensors")
RNG = np.random.default_rng(5)
ARRAYS: dict[str, NDArray[Any]] = {
    "features.0.weight": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32),
    "features.0.bias": RNG.normal(size=4),
    "features.3.weight": RNG.normal(size=(2, 4, 1, 1)).astype(np.float16),
    "scalar": np.float32(7).reshape(()),
    "empty": np.empty((0, 3), np.float32),
}
FLAT = np.arange(24, dtype=np.float32)
BYTES = {"0": (24, FLAT.tobytes())}


def read(path: Path) -> dict[str, NDArray[Any]]:
    with open_checkpoint(path) as checkpoint:
        return {name: checkpoint.array(name) for name in checkpoint.shapes}


def assert_same(found: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].dtype == expected[name].dtype
        assert found[name].flags.c_contiguous


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_read_bit_by_bit(tmp_path: Path, form: str) -> None:
    assert_same(read(files.write(tmp_path / "weights.bin", form, ARRAYS)), ARRAYS)


def test_the_fingerprint_is_of_the_whole_file(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w.pth", "zip", ARRAYS)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("form", FORMS)
def test_integer_tensors_may_be_there_but_are_no_weights(tmp_path: Path, form: str) -> None:
    path = files.write(tmp_path / "w", form, {"n": np.array(3), "x": np.ones(2, np.float32)})
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.shapes == {"n": (), "x": (2,)}
        with pytest.raises(CheckpointError, match=r"'n': holds int64 where weights are floating-point"):
            checkpoint.array("n")


@pytest.mark.parametrize("writer", [files.write_zip, files.write_legacy])
def test_strided_overlapping_and_offset_views_of_one_storage_are_read_right(tmp_path: Path, writer: Any) -> None:
    whole = files.storage("0", 24)
    tree = files.ordered(
        {
            "transposed": files.tensor(whole, (6, 4), (1, 6)),
            "every second": files.tensor(whole, (12,), (2,)),
            "behind": files.tensor(whole, (2, 3), (3, 1), 18),
            "broadcast": files.tensor(whole, (3, 2), (0, 1), 5),
        }
    )
    assert_same(
        read(writer(tmp_path / "w", tree, BYTES)),
        {
            "transposed": FLAT.reshape(4, 6).T,
            "every second": FLAT[::2],
            "behind": FLAT[18:].reshape(2, 3),
            "broadcast": np.broadcast_to(FLAT[5:7], (3, 2)),
        },
    )


def test_a_storage_inside_a_storage_of_an_old_file_is_read_right(tmp_path: Path) -> None:
    part = files.storage("0", 24, view=files.group(files.text("part"), files.number(6), files.number(10)))
    tree = files.mapping({"part": files.tensor(part, (2, 3), (3, 1), 4)})
    assert_same(read(files.write_legacy(tmp_path / "w", tree, BYTES)), {"part": FLAT[10:16].reshape(2, 3)})


@pytest.mark.parametrize("form", ["zip", "safetensors"])
def test_bfloat16_becomes_the_same_float32(tmp_path: Path, form: str) -> None:
    values = np.array([1.0, -2.5, 3.0e38, 0.0], np.float32)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    expected = (upper.astype(np.uint32) << 16).view(np.float32)
    if form == "zip":
        tree = files.mapping({"x": files.tensor(files.storage("0", 4, "BFloat16Storage"), (2, 2), (1, 2))})
        path = files.write_zip(tmp_path / "w", tree, {"0": (4, upper.tobytes())})
    else:
        entry = {"x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
        content = np.ascontiguousarray(upper.reshape(2, 2).T).tobytes()
        path = files.write_header(tmp_path / "w", json.dumps(entry).encode(), content)
    assert_same(read(path), {"x": np.ascontiguousarray(expected.reshape(2, 2).T)})


def test_big_endian_files_are_read_right(tmp_path: Path) -> None:
    tree, swapped = files.state({"x": FLAT}), {"0": (24, FLAT.astype(">f4").tobytes())}
    assert_same(read(files.write_legacy(tmp_path / "a", tree, swapped, order=">")), {"x": FLAT})
    assert_same(read(files.write_zip(tmp_path / "b", tree, swapped, extra={"archive/byteorder": b"big"})), {"x": FLAT})


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "model."])
def test_wrappers_and_prefixes_are_taken_off(tmp_path: Path, wrapper: str, prefix: str) -> None:
    inner = files.state({prefix + name: array for name, array in ARRAYS.items()})
    arguments = files.call(files.named("argparse", "Namespace")) + files.mapping({"lr": files.number(1)}) + b"b"
    tree = files.mapping({"epoch": files.number(3), "args": arguments, wrapper: inner})
    assert_same(read(files.write_zip(tmp_path / "w", tree, files.storages(ARRAYS))), ARRAYS)


def test_parameters_and_metadata_of_a_state_dict_are_no_obstacle(tmp_path: Path) -> None:
    rebuild = files.named("torch._utils", "_rebuild_parameter")
    parameter = files.call(rebuild, files.tensor(files.storage("0", 24), (24,), (1,)), b"\x88", b"}")
    tree = files.ordered({"x": parameter}) + files.mapping({"_metadata": files.mapping({})}) + b"b"
    assert_same(read(files.write_legacy(tmp_path / "w", tree, BYTES)), {"x": FLAT})


def test_a_state_dict_of_python_2_is_read(tmp_path: Path) -> None:
    pair = b"](" + b"U\x01x" + files.tensor(files.storage("0", 24), (24,), (1,)) + b"e"
    tree = files.call(files.named("collections", "OrderedDict"), b"](" + pair + b"e")
    assert_same(read(files.write_legacy(tmp_path / "w", tree, BYTES)), {"x": FLAT})


def test_what_is_no_checkpoint_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file; give a"):
        read(tmp_path / "none.pth")
    for content in (b"", b"<html>404</html>", b"PK\x03\x04", b"\x80", b"\x80\x02.", b"12345678{"):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"w\.pth: "):
            read(tmp_path / "w.pth")


@pytest.mark.parametrize("tree", [files.number(1), files.mapping({"epoch": files.number(1)}), b"]"])
def test_a_file_without_tensors_is_refused(tmp_path: Path, tree: bytes) -> None:
    with pytest.raises(CheckpointError, match="holds no dict of tensors"):
        read(files.write_zip(tmp_path / "w", tree, {}))
