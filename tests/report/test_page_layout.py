"""Which picture goes on which page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import findings
import numpy as np
import pytest
from pages import report_with

from dff_onnx.report.page.layout import MORE, PICTURES, TOP, Layout, layout_of, pages_in, pictures_of_a_page


def covered(layout: Layout) -> list[int]:
    return [index for page in layout.pages for index in page]


@pytest.mark.parametrize(("pictures", "shown", "sizes"), [
    (1, 1, [1]), (200, 200, [200]), (201, 201, [200, 1]), (450, 401, [200, 200, 1]), (450, 30, [30]),
])  # fmt: skip
def test_two_hundred_pictures_fill_a_page(pictures: int, shown: int, sizes: list[int]) -> None:
    layout = layout_of(report_with(pictures, k=2, shown=shown))
    assert [len(page) for page in layout.pages] == sizes and covered(layout) == list(range(shown))
    assert layout.files == ("report.html", "report-2.html", "report-3.html")[: len(sizes)]


def test_the_strongest_pictures_of_the_whole_set_are_on_every_page() -> None:
    report = report_with(450, k=3, shown=300)
    layout = layout_of(report)
    scores = np.array([[here.score for here in image.concepts] for image in report.images])
    for concept, top in enumerate(layout.tops[0]):
        assert list(top) == np.argsort(-scores[:, concept], kind="stable")[:TOP].tolist()
        for number, page in enumerate(layout.pages):
            assert set(top) <= {*page, *layout.more(number)}
    assert all(set(page).isdisjoint(layout.more(number)) for number, page in enumerate(layout.pages))


def test_pictures_that_several_pages_need_are_read_first_and_each_is_read_once() -> None:
    layout = layout_of(report_with(450, k=3, shown=300))
    first = len(layout.more(0))
    assert first > 0 and layout.order()[:first] == list(layout.more(0))
    rest = layout.order()[first:]
    assert rest == sorted(rest) and sorted(layout.order()) == sorted({*range(300), *layout.more(0)})


def test_a_picture_without_a_concept_is_none_of_its_strongest() -> None:
    report = report_with(4, k=2)
    images = [replace(image, concepts=tuple(replace(h, score=0.0) for h in image.concepts)) for image in report.images]
    images[2] = replace(images[2], concepts=tuple(replace(h, score=0.5) for h in images[2].concepts))
    level = replace(report.levels[0], found=replace(report.found, images=tuple(images)))
    assert layout_of(replace(report, levels=(level,))).tops == (((2,), (2,)),)


def test_of_many_concepts_each_shows_fewer_pictures_so_that_no_page_has_too_many() -> None:
    layout = layout_of(report_with(900, k=40))
    assert all(0 < len(layout.more(number)) <= MORE for number in range(len(layout.pages)))
    assert {len(top) for top in layout.tops[0]} == {min(len(top) for top in layout.tops[0])}
    one_page = layout_of(report_with(150, k=40))
    assert {len(top) for top in one_page.tops[0]} == {TOP} and one_page.more(0) == ()


def test_hundreds_of_concepts_leave_room_for_fewer_pictures() -> None:
    assert pictures_of_a_page(report_with(1, k=20)) == PICTURES
    assert 1 <= pictures_of_a_page(report_with(1, k=800)) < PICTURES


def test_only_pages_of_ours_are_taken_for_pages(tmp_path: Path) -> None:
    for name in ("report.html", "report-2.html", "report-10.html", "report-0.html", "report-2x.html", "reporting.html"):
        (tmp_path / name).write_text("")
    assert [path.name for path in pages_in(tmp_path)] == ["report-10.html", "report-2.html", "report.html"]


def test_pictures_with_tables_of_their_own_have_no_strongest_ones() -> None:
    layout = layout_of(report_with(findings.CLASS_MAPS))
    assert layout.tops == ((),) and layout.more(0) == ()
