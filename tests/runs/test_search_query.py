"""Queries as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dff_onnx.errors import UsageError
from dff_onnx.records import Box
from dff_onnx.report.search_found import Part
from dff_onnx.runs.search_query import box_of, part_of


def test_a_box_follows_a_colon_unless_the_file_is_called_so(tmp_path: Path) -> None:
    name = f"{tmp_path / 'a.jpg'}:1,2,3,4"
    assert part_of(name) == Part(tmp_path / "a.jpg", Box(1, 2, 3, 4))
    Path(name).touch()
    assert part_of(name) == Part(Path(name))
    assert part_of("c:/a.jpg") == Part(Path("c:/a.jpg"))
    assert part_of(Path("a.jpg"), Box(0, 0, 1, 1), 2) == Part(Path("a.jpg"), Box(0, 0, 1, 1), 2)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "-1,0,3,4", "a,b,c,d", "1.5,0,3,4", "²,1,1,1", "9999999999,0,1,1"]
)
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--box: a box x0,y0,x1,y1"):
        box_of(text, "--box")
