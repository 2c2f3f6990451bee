"""PASCAL-Part: objects and parts from MATLAB files, joined with the XML files of VOC 2010."""

from __future__ import annotations

import io
import struct
import tomllib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import HEIGHT, WIDTH, Thing, mat_of, part, patch, structures, thing_with_parts, write_voc
from mutations import mutated
from scipy.io import loadmat, savemat
from torture_tier import each, tiers

from dff_onnx.datasets import DataSet, PartNames, matlab, read_part_names, read_pascal_part
from dff_onnx.datasets.matlab import read_matlab
from dff_onnx.datasets.part_names import shipped_names
from dff_onnx.datasets.pascal_part import CLASSES_WITH_PARTS, PartAnnotation, PartAnnotationMask
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box, Grid

SIZE = Grid(HEIGHT, WIDTH)
COW, CALF, PERSON = (0, 0, 4, 4), (6, 2, 11, 7), (4, 0, 6, 8)
OBJECTS = [
    thing_with_parts("cow", patch(CALF, 1), [part("head", patch((6, 2, 8, 4), 1))]),
    thing_with_parts("person", patch(PERSON, 1)),
    thing_with_parts(
        "cow",
        patch(COW, 1),
        [part("lhorn", patch((0, 0, 1, 1), 1)), part("rhorn", patch((3, 0, 4, 1), 1)), part("torso", patch(COW, 1))],
    ),
]
# In another order than the MATLAB file.
THINGS = [Thing("cow", (1, 1, 4, 4)), Thing("cow", (7, 3, 11, 7), truncated=1), Thing("person", (5, 1, 6, 8))]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pictures of VOC 2010, three of them annotated in parts."""
    hard = [Thing("cow", difficult=1)]
    pictures = {"2008_000001": THINGS, "2008_000002": hard, "2008_000003": [Thing("sofa")], "2008_000004": THINGS}
    write_voc(tmp_path, pictures, "2010", "train")
    (tmp_path / "Annotations_Part").mkdir()
    for name in list(pictures)[:3]:
        (tmp_path / "Annotations_Part" / f"{name}.mat").write_bytes(mat_of(name, OBJECTS))
    return tmp_path


def read(root: Path, **options: Any) -> DataSet:
    return read_pascal_part(root, root / "Annotations_Part", **options)


def test_classes_with_parts_become_groups_of_the_annotated_pictures(root: Path) -> None:
    data = read(root)
    assert len(CLASSES_WITH_PARTS) == 16
    assert [(g.name, [a.picture.stem for a in g.pictures]) for g in data.groups] == [
        ("cow", ["2008_000001"]), ("person", ["2008_000001"]),
    ]  # fmt: skip
    cow = data.groups[0].pictures[0]
    assert cow.size == SIZE and cow.boxes == (Box(*COW), Box(*CALF))
    assert data.notes == ("part names: sides merged", "rule 'class': 2 sets of 1 (cow) to 1 (person) pictures")
    assert data == read_pascal_part(root, root), "the folder that holds Annotations_Part does as well"


def test_masks_and_parts_are_those_of_all_objects_of_the_class(root: Path) -> None:
    cow, person = (group.pictures[0] for group in read(root).groups)
    assert cow.mask is not None and cow.parts is not None and person.mask is not None and person.parts is not None
    np.testing.assert_array_equal(cow.mask.read(SIZE).on, (patch(COW) | patch(CALF)) > 0)
    parts = cow.parts.read(SIZE)
    assert parts.names == ("head", "horn", "torso")
    np.testing.assert_array_equal(parts.masks[1], (patch((0, 0, 1, 1)) | patch((3, 0, 4, 1))) > 0)
    assert person.mask.read(SIZE).box() == Box(*PERSON)
    assert person.parts.read(SIZE).masks.shape == (0, HEIGHT, WIDTH)


def test_objects_are_joined_with_the_xml_by_overlap_and_not_by_order(root: Path) -> None:
    cow = read(root, clean=True).groups[0].pictures[0]
    assert cow.boxes == (Box(*COW),)
    assert cow.mask is not None and cow.mask.read(SIZE).box() == Box(*COW)
    assert cow.parts is not None and cow.parts.read(SIZE).names == ("horn", "torso")
    assert isinstance(cow.mask, PartAnnotationMask)
    (found,) = cow.mask.annotation.objects(SIZE)
    assert found.twin is not None and found.twin.box == Box(*COW)


def test_an_object_that_the_xml_does_not_know_is_not_clean(root: Path) -> None:
    path = root / "Annotations_Part" / "2008_000001.mat"
    for clean, count in ((False, 2), (True, 0)):
        found = PartAnnotation(path, "cow", (), clean, PartNames()).objects(SIZE)
        assert len(found) == count and all(o.twin is None for o in found)


def test_a_rule_and_a_split_choose_pictures(root: Path) -> None:
    assert [len(g.pictures) for g in read(root, rule="none").groups] == [2, 1]
    data = read(root, split="train")
    assert "1 picture of train without a file in" in data.notes[-1]
    with pytest.raises(DatasetError, match=r"val\.txt: there is no such list .*: train$"):
        read(root, split="val")
    with pytest.raises(UsageError, match="the rule is"):
        read(root, rule="some")


def test_matlab_files_are_not_opened_before_they_are_asked_for(root: Path) -> None:
    path = root / "Annotations_Part" / "2008_000001.mat"
    path.write_bytes(b"")
    cow = read(root).groups[0].pictures[0]
    for source in (cow.mask, cow.parts):
        with pytest.raises(DatasetError, match=r"2008_000001\.mat: is no MATLAB 5 file"):
            assert source is not None and source.read(SIZE)


def test_folders_without_annotations_are_refused(root: Path) -> None:
    (root / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty: no annotated picture is left"):
        read_pascal_part(root, root / "empty")
    with pytest.raises(DatasetError, match="none: there is no such folder; give Annotations_Part"):
        read_pascal_part(root, root / "none")


def test_the_shipped_mapping_merges_sides_copies_and_limbs() -> None:
    names = shipped_names()
    for label, old, new in [
        ("cow", "rear", "ear"), ("cow", "lhorn", "horn"), ("horse", "rblleg", "leg"), ("car", "wheel_12", "wheel"),
        ("bicycle", "fwheel", "wheel"), ("train", "coach_3", "coach"), ("train", "crightside_2", "coach_side"),
        ("bus", "rightside", "side"), ("cow", "torso", "torso"), ("bird", "wheel_x", "wheel_x"),
    ]:  # fmt: skip
        assert names.of(label, old) == new


def test_a_mapping_of_ones_own_is_taken_from_json_or_toml(root: Path) -> None:
    (root / "mine.json").write_text(
        '{"parts": {"top": ["head", "lhorn", "rhorn"]}, "classes": {"cow": {"all": ["torso"]}}}'
    )
    data = read(root, mapping=root / "mine.json")
    parts = data.groups[0].pictures[0].parts
    assert data.notes[0] == "part names: mine" and parts is not None
    assert parts.read(SIZE).names == ("all", "top")
    kept = read(root, mapping=PartNames()).groups[0].pictures[0].parts
    assert kept is not None and kept.read(SIZE).names == ("head", "lhorn", "rhorn", "torso")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", "["), ("m.json", "[1]"), ("m.json", '{"other": 1}'), ("m.json", "[" * 100_000), ("m.toml", "a = ["),
        ("m.toml", "parts = 1"), ("m.toml", "[parts]\na = 'b'"), ("m.toml", "[parts]\na = [1]"), ("m.toml", "name = 1"),
        ("m.toml", "classes = 1"), ("m.toml", "[classes]\ncow = 1"), ("m.toml", "[parts]\na = ['x']\nb = ['x']"),
        ("m.toml", "[parts]\n'' = ['x']"), ("m.toml", "a = " + "[" * 5000),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_is_refused_with_its_path(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=rf"m\.{name[2:]}: "):
        read_part_names(tmp_path / name)


def test_the_shipped_mapping_is_toml_with_comments_and_no_part_in_two_places() -> None:
    path = Path(matlab.__file__).with_name("pascal_parts.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    olds = [old for news in tables["parts"].values() for old in news]
    assert len(olds) == len(set(olds))


def annotation(tmp_path: Path, data: bytes) -> PartAnnotation:
    path = tmp_path / "2008_000001.mat"
    path.write_bytes(data)
    return PartAnnotation(path, "cow", (), False, PartNames())


def variable(**variables: Any) -> bytes:
    data = io.BytesIO()
    savemat(data, variables)
    return data.getvalue()


NAME = "2008_000001"
GOOD = mat_of(NAME, OBJECTS, compressed=False)


def nested(depth: int) -> bytes:
    """Cells in cells, which end SciPy's reader and the process with it."""
    head = bytes.fromhex("0600000008000000 0100000000000000 0500000008000000 0100000001000000 0100000000000000")
    sizes = [len(head) * (level + 1) + 8 * level for level in range(depth)]
    body = b"".join(struct.pack("<II", 14, size) + head for size in reversed(sizes))
    return GOOD[:128] + body


def compressed(data: bytes) -> bytes:
    packed = zlib.compress(data)
    return GOOD[:128] + struct.pack("<II", 15, len(packed)) + packed


SMALL = r"a mask has the shape \(4, 5\), and its picture has 12x8"
BAD = {
    "nothing": (b"", "is no MATLAB 5 file"),
    "text": (b"a" * 500, "is no MATLAB 5 file"),
    "an HDF5 file": (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM" + bytes(500), "is no MATLAB 5 file"),
    "a header alone": (GOOD[:128], "has no structures anno"),
    "another variable": (variable(other=1.0), "has no structures anno"),
    "anno as a number": (variable(anno=1.0), "has no structures anno"),
    "two of anno": (variable(anno=structures([{"imname": NAME, "objects": 1.0}] * 2)), "holds 2 structures named anno"),
    "no objects": (variable(anno=structures([{"imname": NAME}])), "has no structures anno.objects"),
    "another picture": (mat_of("2008_000009", OBJECTS), "belongs to the picture '2008_000009'"),
    "a name that is a number": (mat_of(1.0, OBJECTS), "imname is no text"),  # type: ignore[arg-type]
    "a class that is a number": (mat_of(NAME, [OBJECTS[0] | {"class": 3.0}]), "class is no text"),
    "another size": (mat_of(NAME, [thing_with_parts("cow", np.ones((4, 5), np.uint8))]), SMALL),
    "a mask of text": (mat_of(NAME, [OBJECTS[0] | {"mask": "abc"}]), "a mask has no numbers"),
    "parts of another size": (
        mat_of(NAME, [thing_with_parts("cow", patch(COW), [part("head", np.ones((4, 5), np.uint8))])]),
        SMALL,
    ),
    "a part without name": (mat_of(NAME, [thing_with_parts("cow", patch(COW), [part(" ", patch(COW))])]), "part_name"),
    "parts that are cells": (mat_of(NAME, [OBJECTS[0] | {"parts": np.array([["a"]], object)}]), "has no struct"),
    "nesting": (nested(100_000), "nests deeper than 12 levels"),
    "more inside than outside": (compressed(struct.pack("<II", 14, 10**9)), "is cut short"),
    "a stream that ends early": (compressed(GOOD[128:])[:-40], "is cut short"),
    "no stream": (GOOD[:128] + struct.pack("<II", 15, 8) + b"\xff" * 8, "is damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_annotation_that_cannot_be_is_refused_with_its_path(case: str, tmp_path: Path) -> None:
    data, sentence = BAD[case]
    with pytest.raises(DatasetError, match=rf"2008_000001\.mat: .*{sentence}"):
        annotation(tmp_path, data).objects(SIZE)


def test_the_annotation_that_the_bad_ones_are_made_of_is_itself_good(tmp_path: Path) -> None:
    assert len(annotation(tmp_path, GOOD).objects(SIZE)) == 2
    assert len(annotation(tmp_path, compressed(GOOD[128:])).objects(SIZE)) == 2


def test_a_bomb_and_a_file_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab, "LARGEST", 2**20)
    monkeypatch.setattr("dff_onnx.datasets.matlab._Reader.__init__.__defaults__", (2**20, 0))
    with pytest.raises(DatasetError, match=r"2008_000001\.mat: .*unpacks to more than 1048576 bytes"):
        annotation(tmp_path, compressed(bytes(2**21))).objects(SIZE)
    monkeypatch.setattr("dff_onnx.datasets.pascal_part.LARGEST", 1000)
    with pytest.raises(DatasetError, match=r"2008_000001\.mat: has more than 1000 bytes"):
        annotation(tmp_path, GOOD).objects(SIZE)


def plain(value: Any) -> Any:
    """SciPy's answer in the form of ours."""
    if value.dtype.names:
        records = value.ravel(order="F")
        return [{name: plain(record[name]) for name in value.dtype.names} for record in records]
    if value.dtype.kind == "U":
        return str(value[0]) if value.size else ""
    return tuple(plain(v) for v in value.ravel(order="F")) if value.dtype == object else value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("compress", [True, False])
def test_our_reader_of_matlab_files_agrees_with_scipys(compress: bool) -> None:
    rng = np.random.default_rng(1)
    cells = np.empty((2, 2), object)
    cells[:] = [["a", np.arange(6.0).reshape(2, 3)], [structures([{"x": 1.0, "yy": "text"}] * 3), np.zeros((0, 0))]]
    types = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
    numbers = {f"n_{t}": (rng.random((3, 4, 2)) * 100).astype(t) for t in types}
    logical = {"on": patch(COW) > 0}
    data = io.BytesIO()
    savemat(data, {"cells": cells, "name": "ä name", **numbers, **logical}, do_compression=compress)
    expected = {k: plain(v) for k, v in loadmat(io.BytesIO(data.getvalue())).items() if not k.startswith("__")}
    assert same(read_matlab(data.getvalue()), expected)
    for compressing in (True, False):
        anno = mat_of(NAME, OBJECTS, compressing)
        assert same(read_matlab(anno)["anno"], plain(loadmat(io.BytesIO(anno))["anno"]))


@tiers("mutated .mat files")
def test_of_mutated_matlab_files_none_gives_another_error(cases: range, tmp_path: Path) -> None:
    def judge(number: int, rng: np.random.Generator) -> str:
        data = mutated(GOOD[128:], rng)
        try:
            annotation(tmp_path, compressed(data) if number % 2 else GOOD[:128] + data).objects(SIZE)
        except DatasetError as error:
            assert "2008_000001.mat" in str(error)
            return "refused"
        return "read"

    found = each(cases, judge)
    assert found["refused"] > len(cases) / 4 and found["read"]
