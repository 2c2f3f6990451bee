"""What a bank keeps, and what is refused."""

from __future__ import annotations

import io
import pickle
import resource
import sys
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from banks import about, archive_of, bank, entries, npy, text_array
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.concepts import bank as module
from dff_onnx.concepts.bank import FIGURES, Bank, bank_bytes, read_bank
from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.errors import BankError, UsageError
from dff_onnx.images import Resize

Contents = dict[str, bytes]


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "bank.npz"
    path.write_bytes(data)
    return path


def same(one: Bank, other: Bank) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Bank)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def test_a_bank_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = bank(resize=Resize("long", 320), losses=(0.0, 0.125, 0.25, 0.5, 1.5))
    found = read_bank(written(tmp_path, bank_bytes(kept)))
    assert same(found, kept) and (found.resize, found.losses) == (kept.resize, kept.losses)
    assert found.W.dtype == np.float32 and found.W.flags.writeable


def test_equal_banks_have_equal_bytes_whatever_the_clock_and_the_order_of_their_provenance() -> None:
    turned = dict(reversed(bank().provenance.items()))
    assert bank_bytes(bank(provenance=turned)) == bank_bytes(bank())
    with zipfile.ZipFile(io.BytesIO(bank_bytes(bank()))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.create_system for entry in archive.infolist()} == {3}


def test_a_matrix_in_another_order_or_byte_order_of_memory_gives_the_same_bytes() -> None:
    assert bank_bytes(bank(W=np.asfortranarray(bank().W))) == bank_bytes(bank())


def test_numpy_reads_the_file_without_pickles(tmp_path: Path) -> None:
    with np.load(written(tmp_path, bank_bytes(bank())), allow_pickle=False) as stored:
        assert sorted(stored.files) == sorted(("W", *FIGURES, "about"))
        np.testing.assert_array_equal(stored["W"], bank().W)


def test_a_bank_that_numpy_saved_is_read(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {name: getattr(bank(), name) for name in ("W", *FIGURES)}
    text = np.load(io.BytesIO(entries(bank_bytes(bank()))["about.npy"]))
    for save in (np.savez, np.savez_compressed):
        data = io.BytesIO()
        save(data, **arrays, about=text)
        assert same(read_bank(written(tmp_path, data.getvalue())), bank())


def test_a_concept_that_nothing_uses_may_be_zero(tmp_path: Path) -> None:
    W = bank().W.copy()
    W[2] = 0
    assert not read_bank(written(tmp_path, bank_bytes(bank(W=W)))).W[2].any()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"W": np.zeros((0, 5), np.float32)}, "shape"),
        ({"W": np.ones(3, np.float32)}, "shape"),
        ({"W": np.eye(3, 5)}, "float32"),
        ({"W": -np.eye(3, 5, dtype=np.float32)}, "negative"),
        ({"W": 2 * np.eye(3, 5, dtype=np.float32)}, "lengths"),
        ({"W": np.full((3, 5), np.nan, np.float32)}, "not finite"),
        ({"thresholds": np.zeros(2, np.float32)}, "thresholds"),
        ({"peaks": np.full(3, np.inf, np.float32)}, "peaks"),
        ({"names": ("a", "b")}, "2 names"),
        ({"names": ("a", "b", 3)}, "name"),
        ({"names": ("a", "b", "")}, "empty"),
        ({"names": ("a", "b", "c" * 1025)}, "too long"),
        ({"names": ("a", "b", "\x1b[2J")}, "control character: '.x1b"),
        ({"names": ("a", "b", "gepj\u202e")}, "control character"),
        ({"colours": ("red", "#000000", "#000000")}, "#rrggbb"),
        ({"losses": (0.1, 0.2)}, "5 figures"),
        ({"losses": (0.1, 0.2, 0.1, 0.3, 0.4)}, "rising"),
        ({"losses": (-0.1, 0.2, 0.2, 0.3, 0.4)}, "rising from 0"),
    ],
)
def test_a_bank_that_cannot_be_is_refused_when_it_is_made(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BankError, match=sentence):
        bank(**changes)


def test_more_concepts_than_can_be_matched_are_refused() -> None:
    with pytest.raises(BankError, match="4097 concepts, and a bank has at most 4096"):
        bank(W=np.ones((4097, 1), np.float32))


def test_a_missing_file_is_a_wrong_argument(tmp_path: Path) -> None:
    for path, found in ((tmp_path / "none.npz", "there is no such file"), (tmp_path, "is a folder")):
        with pytest.raises(UsageError, match=found):
            read_bank(path)


class Attack:
    """A pickle that would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.intern, ("a pickle ran",))


def replaced(**others: bytes) -> Callable[[Contents], Contents]:
    return lambda contents: contents | {f"{name}.npy": content for name, content in others.items()}


def without(name: str) -> Callable[[Contents], Contents]:
    return lambda contents: {key: value for key, value in contents.items() if key != name}


def told(**changes: Any) -> Callable[[Contents], Contents]:
    return lambda contents: contents | {"about.npy": about(contents, **changes)}


def claiming(shape: str) -> bytes:
    """Four bytes of data that say they are more."""
    return npy(np.zeros(1, np.float32)).replace(b"'shape': (1,), }", f"'shape': {shape}, }}".encode())


def padded(contents: Contents, size: int) -> bytes:
    """The bank's own JSON, and spaces behind it."""
    return text_array(np.load(io.BytesIO(contents["about.npy"])).tobytes().decode().ljust(size))


HOSTILE = {
    "an array of objects": replaced(W=npy(np.array([Attack()] * 3, object), allow_pickle=True)),
    "a bare pickle": replaced(W=pickle.dumps(Attack())),
    "a header that is an expression": replaced(W=claiming("(().__class__, 1)")),
    "a shape of petabytes": replaced(W=claiming("(999999999, 999999999)")),
    "a shape beyond any integer": replaced(W=claiming(f"({'9' * 400}, 5)")),
    "a negative shape": replaced(W=claiming("(-1, 5)")),
    "columns first": replaced(W=npy(np.asfortranarray(bank().W))),
    "numbers of 64 bits": replaced(W=npy(bank().W.astype(np.float64))),
    "the other byte order": replaced(W=npy(bank().W.astype(">f4"))),
    "too few rows": replaced(W=npy(bank().W[:2])),
    "a scalar": replaced(peaks=npy(np.float32(1))),
    "values that are no numbers": replaced(peaks=npy(np.full(3, np.nan, np.float32))),
    "negative values": replaced(energy=npy(np.full(3, -1, np.float32))),
    "trailing bytes": lambda contents: contents | {"W.npy": contents["W.npy"] + b"\0" * 4},
    "an empty entry": replaced(W=b""),
    "a missing array": without("peaks.npy"),
    "one entry more": lambda contents: contents | {"run.py": b"print()"},
    "an entry outside": lambda contents: without("W.npy")(contents) | {"../W.npy": contents["W.npy"]},
    "JSON without end": lambda contents: contents | {"about.npy": padded(contents, 16 * 2**20)},
    "JSON with a key twice": replaced(about=text_array('{"format": 1, "format": 2}')),
    "no JSON": replaced(about=text_array("{")),
    "JSON of another kind": replaced(about=text_array("[1]")),
    "JSON with a NaN": replaced(about=text_array('{"format": NaN}')),
    "JSON with a number beyond all": lambda contents: (
        contents | {"about.npy": about(contents, provenance={"a": 12345.5}).replace(b"12345.5", b"1e99999")}
    ),
    "JSON nested too deep": replaced(about=text_array("[" * 200_000)),
    "bytes that are no UTF-8": replaced(about=npy(np.full(9, 255, np.uint8))),
    "a later format": told(format="dff-onnx/bank/2"),
    "a format that is no text": told(format={"a": 1}),
    "names in one text": told(names="abc"),
    "a name that is a list": told(names=[["a"], None, None]),
    "a name of two lines": told(names=["a\nb", None, None]),
    "a name that turns the line": told(names=["\u202eb", None, None]),
    "half a character": told(names=["\ud800", None, None]),
    "a colour that is CSS": told(colours=["red;background:url(x)", "#000000", "#000000"]),
    "no fingerprint": told(fingerprint=None),
    "a fingerprint that the terminal obeys": told(
        fingerprint=bank().fingerprint.to_dict() | {"model_sha256": "\x1b[2J" + "a" * 60}
    ),
    "a fingerprint of numbers": told(fingerprint={"model_sha256": 1, "layer": 2, "preprocessing": {}}),
    "preprocessing that cannot be": told(
        fingerprint={"model_sha256": "a", "layer": "b", "preprocessing": {"mean": [0, 0, "nan"], "std": [1, 1, 1]}}
    ),
    "provenance with a tree": told(provenance={"a": {"b": 1}}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_bank_is_refused_with_its_path_and_what_to_do(case: str, tmp_path: Path) -> None:
    path = written(tmp_path, archive_of(HOSTILE[case](entries(bank_bytes(bank())))))
    with pytest.raises(BankError, match=r"bank\.npz: .*give .*that `dff-onnx run` wrote") as caught:
        read_bank(path)
    assert len(str(caught.value)) < 400 + len(str(path)), "a sentence, not the file"
    assert str(caught.value).isprintable()


def test_spaces_behind_the_json_do_no_harm(tmp_path: Path) -> None:
    contents = entries(bank_bytes(bank()))
    assert same(read_bank(written(tmp_path, archive_of(contents | {"about.npy": padded(contents, 2**20)}))), bank())


def test_the_archive_that_the_hostile_ones_are_made_of_is_itself_good(tmp_path: Path) -> None:
    assert same(read_bank(written(tmp_path, archive_of(entries(bank_bytes(bank()))))), bank())


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"\x93NUMPY", b"version https://git-lfs.github.com/spec/v1\n", b"<html>", pickle.dumps(1)]
)
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BankError, match="cannot be read as a bank"):
        read_bank(written(tmp_path, data))


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    data = bank_bytes(bank())
    for size in range(0, len(data), 7):
        with pytest.raises(BankError):
            read_bank(written(tmp_path, data[:size]))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 64 * 2**20
    monkeypatch.setattr(module, "FORM", replace(module.FORM, largest=size - 1))
    contents = replaced(W=bytes(size))(entries(bank_bytes(bank())))
    path = written(tmp_path, archive_of(contents, zipfile.ZIP_DEFLATED))
    del contents
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BankError, match="unpacks to"):
        read_bank(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024, "KiB"


def test_an_entry_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    contents = replaced(W=bytes(2**20))(entries(bank_bytes(bank())))
    data = archive_of(contents, zipfile.ZIP_DEFLATED).replace(
        (2**20).to_bytes(4, "little"), (200).to_bytes(4, "little")
    )
    with pytest.raises(BankError):
        read_bank(written(tmp_path, data))


def test_a_bank_packed_as_none_is_packed_is_refused(tmp_path: Path) -> None:
    packed = archive_of(entries(bank_bytes(bank())), zipfile.ZIP_BZIP2)
    with pytest.raises(BankError, match="packs nothing"):
        read_bank(written(tmp_path, packed))


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    contents = entries(bank_bytes(bank()))
    data = archive_of(contents | {"x.npy": contents["W.npy"]}).replace(b"x.npy", b"W.npy")
    with pytest.raises(BankError, match="holds"):
        read_bank(written(tmp_path, data))


@tiers("mutated banks", 0.5)
def test_of_mutated_banks_each_is_refused_or_unchanged(cases: range, tmp_path: Path) -> None:
    compressed = archive_of(entries(bank_bytes(bank())), zipfile.ZIP_DEFLATED)
    goods, kept = (bank_bytes(bank()), compressed), bank()

    def judge(number: int, rng: np.random.Generator) -> str:
        try:
            found = read_bank(written(tmp_path, mutated(goods[number % 2], rng)))
        except BankError:
            return "refused"
        assert same(found, kept)
        return "unchanged"

    found = each(cases, judge)
    assert 0 < found["unchanged"] < found["refused"]  # dates, unused fields: the checksums leave nothing else


@tiers("mutated banks", 0.5)
def test_of_banks_mutated_below_the_checksums_none_gives_another_error(cases: range, tmp_path: Path) -> None:
    contents = entries(bank_bytes(bank()))

    def judge(_: int, rng: np.random.Generator) -> str:
        name = list(contents)[rng.integers(len(contents))]
        changed = mutated(contents[name], rng)
        try:
            read_bank(written(tmp_path, archive_of(contents | {name: changed})))
        except BankError as error:
            assert "bank" in str(error)
            return "refused"
        return "read"

    assert each(cases, judge)["refused"] > len(cases) / 4


def with_foreground(**changes: Any) -> Bank:
    rng = np.random.default_rng(1)
    fields = {
        "direction": rng.normal(size=5).astype(np.float32),
        "mean": rng.random(5, np.float32),
        "threshold": -0.25,
        "upper": 0.5,
        "spread": 0.9,
        "resize": Resize("short", 448),
    }
    return bank(foreground=ForegroundModel(**fields | changes))


def told(**changes: Any) -> dict[str, Any]:
    """A foreground's fields in the bank's JSON."""
    return {"threshold": -0.25, "upper": 0.5, "spread": 0.9, "resize": "short", "size": 448} | changes


@pytest.mark.parametrize("concepts", [0, 3])
def test_a_foreground_model_comes_back_as_it_was(tmp_path: Path, concepts: int) -> None:
    kept = with_foreground()
    if not concepts:
        none = np.zeros(0, np.float32)
        kept = replace(
            kept, W=np.zeros((0, 5), np.float32), thresholds=none, peaks=none, energy=none, names=(), colours=()
        )
    found = read_bank(written(tmp_path, bank_bytes(kept)))
    assert found.foreground is not None and kept.foreground is not None
    assert found.W.shape == (concepts, 5)
    for field in fields(ForegroundModel):
        one, other = getattr(found.foreground, field.name), getattr(kept.foreground, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": np.zeros(4, np.float32)},
        {"mean": np.full(5, np.nan, np.float32)},
        {"mean": np.zeros(5)},
        {"threshold": np.inf},
        {"upper": 1.5},
        {"spread": 0.0},
        {"direction": np.full(5, 3e38, np.float32)},
    ],
)
def test_a_foreground_model_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BankError, match="foreground"):
        with_foreground(**changes)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda c: c | {"foreground.npy": npy(np.zeros((3, 5), np.float32))}, "3 rows"),
        (lambda c: c | {"foreground.npy": npy(np.zeros(5, np.float32))}, "shape"),
        (lambda c: c | {"about.npy": about(c, format="dff-onnx/bank/1")}, "format"),
        (lambda c: c | {"about.npy": about(c, foreground=told(threshold="0"))}, "figures"),
        (lambda c: c | {"about.npy": about(c, foreground=None)}, "bank"),
        (lambda c: c | {"about.npy": about(c, foreground=told(threshold=10**400))}, "figures"),
        (lambda c: c | {"about.npy": about(c, foreground=told(spread=1e-320))}, "spread"),
        (lambda c: c | {"about.npy": about(c, foreground=told(size=448.5))}, "size"),
        (lambda c: c | {"about.npy": about(c, foreground=told(size=7))}, "size"),
        (lambda c: {name: data for name, data in c.items() if name != "foreground.npy"}, "format"),
    ],
)
def test_a_damaged_foreground_is_refused(tmp_path: Path, change: Callable[[Contents], Contents], found: str) -> None:
    contents = change(entries(bank_bytes(with_foreground())))
    with pytest.raises(BankError, match=found):
        read_bank(written(tmp_path, archive_of(contents)))
