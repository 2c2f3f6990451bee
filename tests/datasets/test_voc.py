"""PASCAL VOC: boxes, flags, the filter's rules, and files that are hostile."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from layouts import HEIGHT, WIDTH, Thing, patch, write_mask, write_voc, xml_of
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.datasets import CLASSES, DataSet, Rule, read_voc
from dff_onnx.datasets.voc_xml import read_voc_xml
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box, Grid

CLEAN, HARD, CUT = Thing("cat"), Thing("cat", difficult=1), Thing("cat", truncated=1)
BOTH = Thing("cat", difficult=1, truncated=1)
DOG = Thing("dog")
PICTURES = {
    "000001": [CLEAN],
    "000002": [HARD, CUT],
    "000003": [HARD],
    "000004": [CUT, DOG],
    "000005": [BOTH],
    "000006": [HARD, CLEAN],
    "000007": [DOG],
    "000008": [],
}
# The last digits of the pictures that each reading of the paper's sentence keeps for the class cat.
KEPT = {
    "class": "16", "image": "146", "all-both": "12346", "all-either": "126", "all-difficult": "1246",
    "all-truncated": "1236", "none": "123456",
}  # fmt: skip


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    write_voc(tmp_path / "VOCdevkit", PICTURES)
    return tmp_path / "VOCdevkit"


def pictures_of(data: DataSet, label: str) -> str:
    return "".join(a.picture.stem[-1] for g in data.groups if g.name == label for a in g.pictures)


def test_the_folder_of_the_year_the_devkit_and_what_holds_it_all_do(devkit: Path) -> None:
    one, two, three = (read_voc(root) for root in (devkit / "VOC2007", devkit, devkit.parent))
    assert one == two == three and one.name == "VOC2007 trainval"
    assert [g.name for g in one.groups] == ["cat", "dog"]


def test_boxes_become_half_open_and_the_size_is_known(tmp_path: Path) -> None:
    write_voc(tmp_path, {"1": [Thing("cat", (1, 1, 1, 1)), Thing("dog"), Thing("cat", (3, 2, WIDTH, HEIGHT))]})
    cat = read_voc(tmp_path).groups[0].pictures[0]
    assert cat.boxes == (Box(0, 0, 1, 1), Box(2, 1, WIDTH, HEIGHT))
    assert cat.boxes[1].area == (WIDTH - 3 + 1) * (HEIGHT - 2 + 1), "as VOC counts pixels"
    assert cat.size == Grid(HEIGHT, WIDTH) and cat.picture.is_file() and cat.mask is None


@pytest.mark.parametrize("rule", KEPT)
def test_each_rule_keeps_the_pictures_it_says(rule: Rule, devkit: Path) -> None:
    assert set(KEPT) == set(get_args(Rule))
    data = read_voc(devkit, rule=rule)
    assert pictures_of(data, "cat") == KEPT[rule]
    assert pictures_of(data, "dog") == "47"
    assert data.notes[0] == f"rule {rule!r}: 2 sets of 2 (dog) to {len(KEPT[rule])} (cat) pictures".replace(
        "2 (dog) to 2 (cat)", "2 (cat) to 2 (dog)"
    )


def test_an_unknown_rule_is_refused(devkit: Path) -> None:
    with pytest.raises(UsageError, match="the rule is 'a', and one of class, image"):
        read_voc(devkit, rule="a")  # type: ignore[arg-type]


def test_all_objects_of_the_class_give_boxes_unless_only_clean_ones_are_wanted(tmp_path: Path) -> None:
    things = [
        Thing("cat", (1, 1, 2, 2)),
        Thing("cat", (2, 2, 4, 4), difficult=1),
        Thing("cat", (3, 3, 5, 5), truncated=1),
    ]
    write_voc(tmp_path, {"1": things})
    assert len(read_voc(tmp_path).groups[0].pictures[0].boxes) == 3
    assert read_voc(tmp_path, clean=True).groups[0].pictures[0].boxes == (Box(0, 0, 2, 2),)


def test_classes_come_in_the_official_order_and_others_in_a_note(tmp_path: Path) -> None:
    write_voc(tmp_path, {"1": [Thing(label) for label in ("hat", *reversed(CLASSES))]})
    data = read_voc(tmp_path)
    assert tuple(g.name for g in data.groups) == CLASSES
    assert "1 object of other classes passed over (hat)" in data.notes


def test_the_papers_sizes_stand_beside_ours_for_2007_trainval_alone(tmp_path: Path) -> None:
    write_voc(tmp_path / "a", {"1": [DOG]})
    assert any("69 to 2008 pictures: another filter" in note for note in read_voc(tmp_path / "a").notes)
    write_voc(tmp_path / "b", {"1": [DOG]}, "2012", "val")
    data = read_voc(tmp_path / "b", "val", year="2012")
    assert data.name == "VOC2012 val" and not any("69 to 2008" in note for note in data.notes)


def test_a_list_of_a_class_that_disagrees_is_noted_and_one_that_is_malformed_refused(devkit: Path) -> None:
    path = devkit / "VOC2007" / "ImageSets" / "Main" / "dog_trainval.txt"
    assert not any("disagree" in note for note in read_voc(devkit).notes)
    path.write_text("000007 -1\n000004  1\n")
    assert "dog_trainval.txt and the annotations disagree on 1 picture" in read_voc(devkit).notes
    for line in ("000007", "000007 2", "000007 1 1"):
        path.write_text(f"000004 1\n{line}\n")
        with pytest.raises(DatasetError, match=r"dog_trainval\.txt, line 2: is '000007"):
            read_voc(devkit)


def test_segmentations_give_the_class_as_mask_and_255_as_void(devkit: Path) -> None:
    values = patch((0, 0, 3, 3), CLASSES.index("cat") + 1) + patch((5, 5, 7, 7), 255) + patch((8, 0, 9, 1), 3)
    write_mask(devkit / "VOC2007" / "SegmentationClass" / "000001.png", values, "P")
    first, second = read_voc(devkit, segmentation=True).groups[0].pictures
    assert second.mask is None and first.mask is not None and first.size is not None
    truth = first.mask.read(first.size)
    assert truth.box() == Box(0, 0, 3, 3) and truth.void.sum() == 4


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("trainval", "", r"trainval\.txt: names no pictures"),
        ("trainval", "000001\n000001\n", r"trainval\.txt: names '000001' twice"),
        ("trainval", "000001\n999999\n", r"999999\.xml: cannot be read"),
        ("trainval", "../../etc/passwd\n", "names '../../etc/passwd.xml', which is no file inside"),
        ("trainval", "/etc/passwd\n", "names '/etc/passwd.xml'"),
        ("trainval", "a" * 5000, "cannot be read"),
        ("val", "000001\n", r"trainval\.txt: there is no such list of pictures; choose .* --image-set: val$"),
    ],
)
def test_a_list_that_cannot_be_is_refused(name: str, text: str, sentence: str, devkit: Path) -> None:
    folder = devkit / "VOC2007" / "ImageSets" / "Main"
    (folder / "trainval.txt").unlink()
    (folder / f"{name}.txt").write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        read_voc(devkit)


def test_a_split_or_year_that_leads_outside_is_refused(devkit: Path) -> None:
    with pytest.raises(DatasetError, match="no file inside"):
        read_voc(devkit, split="../../../secret")
    with pytest.raises(DatasetError, match="no file inside"):
        read_voc(devkit, year="/../..")
    with pytest.raises(
        DatasetError,
        match="neither it nor VOC2010 below it holds JPEGImages and Annotations; there is VOC2007; choose it",
    ):
        read_voc(devkit, year="2010")
    with pytest.raises(DatasetError, match="there is no such folder; give VOCdevkit"):
        read_voc(devkit / "none")


def test_a_picture_that_is_not_there_is_named(devkit: Path) -> None:
    (devkit / "VOC2007" / "JPEGImages" / "000004.jpg").unlink()
    with pytest.raises(DatasetError, match=r"000004\.jpg: there is no such picture, and .*000004\.xml names it"):
        read_voc(devkit)


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    write_voc(tmp_path, {"1": [BOTH]})
    with pytest.raises(DatasetError, match="no picture of trainval is left by the rule 'class'"):
        read_voc(tmp_path)


GOOD = xml_of("1", [CLEAN])
BAD = {
    "nothing": (b"", "is no XML"),
    "no XML": (b"{}", "is no XML"),
    "cut short": (GOOD[:-20], "is no XML"),
    "another encoding": (GOOD.decode().encode("utf-16"), "is no UTF-8"),
    "an encoding nobody knows": (b"<?xml version='1.0' encoding='klingon'?><a/>", "'a' has no <size>"),
    "a bomb": (
        b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>' + GOOD.replace(b">cat<", b">&b;<"),
        "declares a document type",
    ),
    "a file from outside": (
        b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + GOOD.replace(b">cat<", b">&a;<"),
        "declares a document type",
    ),
    "an entity without type": (GOOD.replace(b">cat<", b">&a;<"), "is no XML"),
    "too much": (GOOD + b" " * 4 * 2**20, "has more than 4194304 bytes"),
    "no size": (GOOD.replace(b"size>", b"sighs>"), "'annotation' has no <size>"),
    "no width": (GOOD.replace(b"width>", b"girth>"), "'size' has no <width>"),
    "a width of nothing": (GOOD.replace(b"<width>12", b"<width>0"), "its picture is 0 wide and 8 high"),
    "petapixels": (GOOD.replace(b"<width>12", b"<width>999999999"), "its picture is 999999999 wide"),
    "no name": (GOOD.replace(b"name>", b"nom>"), "has no <filename>|has no <name>"),
    "no box": (GOOD.replace(b"bndbox>", b"box>"), "'object' has no <bndbox>"),
    "no xmax": (GOOD.replace(b"xmax>", b"xmux>"), "'bndbox' has no <xmax>"),
    "a word for a number": (GOOD.replace(b"<xmax>4", b"<xmax>four"), "<xmax> holds 'four', and a number"),
    "no number": (GOOD.replace(b"<xmax>4", b"<xmax>nan"), "<xmax> holds 'nan'"),
    "an infinite number": (GOOD.replace(b"<xmax>4", b"<xmax>1e999"), "<xmax> holds '1e999'"),
    "a long number": (GOOD.replace(b"<xmax>4", b"<xmax>" + b"4" * 9999), "<xmax> holds '444"),
    "the wrong way round": (GOOD.replace(b"<xmin>1", b"<xmin>5"), "the box 5,1,4,4 of its 'cat' ends before it begins"),
    "outside": (xml_of("1", [Thing("cat", (13, 1, 14, 4))]), "the box 13,1,14,4 of its 'cat' is outside the picture"),
    "a flag of 2": (GOOD.replace(b"<difficult>0", b"<difficult>2"), "<difficult> holds '2', and 0 or 1"),
    "an empty label": (GOOD.replace(b">cat<", b"> <"), "<name> holds ''"),
    "a label of two lines": (GOOD.replace(b">cat<", b">c\nat<"), r"<name> holds 'c"),
    "a picture outside": (GOOD.replace(b"1.jpg", b"../../1.jpg"), r"names '\.\./\.\./1\.jpg', which is no file inside"),
    "an absolute picture": (GOOD.replace(b"1.jpg", b"/etc/passwd"), "names '/etc/passwd'"),
    "nesting": (b"<a>" * 50_000, "is no XML"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_annotation_that_cannot_be_is_refused_with_its_path(case: str, tmp_path: Path) -> None:
    base = write_voc(tmp_path, {"1": [CLEAN]})
    data, sentence = BAD[case]
    (base / "Annotations" / "1.xml").write_bytes(data)
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_voc(tmp_path)
    assert "1.xml" in str(caught.value) and len(str(caught.value)) < 700 and str(caught.value).isprintable()


def test_what_the_years_of_voc_really_have_is_read(tmp_path: Path) -> None:
    text = GOOD.decode()
    inner = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>"
    for changed in (
        text.replace("<difficult>0</difficult>", "").replace("<truncated>0</truncated>", ""),  # as in 2011 and later
        text.replace("<xmin>1<", "<xmin>1.4000000000000057<"),
        text.replace("<ymin>1<", "<ymin> 0 <"),
        text.replace("</object>", f"{inner}</object>"),
        "\ufeff" + text,
        f"<?xml version='1.0' encoding='utf-8'?>\r\n{text}",
    ):
        (tmp_path / "1.xml").write_text(changed, encoding="utf-8")
        found = read_voc_xml(tmp_path / "1.xml")
        assert [(o.label, o.box, o.clean) for o in found.objects] == [("cat", Box(0, 0, 4, 4), True)]


@tiers("mutated VOC XML")
def test_of_mutated_annotations_none_gives_another_error(cases: range, tmp_path: Path) -> None:
    base = write_voc(tmp_path, {"1": [CLEAN]})
    good = xml_of("1", [CLEAN, HARD, DOG])

    def judge(number: int, rng: np.random.Generator) -> str:
        letters = b"" if number % 2 else b"<>/&;0129-. "
        (base / "Annotations" / "1.xml").write_bytes(mutated(good, rng, letters))
        try:
            groups = read_voc(tmp_path, rule="none").groups
        except DatasetError as error:
            assert "1.xml" in str(error) or "no picture of trainval is left" in str(error)
            return "refused"
        for box in (box for group in groups for a in group.pictures for box in a.boxes):
            assert 0 <= box.x0 < box.x1 and 0 <= box.y0 < box.y1
        return "read"

    found = each(cases, judge)
    assert found["refused"] > len(cases) / 3 and found["read"]
