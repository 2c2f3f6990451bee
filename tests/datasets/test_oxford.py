"""Oxford Buildings and Paris: lists, boxes, pictures that are left out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import write_picture
from mutations import mutated
from retrieval_trees import BOX, HEIGHT, WIDTH, write_oxford, write_oxford_query, write_pictures
from torture_tier import each, tiers

from dff_onnx.datasets import PARIS_CORRUPT, read_oxford
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box


def test_good_and_ok_are_positive_and_the_query_is_one_of_them(tmp_path: Path) -> None:
    found = read_oxford(write_oxford(tmp_path))
    names = [path.stem for path in found.images]
    assert names == sorted(names) and len(names) == 5 and found.protocols == ("classic",)
    first, second = found.queries
    known = first.relevance["classic"]
    assert [names[i] for i in known.positives] == ["all_souls_000013", "all_souls_000026", "all_souls_000051"]
    assert [names[i] for i in known.junk] == ["xyz"]
    assert (first.name, second.name) == ("all_souls_1", "ashmolean_1")
    assert first.index == 0 and first.picture == found.images[0] and 0 in known.positives
    assert second.relevance["classic"].positives.tolist() == [3] and not second.relevance["classic"].junk.size
    assert found.name == tmp_path.name and not found.notes  # five pictures are not the set itself


def test_four_figures_are_corners_to_the_nearest_pixel(tmp_path: Path) -> None:
    first, second = read_oxford(write_oxford(tmp_path)).queries
    assert first.box == Box(2, 3, 21, 30)
    assert second.box == Box(0, 0, WIDTH, HEIGHT)


def test_lists_may_lie_with_the_pictures_or_anywhere(tmp_path: Path) -> None:
    root = write_oxford(tmp_path / "data")
    expected = [query.box for query in read_oxford(root).queries]
    (root / "gt_files").rename(tmp_path / "elsewhere")
    assert [query.box for query in read_oxford(root, tmp_path / "elsewhere").queries] == expected
    for path in (tmp_path / "elsewhere").iterdir():
        path.rename(root / path.name)
    assert [query.box for query in read_oxford(root).queries] == expected


def test_damaged_pictures_of_paris_are_left_out_by_name(tmp_path: Path) -> None:
    assert len(PARIS_CORRUPT) == 20
    bad = "paris_louvre_000136"
    write_pictures(tmp_path / "louvre", ["paris_louvre_1", "paris_louvre_2"])
    (tmp_path / "louvre" / f"{bad}.jpg").write_bytes(b"<html>302 Found</html>")
    write_oxford_query(tmp_path / "gt", "louvre_1", f"paris_louvre_1 {BOX}", good=["paris_louvre_2", bad], junk=[bad])
    found = read_oxford(tmp_path)
    assert [path.stem for path in found.images] == ["paris_louvre_1", "paris_louvre_2"]
    assert found.queries[0].relevance["classic"].positives.tolist() == [1]
    assert found.notes == ("1 damaged picture left out by name",)
    with pytest.raises(DatasetError, match="is positive, too"):
        read_oxford(tmp_path, leave_out=())


def test_the_sets_themselves_are_known_by_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dff_onnx.datasets.oxford.NAMES", {(2, 5): "Oxford5k"})
    assert read_oxford(write_oxford(tmp_path)).name == "Oxford5k"


def test_a_name_twice_in_a_list_counts_once(tmp_path: Path) -> None:
    root = write_oxford(tmp_path)
    (root / "gt_files" / "ashmolean_1_ok.txt").write_text("xyz\nxyz\r\n\noxc1_ashmolean_7\n")
    assert read_oxford(root).queries[1].relevance["classic"].positives.tolist() == [3, 4]


BROKEN = {
    "no box": ("all_souls_1_query.txt", "oxc1_all_souls_000013", "has 1 words"),
    "words for figures": ("all_souls_1_query.txt", "oxc1_all_souls_000013 a b c d", "could not convert"),
    "nan": ("all_souls_1_query.txt", "oxc1_all_souls_000013 0 0 nan 3", "x1 y1 x2 y2 are needed"),
    "width and height that leave it": ("all_souls_1_query.txt", "oxc1_all_souls_000013 20 5 30 28", None),
    "beyond the right side": ("all_souls_1_query.txt", "oxc1_all_souls_000013 0 0 42 30", "has 40x30 pixels"),
    "beyond the lower side": ("all_souls_1_query.txt", "oxc1_all_souls_000013 0 0 40 32", "has 40x30 pixels"),
    "beyond the left side": ("all_souls_1_query.txt", "oxc1_all_souls_000013 -2 0 40 30", "has 40x30 pixels"),
    "width and height": ("all_souls_1_query.txt", "oxc1_all_souls_000013 20 5 15 20", "ends before it begins"),
    "no pixel": ("all_souls_1_query.txt", "oxc1_all_souls_000013 40 0 41 30", "has no pixel"),
    "an unknown query": ("all_souls_1_query.txt", f"oxc1_nobody {BOX}", "names 'nobody', and no such picture"),
    "an unknown positive": ("all_souls_1_good.txt", "nobody", "names 'nobody', and no such picture"),
    "an unknown junk": ("all_souls_1_junk.txt", "../../etc/passwd", "and no such picture"),
    "no list": ("all_souls_1_ok.txt", "", "cannot be read"),
    "no text": ("all_souls_1_ok.txt", "\udcff", "is no UTF-8"),
    "positive and junk": ("all_souls_1_junk.txt", "all_souls_000051", "all_souls_000051 is positive, too"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_list_is_named(case: str, tmp_path: Path) -> None:
    name, text, said = BROKEN[case]
    root = write_oxford(tmp_path)
    path = root / "gt_files" / name
    path.unlink()
    if text:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    if said is None:  # nothing in these four figures tells what they are
        assert read_oxford(root).queries[0].box == Box(20, 5, 30, 28)
        return
    with pytest.raises(DatasetError) as caught:
        read_oxford(root)
    assert name in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_a_box_may_leave_its_picture_by_a_pixel_and_is_clipped(tmp_path: Path) -> None:
    root = write_oxford(tmp_path)
    (root / "gt_files" / "all_souls_1_query.txt").write_text("oxc1_all_souls_000013 -1 -0.6 41.2 31")
    assert read_oxford(root).queries[0].box == Box(0, 0, WIDTH, HEIGHT)


def test_a_query_that_cannot_be_read_is_left_to_whoever_reads_it(tmp_path: Path) -> None:
    root = write_oxford(tmp_path)
    (root / "jpg" / "ashmolean_7.jpg").write_bytes(b"")
    assert read_oxford(root).queries[1].box == Box(0, 0, 40, 30)


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    root = write_oxford(tmp_path)
    write_picture(root / "more" / "xyz.png")
    with pytest.raises(DatasetError, match=r"xyz.jpg and more/xyz.png have one name"):
        read_oxford(root)


def test_a_folder_without_ground_truth_says_what_to_give(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a"])
    with pytest.raises(DatasetError, match=r"no folder in it has .*give the folder of the ground truth"):
        read_oxford(tmp_path)
    with pytest.raises(DatasetError, match="has 0 files"):
        read_oxford(tmp_path, tmp_path)
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_oxford(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="all its pictures are to be left out"):
        write_oxford_query(tmp_path / "gt", "a_1", "a 0 0 1 1")
        read_oxford(tmp_path, leave_out=["a"])
    write_oxford_query(tmp_path / "other", "a_1", "a 0 0 1 1")
    with pytest.raises(DatasetError, match=r"gt and .*other has"):
        read_oxford(tmp_path)


@tiers("mutated truths of retrieval", 0.5)
def test_a_mutated_list_is_read_or_refused_and_nothing_else(cases: range, tmp_path: Path) -> None:
    root = write_oxford(tmp_path)
    goods = {path: path.read_bytes() for path in sorted((root / "gt_files").iterdir()) if path.stat().st_size}

    def judge(number: int, rng: np.random.Generator) -> str:
        path = list(goods)[number % len(goods)]
        path.write_bytes(mutated(goods[path], rng, b"abc_0179 .-+e\n\x00\xff" if number % 2 else b""))
        try:
            found = read_oxford(root)
        except DatasetError as error:
            assert "gt_files" in str(error) and "\n" not in str(error)
            return "refused"
        finally:
            path.write_bytes(goods[path])
        assert len(found.queries) == 2 and all(0 <= query.box.x0 < query.box.x1 <= WIDTH for query in found.queries)
        return "read"

    found = each(cases, judge)
    assert found["read"] > 0 and len(cases) / 3 < found["refused"]
