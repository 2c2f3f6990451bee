"""A network is found by its sha256, wherever it may lie, and no file is read for nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import dff_onnx.zoo.by_digest as module
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.errors import ModelError
from dff_onnx.zoo.by_digest import find_by_digest


def written(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_the_embedded_network_comes_first_then_the_banks_folder_then_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = written(tmp_path / "run" / "b.onnx", b"beside")
    kept = written(cache / "models" / "c.onnx", b"kept")
    looked: list[Path] = []

    def counted(path: Path) -> str:
        looked.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(module, "_digest", counted)
    bank = tmp_path / "run" / "bank.npz"
    assert find_by_digest(counted(embedded_model()), bank) == embedded_model()
    assert len(looked) == 2  # the test's own look, and one more
    assert find_by_digest(beside, bank) == tmp_path / "run" / "b.onnx"
    assert cache / "models" / "c.onnx" not in looked
    assert find_by_digest(kept, bank) == cache / "models" / "c.onnx"


def test_where_it_was_looked_for_is_said(tmp_path: Path, cache: Path) -> None:
    for name in ("a.onnx", "b.onnx", "weights.bin"):
        written(tmp_path / "run" / name, name.encode())
    said = rf"bank\.npz: .*sha256 abababababab.*among 2 ONNX files beside .*among 0 ONNX files in {cache}; .*--model"
    with pytest.raises(ModelError, match=said):
        find_by_digest("ab" * 32, tmp_path / "run" / "bank.npz")
    assert not cache.exists()


def test_what_can_be_no_network_is_passed_over(tmp_path: Path) -> None:
    good = written(tmp_path / "z.onnx", b"good")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "gone.onnx").symlink_to(tmp_path / "nowhere")
    empty = written(tmp_path / "empty.onnx", b"")
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(2**31)  # a hole: it takes no space
    assert find_by_digest(good, tmp_path / "bank.npz") == tmp_path / "z.onnx"
    with pytest.raises(ModelError, match="3 ONNX files"):
        find_by_digest(empty, tmp_path / "bank.npz")


def test_of_a_folder_full_of_networks_only_some_are_read(tmp_path: Path) -> None:
    digests = [written(tmp_path / f"{number:03}.onnx", bytes([number])) for number in range(module.MOST + 1)]
    assert find_by_digest(digests[-2], tmp_path / "bank.npz").name == f"{module.MOST - 1:03}.onnx"
    with pytest.raises(ModelError, match=f"{module.MOST} ONNX files"):
        find_by_digest(digests[-1], tmp_path / "bank.npz")
