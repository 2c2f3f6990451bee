"""Attacks through a file of weights: nothing runs, nothing is read outside its storage, memory does not explode."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import weight_files as files
from mutations import mutated
from torture_tier import each, row, tiers
from weight_files import call, group, mapping, named, number, numbers, storage, tensor, text

from dff_onnx.errors import CheckpointError
from dff_onnx.export import export_file, open_checkpoint
from dff_onnx.export.pickles import run_pickle
from dff_onnx.inert_pickle import MOST_INSTRUCTIONS

FLAT = np.arange(6, dtype=np.float32)
BYTES = {"0": (6, FLAT.tobytes())}
ORDERED = named("collections", "OrderedDict")
REBUILD = named("torch._utils", "_rebuild_tensor_v2")
GOOD = tensor(storage("0", 6), (6,), (1,))


def read(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        for name in checkpoint.shapes:
            checkpoint.array(name)


def touching(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


# Each would create the file `marker` when Python's own unpickler read it.
CODE: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda marker: call(named("os", "system"), text(f"touch {marker}")),
    "posix.system": lambda marker: call(named("posix", "system"), text(f"touch {marker}")),
    "builtins.eval": lambda marker: call(named("builtins", "eval"), text(touching(marker))),
    "builtins.exec": lambda marker: call(named("builtins", "exec"), text(touching(marker))),
    "python 2 eval": lambda marker: call(named("__builtin__", "eval"), text(touching(marker))),
    "name from the stack": lambda marker: (
        text("builtins") + text("eval") + b"\x93" + group(text(touching(marker))) + b"R"
    ),
    "getattr of an allowed name": lambda marker: call(
        call(named("builtins", "getattr"), ORDERED, text("__class__")), text(touching(marker))
    ),
    "dotted name": lambda marker: (
        text("collections") + text("OrderedDict.__init__.__globals__") + b"\x93" + group(text(touching(marker))) + b"R"
    ),
    "numpy reconstruct": lambda marker: (
        call(
            named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), numbers([0]), text("O")
        ) + call(named("builtins", "eval"), text(touching(marker))) + b"b"
    ),
    "subprocess by INST": lambda marker: b"(" + text(f"touch {marker}") + b"ios\nsystem\n",
    "OBJ": lambda marker: b"(" + named("os", "system") + text(f"touch {marker}") + b"o",
    "NEWOBJ": lambda marker: named("builtins", "eval") + group(text(touching(marker))) + b"\x81",
    "extension registry": lambda _: b"\x82\x01" + group() + b"R",
    "whole module": lambda _: call(named("torch.nn.modules.container", "Sequential")),
    "nested pickle": lambda _: call(named("pickle", "loads"), text("x")),
    "torch.load by hand": lambda _: call(named("torch.storage", "_load_from_bytes"), text("x")),
    "torch function": lambda _: call(named("torch", "compile"), text("x")),
}  # fmt: skip

# The places of a legacy file that hold a pickle.
PLACES = ("zip", "magic", "version", "system", "object", "keys")


def with_program(path: Path, place: str, program: bytes) -> Path:
    if place == "zip":
        return files.write_zip(path, program, {})
    parts = {
        "magic": files.MAGIC,
        "version": files.VERSION,
        "system": b"\x80\x02" + mapping({}) + b".",
        "object": b"\x80\x02" + mapping({"x": GOOD}) + b".",
        "keys": b"\x80\x02](" + text("0") + b"e.",
    }
    parts[place] = b"\x80\x02" + program + b"."
    path.write_bytes(b"".join(parts.values()) + struct.pack("<q", 6) + FLAT.tobytes())
    return path


@row("pickle attacks")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", CODE)
def test_no_code_runs_from_any_pickle_of_any_format(
    tmp_path: Path, attack: str, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(CheckpointError):
        export_file("vgg11", with_program(tmp_path / "w.pth", place, CODE[attack](marker)), tmp_path / "net.onnx")
    assert not marker.exists() and not (tmp_path / "net.onnx").exists()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("attack", ["os.system", "builtins.eval", "name from the stack", "subprocess by INST", "OBJ"])
def test_the_attacks_are_real(tmp_path: Path, attack: str) -> None:
    marker = tmp_path / "marker"
    pickle.loads(b"\x80\x04" + CODE[attack](marker) + b".")
    assert marker.exists()


@tiers("mutated attacks by pickles")
def test_no_code_runs_from_a_mutated_attack(cases: range, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    marker, path = tmp_path / "marker", tmp_path / "w.pth"
    plans = [(place, make(marker)) for place in PLACES for make in CODE.values()]

    def judge(number: int, rng: np.random.Generator) -> str:
        place, program = plans[number % len(plans)]
        with_program(path, place, mutated(program, rng))
        try:
            read(path)
        except CheckpointError:
            return "refused"
        return "read"  # an attack that a mutation took the sting out of

    found = each(cases, judge)
    assert not marker.exists() and found["refused"] > len(cases) / 2
    assert capfd.readouterr().out == ""


def test_a_whole_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = files.write_zip(tmp_path / "w.pth", CODE["whole module"](tmp_path), {})
    with pytest.raises(CheckpointError, match=r"'torch.nn.modules.*Sequential'.*save its state_dict\(\) instead"):
        read(path)


def rebuilt(source: bytes, offset: bytes, shape: bytes, strides: bytes, *metadata: bytes) -> bytes:
    return call(REBUILD, source, offset, shape, strides, b"\x89", b"}", *metadata)


GEOMETRY: dict[str, bytes] = {
    "negative size": tensor(storage("0", 6), (-1,), (1,)),
    "negative stride": tensor(storage("0", 6), (2,), (-1,), 5),
    "negative offset": tensor(storage("0", 6), (2,), (1,), -1),
    "offset past the end": tensor(storage("0", 6), (1,), (1,), 6),
    "stride past the end": tensor(storage("0", 6), (2,), (6,)),
    "huge stride": tensor(storage("0", 6), (2,), (2**61,)),
    "product beyond 64 bits": tensor(storage("0", 6), (2**40, 2**40), (2**40, 1)),
    "endless broadcast": tensor(storage("0", 6), (2**40,), (0,)),
    "broadcast of many axes": tensor(storage("0", 6), (2**30,) * 4, (0,) * 4),
    "one stride too few": tensor(storage("0", 6), (2, 3), (1,)),
    "thousand axes": tensor(storage("0", 6), (1,) * 1000, (1,) * 1000),
    "storage larger than its bytes": tensor(storage("0", 2**40), (6,), (1,)),
    "storage of negative length": tensor(storage("0", -6), (6,), (1,)),
    "storage that is not there": tensor(storage("../../../../etc/passwd", 6), (6,), (1,)),
    "storage of no type": tensor(storage("0", 6, "FloatTensor"), (6,), (1,)),
    "sizes that are no numbers": rebuilt(storage("0", 6), number(0), group(text("6")), numbers([1])),
    "sizes that are floats": rebuilt(storage("0", 6), number(0), group(b"G" + struct.pack(">d", 6.0)), numbers([1])),
    "a tensor without storage": rebuilt(text("0"), number(0), numbers([6]), numbers([1])),
    "too few arguments": call(REBUILD, storage("0", 6)),
    "negated": rebuilt(storage("0", 6), number(0), numbers([6]), numbers([1]), mapping({"neg": b"\x88"})),
    "part of a storage that leaves it": tensor(
        storage("0", 6, view=group(text("p"), number(4), number(4))), (4,), (1,)
    ),
    "part of a storage with a wrong view": tensor(storage("0", 6, view=number(3)), (4,), (1,)),
}  # fmt: skip


@pytest.mark.parametrize("writer", [files.write_zip, files.write_legacy])
@pytest.mark.parametrize("case", GEOMETRY)
def test_no_tensor_leaves_its_storage(tmp_path: Path, case: str, writer: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError):
        read(writer(tmp_path / "w.pth", mapping({"x": GEOMETRY[case]}), BYTES))


def nested(depth: int) -> bytes:
    return b")" + b"\x85" * depth


DEVIANT: dict[str, bytes] = {
    "attributes of a dict type": ORDERED + mapping({"__init__": number(1)}) + b"b",
    "attributes of the rebuild function": REBUILD + group(b"N", mapping({"__defaults__": numbers([1])})) + b"b",
    "attributes of a tensor": mapping({"x": GOOD + mapping({"storage": number(1)}) + b"b"}),
    "an item of a type": ORDERED + text("x") + number(1) + b"s",
    "an item of a tuple": numbers([1]) + number(1) + b"a",
    "a call of a storage type": call(named("torch", "FloatStorage"), number(2**40)),
    "a call of a dict": b"}" + group() + b"R",
    "a key of nested tuples": b"}" + nested(100_000) + number(1) + b"s",
    "a key of tuples that double": b"}" + b")" + b"2\x86" * 60 + number(1) + b"s",
    "a memo entry that is not there": b"h\x09",
    "a memo entry far away": b"}r\xff\xff\xff\x7f" + b"j\xff\xff\xff\x7e",
    "nothing on the stack": b"R",
    "no mark on the stack": b"t",
    "a frame of 2**60 bytes": b"\x95" + struct.pack("<Q", 2**60),
    "a text of 2**60 bytes": b"\x8d" + struct.pack("<Q", 2**60) + b"abc",
    "bytes of 2**60": b"\x8e" + struct.pack("<Q", 2**60) + b"abc",
    "a bytearray of 2**60": b"\x96" + struct.pack("<Q", 2**60) + b"abc",
    "a long of negative length": b"\x8b" + struct.pack("<i", -5),
    "a text number of a million digits": b"I" + b"9" * 1_000_000 + b"\n",
    "a name that is no ASCII": b"c\xff\xfe\nx\n",
    "a pair that is none": call(ORDERED, b"](" + number(1) + b"e"),
    "persistent id of another kind": group(text("module"), ORDERED, text("a"), text("b"), number(1)) + b"Q",
    "persistent id as text": b"P0\n",
    "unknown instruction": b"\xff",
}  # fmt: skip


@pytest.mark.parametrize("case", DEVIANT)
def test_a_deviant_pickle_is_refused(case: str) -> None:
    with pytest.raises(CheckpointError):
        run_pickle(io.BytesIO(b"\x80\x02" + DEVIANT[case] + b"."))


def test_a_deep_tree_is_no_danger(tmp_path: Path) -> None:
    tree = mapping({"deep": nested(200_000), "state_dict": mapping({"x": GOOD})})
    for writer in (files.write_zip, files.write_legacy):
        read(writer(tmp_path / "w.pth", tree, BYTES))


def test_a_circle_of_references_is_no_danger(tmp_path: Path) -> None:
    circle = b"}q\x00" + text("state_dict") + b"h\x00s"
    with pytest.raises(CheckpointError, match="holds no dict of tensors"):
        read(files.write_legacy(tmp_path / "w.pth", circle, {}))


AMPLIFIERS: dict[str, bytes] = {
    "a million lists": b"](" + b"]" * (MOST_INSTRUCTIONS + 10) + b"e",
    "one long list unpacked again and again": (
        b"](" + b"](U\x01xNe" * 1000 + b"eq\x000" + (call(ORDERED, b"h\x00") + b"0") * 20_000
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow) for case in AMPLIFIERS])
def test_a_small_pickle_cannot_take_much_memory(tmp_path: Path, case: str) -> None:
    path = files.write_zip(tmp_path / "w.pth", AMPLIFIERS[case], {})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = {"0": (2**24, bytes(2**26))}
    tree = mapping({"x": tensor(storage("0", 2**24), (2**24,), (1,))})
    path = files.write_zip(tmp_path / "w.pth", tree, bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    with pytest.raises(CheckpointError, match="compressed or encrypted"):
        read(path)


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrites a field of every zip record with this signature."""
    content = bytearray(path.read_bytes())
    position = content.find(signature)
    while position >= 0:
        content[position + offset : position + offset + len(value)] = value
        position = content.find(signature, position + 1)
    path.write_bytes(content)
    return path


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
ZIP_FIELDS = {
    "sizes of 4 GB": (CENTRAL, 20, struct.pack("<II", 2**32 - 2, 2**32 - 2)),
    "size larger than its data": (CENTRAL, 24, struct.pack("<I", 2**20)),
    "encrypted": (CENTRAL, 8, b"\x01\x00"),
    "unknown compression": (CENTRAL, 10, b"\x63\x00"),
    "version from the future": (CENTRAL, 6, b"\xff\x00"),
    "local header elsewhere": (CENTRAL, 42, struct.pack("<I", 2**31)),
    "wrong checksum": (CENTRAL, 16, b"\x00\x00\x00\x00"),
    "local name differs": (LOCAL, 30, b"elsewhere"),
}


@pytest.mark.parametrize("case", ZIP_FIELDS)
def test_a_forged_zip_record_is_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(CheckpointError):
        read(patched(files.write_zip(tmp_path / "w.pth", mapping({"x": GOOD}), BYTES), *ZIP_FIELDS[case]))


def test_two_files_of_one_name_in_an_archive_are_refused(tmp_path: Path) -> None:
    path = files.write_zip(tmp_path / "w.pth", mapping({"x": GOOD}), BYTES)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data/0", bytes(24))
    with pytest.raises(CheckpointError, match="two files named 'archive/data/0'"):
        read(path)


def test_a_torchscript_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = files.write_zip(tmp_path / "w.pt", mapping({"x": GOOD}), BYTES, extra={"archive/code/__torch__.py": b""})
    with pytest.raises(CheckpointError, match=r"TorchScript archive; save network.state_dict\(\)"):
        read(path)


def test_names_in_an_archive_do_not_reach_the_disk(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(FLAT.tobytes())
    for key in (f"../../{secret.name}", str(secret), "../../../" + str(secret)):
        tree = mapping({"x": tensor(storage(key, 6), (6,), (1,))})
        with pytest.raises(CheckpointError, match="its zip archive has no"):
            read(files.write_zip(tmp_path / "w.pth", tree, {}))


def test_a_hostile_name_is_escaped_in_the_message(tmp_path: Path) -> None:
    path = files.write_zip(
        tmp_path / "w.pth", text("os\x1b[2J") + text("system\ud800x".replace("\ud800", "\n")) + b"\x93", {}
    )
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, form: str) -> None:
    path = files.write(tmp_path / "w", form, {"a": FLAT, "b": FLAT.reshape(2, 3)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read(path)


def entry(**changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]} | changes


HEADERS: dict[str, object] = {
    "negative offset": {"x": entry(data_offsets=[-24, 0])},
    "offsets the wrong way round": {"x": entry(data_offsets=[24, 0])},
    "offset behind the end": {"x": entry(data_offsets=[0, 2**60])},
    "offsets that are floats": {"x": entry(data_offsets=[0, 24.0])},
    "offsets that are truth values": {"x": entry(data_offsets=[False, 24])},
    "three offsets": {"x": entry(data_offsets=[0, 12, 24])},
    "no offsets": {"x": {"dtype": "F32", "shape": [6]}},
    "overlap": {"x": entry(), "y": entry(shape=[2], data_offsets=[8, 16])},
    "the same bytes twice": {"x": entry(), "y": entry()},
    "hole": {"x": entry(shape=[4], data_offsets=[0, 16])},
    "unknown dtype": {"x": entry(dtype="F31")},
    "dtype of another size": {"x": entry(dtype="F64")},
    "dtype that is a list": {"x": entry(dtype=["F32"])},
    "shape of another size": {"x": entry(shape=[7])},
    "negative shape": {"x": entry(shape=[-2, -3])},
    "shape beyond 64 bits": {"x": entry(shape=[2**40, 2**40, 2**40])},
    "shape that is text": {"x": entry(shape="6")},
    "thousand axes": {"x": entry(shape=[1] * 1000 + [6])},
    "an entry that is a list": {"x": [1, 2]},
    "a list": [1, 2],
    "a number": 7,
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_forged_safetensors_header_is_refused(tmp_path: Path, case: str) -> None:
    header = json.dumps(HEADERS[case]).encode()
    with pytest.raises(CheckpointError):
        read(files.write_header(tmp_path / "w.safetensors", header, FLAT.tobytes()))


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"{}", 2**63),
        (b"{}", 2**64 - 1),
        (b"{}", 100),
        (b"{" * 200_000, None),
        (b'{"x":' * 200_000, None),
        (b'{"x": 1, "x": 2}', None),
        (b'{"x": ' + b"9" * 5000 + b"}", None),
        (b"{\xff\xfe}", None),
        (b"{", None),
    ],
    ids=["2**63", "2**64-1", "longer than the file", "braces", "nesting", "twice", "digits", "no UTF-8", "no end"],
)
def test_a_damaged_safetensors_header_is_refused(tmp_path: Path, header: bytes, length: int | None) -> None:
    with pytest.raises(CheckpointError):
        read(files.write_header(tmp_path / "w.safetensors", header, b"", length))
