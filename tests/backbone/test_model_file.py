from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from nets import branching, channels_last, gated, picture, plain, reshaped, saved
from onnx import ModelProto, TensorProto
from torture_tier import each, row, tiers

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import candidate_layers, list_layers
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import DffError, ModelError, UsageError
from dff_onnx.records import Preprocessing


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (b"<!doctype html><html>", "HTML"),
        (b'{"model": 1}', "JSON"),
        (b"PK\x03\x04" + b"\0" * 60, "dff-onnx export"),
        (b"\x80\x02}q\x00.", "dff-onnx export"),
        (b"dear sir or madam", "not an ONNX file"),
        (os.urandom(0) + bytes(range(256)) * 4, "not an ONNX file"),
    ],
)
def test_what_is_no_onnx_file_is_named(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=said):
        load_model(tmp_path / "x.onnx")


def test_a_missing_file_and_a_folder_are_mistakes_of_usage(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "x.onnx"):
        with pytest.raises(UsageError):
            load_model(path)


def test_a_model_that_is_cut_short_or_too_new_or_of_another_domain_is_refused(tmp_path: Path) -> None:
    whole = plain().SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError):
        load_model(tmp_path / "cut.onnx")
    new, foreign, late = plain(), plain(), plain()
    new.opset_import[0].version = 99
    foreign.opset_import.add(domain="com.example", version=1)
    late.ir_version = 99
    for made, said in ((new, "opset 99"), (foreign, "com.example"), (late, "valid|checked")):
        with pytest.raises(ModelError, match=said):
            load_model(saved(made, tmp_path))


def external(made: ModelProto, **fields: str) -> ModelProto:
    """Moves the first weights to another file, in words at least."""
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in fields.items():
        tensor.external_data.add(key=key, value=value)
    return made


def test_honest_external_data_is_read_and_counts_for_the_sha256(tmp_path: Path) -> None:
    data = plain().graph.initializer[0].raw_data
    (tmp_path / "w.bin").write_bytes(b"____" + data)
    path = saved(external(plain(), location="w.bin", offset="4", length=str(len(data))), tmp_path)
    file = load_model(path)
    assert file.model.graph.initializer[0].raw_data == data
    (tmp_path / "w.bin").write_bytes(b"____" + data[:-4] + np.float32(1).tobytes())
    assert load_model(path).sha256 != file.sha256


def _symlink(folder: Path) -> None:
    (folder / "secret").write_bytes(b"\0" * 864)
    (folder / "m" / "w.bin").symlink_to(folder / "secret")


def _hard_link(folder: Path) -> None:
    (folder / "secret").write_bytes(b"\0" * 864)
    (folder / "m" / "w.bin").hardlink_to(folder / "secret")


def _linked_folder(folder: Path) -> None:
    (folder / "far").mkdir()
    (folder / "far" / "w.bin").write_bytes(b"\0" * 864)
    (folder / "m" / "near").symlink_to(folder / "far")


def _honest(folder: Path) -> None:
    (folder / "m" / "w.bin").write_bytes(b"\0" * 864)


ATTACKS: dict[str, tuple[Callable[[Path], None], dict[str, str], str]] = {
    "absolute": (_honest, {"location": "/etc/passwd"}, "outside"),
    "parent": (_honest, {"location": "../secret"}, "outside"),
    "hidden parent": (_honest, {"location": "a/../../secret"}, "outside"),
    "symbolic link": (_symlink, {"location": "w.bin"}, "is a link"),
    "hard link": (_hard_link, {"location": "w.bin"}, "hard link"),
    "linked folder": (_linked_folder, {"location": "near/w.bin"}, "is a link"),
    "drive": (_honest, {"location": "C:\\w.bin"}, "outside"),
    "backslash": (_honest, {"location": "..\\w.bin"}, "outside"),
    "nothing": (_honest, {"location": ""}, "outside"),
    "missing": (_honest, {"location": "v.bin"}, "missing"),
    "negative offset": (_honest, {"location": "w.bin", "offset": "-4"}, "bytes -4"),
    "negative length": (_honest, {"location": "w.bin", "length": "-4"}, "asks for bytes"),
    "too long": (_honest, {"location": "w.bin", "length": "999999999999"}, "asks for bytes"),
    "no number": (_honest, {"location": "w.bin", "offset": "x"}, "no number"),
}


@row("external data attacks")
@pytest.mark.parametrize("name", ATTACKS)
def test_external_data_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    prepare, fields, said = ATTACKS[name]
    (tmp_path / "m").mkdir()
    prepare(tmp_path)
    path = saved(external(plain(), **fields), tmp_path / "m")
    with pytest.raises(ModelError, match=said):
        load_model(path)
    ended = subprocess.run(
        [sys.executable, "-m", "dff_onnx", "layers", path], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (5, "") and ended.stderr.count("\n") == 1


MADE = (plain, gated, branching, channels_last, lambda: reshaped((1, 3, 32, 32)))


def use(path: Path) -> None:
    """Everything that the commands do with a file."""
    file = load_model(path)
    layers = list_layers(file.model, path, 32)
    if not layers:
        raise ModelError("no layers")
    name = layers[-1].name
    candidate_layers(file.model, path, 32)
    cut(file, [name], sign="split")
    preprocessing = Preprocessing("NCHW", "float32")
    Backbone.open(path, name, device="cpu", preprocessing=preprocessing, sign="rectify", threads=1)(picture(1, 32, 32))


@tiers("mutated ONNX files")
def test_mutated_models_are_used_or_refused(cases: range, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    originals = [np.frombuffer(make().SerializeToString(), np.uint8) for make in MADE]

    def judge(number: int, rng: np.random.Generator) -> str:
        data = originals[number % len(originals)].copy()
        # The weights take most of the file and mean nothing to a parser: most changes go elsewhere.
        where = np.concatenate([rng.integers(0, min(300, len(data)), 3), rng.integers(0, len(data), 2)])
        data[where] = rng.integers(0, 256, len(where))
        (tmp_path / "m.onnx").write_bytes(data.tobytes())
        try:
            use(tmp_path / "m.onnx")
        except DffError:
            return "refused"
        return "used"

    assert each(cases, judge)["refused"] > len(cases) / 3
    assert capfd.readouterr().out == ""


@tiers("mutated attacks by external data")
def test_attacks_by_external_data_are_refused_however_they_are_mutated(cases: range, tmp_path: Path) -> None:
    """What is outside the model's folder is never read: the secret there is no part of any network."""
    secret, home = b"\x07" * 864, tmp_path / "m"
    for prepare in (_symlink, _hard_link, _linked_folder):
        home.mkdir(exist_ok=True)
        prepare(tmp_path)
        for name in ("secret", "far/w.bin"):
            if (tmp_path / name).exists():
                (tmp_path / name).write_bytes(secret)
        if prepare is _symlink:
            (home / "w.bin").rename(home / "s.bin")
            (tmp_path / "secret").rename(tmp_path / "secret of s")
            (home / "s.bin").unlink()
            (home / "s.bin").symlink_to(tmp_path / "secret of s")
    (home / "own.bin").write_bytes(bytes(864))
    places = ("/etc/passwd", "../secret", "a/../../secret", "w.bin", "s.bin", "near/w.bin", "C:\\w.bin", "own.bin")
    good = [external(plain(), location=place).SerializeToString() for place in places]

    def judge(number: int, rng: np.random.Generator) -> str:
        data = good[number % len(good)]
        place = places[number % len(places)].encode()
        at = data.rindex(place)
        changed = mutated(data[at - 20 : at + len(place) + 4], rng, b"./\\abswn:0")
        (home / "m.onnx").write_bytes(data[: at - 20] + changed + data[at + len(place) + 4 :])
        try:
            model = load_model(home / "m.onnx").model
        except DffError:
            return "refused"
        assert secret[:8] not in model.SerializeToString()
        return "used"

    assert each(cases, judge)["refused"] > len(cases) / 2
