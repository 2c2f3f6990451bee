"""Revisited Oxford and Paris: three protocols, pickles of every age, and pickles that would do harm."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import write_picture
from mutations import mutated
from retrieval_trees import REVISITED, write_revisited
from torture_tier import each, tiers

from dff_onnx.datasets import Relevance, read_revisited
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box


def told(root: Path) -> Any:
    """All that a reader found, in plain values."""
    found = read_revisited(root)
    return [(q.name, q.picture.name, q.index, q.box, lists(q.relevance)) for q in found.queries]


def lists(known: Mapping[str, Relevance]) -> dict[str, tuple[list[int], list[int]]]:
    return {name: (one.positives.tolist(), one.junk.tolist()) for name, one in known.items()}


def test_each_protocol_has_its_positives_and_its_junk(tmp_path: Path) -> None:
    write_revisited(tmp_path)
    found = read_revisited(tmp_path)
    assert [path.name for path in found.images] == ["a1.jpg", "a2.jpg", "a3.jpg", "b1.jpg", "b2.jpg"]
    assert found.protocols == ("easy", "medium", "hard")
    first = {"easy": ([0], [1, 2, 4]), "medium": ([0, 1, 2], [4]), "hard": ([1, 2], [0, 4])}
    second = {"easy": ([], [3]), "medium": ([3], []), "hard": ([3], [])}
    assert told(tmp_path) == [
        ("q1", "q1.jpg", None, Box(2, 3, 21, 30), first),
        ("q2", "q2.jpg", None, Box(0, 0, 40, 30), second),
    ]


def as_arrays(truth: Any) -> Any:
    """The same with NumPy's arrays and numbers."""
    records = [{key: np.asarray(value) for key, value in one.items()} for one in truth["gnd"]]
    for one in records:
        one["easy"], one["junk"] = one["easy"].astype(np.int32), one["junk"].astype(">i8")
        one["hard"] = [np.int64(value) for value in one["hard"]]
    return {**truth, "gnd": records}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("change", [deepcopy, as_arrays])
def test_every_pickle_protocol_is_read_with_lists_and_with_arrays(
    protocol: int, change: Callable[[Any], Any], tmp_path: Path
) -> None:
    write_revisited(tmp_path / "plain")
    write_revisited(tmp_path / "other", change(REVISITED), protocol)
    assert told(tmp_path / "other") == told(tmp_path / "plain")


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    path = write_revisited(tmp_path)
    expected = told(tmp_path)
    # As its cPickle wrote protocol 0: texts of bytes, in quotes.
    lists = "(lp1\nS'a1'\np2\naS'a2'\naS'a3'\naS'b1'\naS'b2'\na"
    one = "(dS'bbx'\n(lF2.5\naF3.4\naF20.6\naF29.9\nasS'easy'\n(lI0\nasS'hard'\n(lI2\naL1L\nasS'junk'\n(lI4\nas"
    other = "(dS'bbx'\n(lF0\naF0\naF40\naF30\nasS'easy'\n(lsS'hard'\n(lI3\nasS'junk'\n(ls"
    text = f"(dp0\nS'imlist'\n{lists}sS'qimlist'\n(lS'q1'\na(lg2\n0S'q2'\nasS'gnd'\n(l{one}a{other}as."
    path.write_bytes(text.replace("(lg2\n0", "").encode())
    assert told(tmp_path) == expected


def test_a_picture_may_ask_for_two_things(tmp_path: Path) -> None:
    write_revisited(tmp_path, {**REVISITED, "qimlist": ["q1", "q1"]})
    assert [query.name for query in read_revisited(tmp_path).queries] == ["q1", "q1 (2)"]


class Evil:
    """Creates a file when Python's own unpickler reads it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return eval, (f"__import__('pathlib').Path({str(self.marker)!r}).touch()",)


PLACES: dict[str, Callable[[Any], Any]] = {
    "all of it": lambda evil: evil,
    "a list": lambda evil: {**REVISITED, "imlist": evil},
    "a field nobody reads": lambda evil: {**REVISITED, "more": [evil]},
    "an index": lambda evil: {**REVISITED, "gnd": [{**REVISITED["gnd"][0], "easy": [evil]}, REVISITED["gnd"][1]]},
    "an array of objects": lambda evil: {**REVISITED, "gnd": np.array([evil, evil], object)},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", PLACES)
def test_no_code_runs_from_any_place_of_a_pickle(place: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = write_revisited(tmp_path, PLACES[place](Evil(marker)), protocol)
    with pytest.raises(DatasetError) as caught:
        read_revisited(tmp_path)
    assert not marker.exists() and str(path) in str(caught.value)
    pickle.loads(path.read_bytes())
    assert marker.exists()  # the attack is real


def changed(**fields: Any) -> Any:
    """The set with another first query."""
    return {**REVISITED, "gnd": [{**REVISITED["gnd"][0], **fields}, REVISITED["gnd"][1]]}


BROKEN: dict[str, tuple[Any, str]] = {
    "no table": ([1, 2], "holds no table"),
    "no pictures": ({**REVISITED, "imlist": []}, "imlist is no list of names"),
    "a number for a name": ({**REVISITED, "imlist": ["a1", 2]}, "imlist is no list of names"),
    "a name that no file has": ({**REVISITED, "qimlist": ["q1", "q\n"]}, "qimlist is no list of names"),
    "a picture twice": ({**REVISITED, "imlist": ["a1", "a2", "a1", "b1", "b2"]}, "has the name 'a1' twice"),
    "a picture that is not there": ({**REVISITED, "imlist": ["a1", "a2", "a3", "b1", "c"]}, "names 'c', and no such"),
    "a query that is not there": ({**REVISITED, "qimlist": ["q1", "q3"]}, "names 'q3', and no such"),
    "a name that leads away": ({**REVISITED, "qimlist": ["q1", "../q2"]}, "names '../q2', and no such"),
    "a query less": ({**REVISITED, "gnd": REVISITED["gnd"][:1]}, "gnd is no list of 2 queries"),
    "no query": ({**REVISITED, "qimlist": [], "gnd": []}, "qimlist is no list of names"),
    "a query that is none": ({**REVISITED, "gnd": [1, 2]}, "holds no table"),
    "an index beyond": (changed(easy=[5]), "easy has something else than indexes from 0 to 4"),
    "a negative index": (changed(junk=[-1]), "junk has something else"),
    "a huge index": (changed(junk=[10**5000]), "junk has something else"),
    "a float": (changed(hard=[1.0]), "hard has something else"),
    "a flag": (changed(hard=[True]), "hard has something else"),
    "floats": (changed(hard=np.array([1.0])), "hard has something else"),
    "more indexes than pictures": (changed(hard=[1] * 6), "hard is no list of at most 5 pictures"),
    "an index twice": (changed(hard=[1, 1]), "twice in the lists of a query"),
    "easy and junk": (changed(junk=[0]), "twice in the lists of a query"),
    "no list": (changed(easy=None), "easy is no list"),
    "three figures": (changed(bbx=[1.0, 2.0, 3.0]), "bbx is no box"),
    "no figures": (changed(bbx="0 0 1 1"), "bbx is no box"),
    "nan": (changed(bbx=[0.0, 0.0, float("nan"), 1.0]), "bbx is no box"),
    "a huge corner": (changed(bbx=[0, 0, 10**400, 1]), "bbx is no box"),
    "width and height": (changed(bbx=[20.0, 5.0, 15.0, 20.0]), "ends before it begins"),
    "a box beyond": (changed(bbx=[0.0, 0.0, 42.0, 30.0]), "has 40x30 pixels"),
    "texts as an array": (changed(easy=np.array(["a"])), "which are no numbers"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_ground_truth_is_named(case: str, tmp_path: Path) -> None:
    truth, said = BROKEN[case]
    path = write_revisited(tmp_path, truth)
    with pytest.raises(DatasetError, match=said) as caught:
        read_revisited(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


HERE = pickle.dumps("HERE", 2)[2:11]
IN_PLACE = {
    "nested lists": (b"]" * 100_000 + b"a" * 99_999, "hard has something else"),
    "nested tuples as a key": (b"})" + b"\x85" * 100 + b"K\x01s", "a key that is a tuple"),
    "INST": (b"(V1\nibuiltins\neval\n", "instruction that no list of numbers needs \\(INST\\)"),
    "OBJ": (b"(cbuiltins\neval\nV1\no", "names the Python object 'builtins.eval'"),
    "the registry": (b"\x82\x01)R", r"\(EXT1\)"),
    "a reference outside": (b"V1\nQ", r"\(BINPERSID\)"),
    "a call of an array's type": (b"cnumpy\nndarray\nK\x01\x85R", "calls numpy.ndarray, which is no function"),
    "a call of a number": (b"K\x01)R", "calls something that is no function"),
    "numpy.load": (b"cnumpy\nload\n", "names the Python object 'numpy.load'"),
    "attributes of a list": (b"]}b", "sets attributes of something that has none"),
    "bytes of a number": (b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R", "makes bytes of something"),
    "a text with escapes": (b"S'\\q'\n", "or has escapes"),
    "objects as an array": (b"cnumpy\ndtype\nV|O\n\x85R", "'|O', which are no numbers"),
    "a text that is no bytes": (b"c_codecs\nencode\n(V\\u1234\nVlatin1\ntR", "is damaged"),
    "another encoding": (b"c_codecs\nencode\n(V1\nVzip\ntR", "encodes something that is no text"),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_what_a_list_of_numbers_does_not_need_is_refused(case: str, tmp_path: Path) -> None:
    program, said = IN_PLACE[case]
    path = write_revisited(tmp_path, changed(hard=["HERE"]))
    assert path.read_bytes().count(HERE) == 1
    path.write_bytes(path.read_bytes().replace(HERE, program))
    with pytest.raises(DatasetError, match=said):
        read_revisited(tmp_path)


def test_an_array_of_wrong_bytes_is_refused(tmp_path: Path) -> None:
    path = write_revisited(tmp_path, changed(hard=np.array([1], np.int64)), 3)
    good = path.read_bytes()
    number = b"C\x08" + (1).to_bytes(8, "little")
    assert good.count(number) == 1
    for bad in (b"C\x07" + bytes(7), b"C\x00", b"N", b"K\x05"):
        path.write_bytes(good.replace(number, bad))
        with pytest.raises(DatasetError, match=r"bytes, which do not fit|not of numbers|is damaged"):
            read_revisited(tmp_path)


def test_one_long_text_cannot_be_made_bytes_again_and_again(tmp_path: Path) -> None:
    text = b"X" + (2**20).to_bytes(4, "little") + b"a" * 2**20
    call = b"c_codecs\nencode\nq\x02"
    program = b"](" + text + b"q\x01" + call + b"h\x01Vlatin1\nq\x03\x86R" + b"h\x02h\x01h\x03\x86R" * 1000 + b"e."
    (tmp_path / "gnd_x.pkl").write_bytes(program)
    tracemalloc.start()
    with pytest.raises(DatasetError, match="has more than 67108864 bytes"):
        read_revisited(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


@tiers("mutated pickled truths")
def test_a_mutated_pickle_is_read_or_refused_and_nothing_else(cases: range, tmp_path: Path) -> None:
    paths = [write_revisited(tmp_path, as_arrays(REVISITED), p) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    path = paths[0]
    goods = [write_revisited(tmp_path, as_arrays(REVISITED), p).read_bytes() for p in range(len(paths))]

    def judge(number: int, rng: np.random.Generator) -> str:
        path.write_bytes(mutated(goods[number % len(goods)], rng))
        try:
            found = read_revisited(tmp_path)
        except DatasetError as error:
            assert str(path) in str(error) or "no such picture" in str(error)
            return "refused"
        assert all(len(one.relevance) == 3 for one in found.queries)
        return "read"

    assert each(cases, judge)["refused"] > len(cases) / 3


def test_the_file_must_be_clear(tmp_path: Path) -> None:
    path = write_revisited(tmp_path)
    path.rename(tmp_path / "gnd_a.pkl")
    assert read_revisited(tmp_path, tmp_path / "gnd_a.pkl").images
    (tmp_path / "gnd_b.pkl").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"has 2 files gnd_\*.pkl"):
        read_revisited(tmp_path)
    with pytest.raises(DatasetError, match=r"gnd_b.pkl: its pickle has no end"):
        read_revisited(tmp_path, tmp_path / "gnd_b.pkl")
    with pytest.raises(DatasetError, match=r"nowhere.pkl: cannot be read"):
        read_revisited(tmp_path, tmp_path / "nowhere.pkl")
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_revisited(tmp_path / "nowhere")


def test_the_sets_themselves_are_known_by_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_revisited(tmp_path)
    assert read_revisited(tmp_path).name == tmp_path.name
    monkeypatch.setattr("dff_onnx.datasets.revisited.NAMES", {(2, 5): "ROxford5k"})
    assert read_revisited(tmp_path).name == "ROxford5k"
    write_picture(tmp_path / "jpg" / "distractor.jpg")
    assert read_revisited(tmp_path).name == "ROxford5k"  # only what the list names is searched
