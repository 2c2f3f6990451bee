"""The page of objects."""

from __future__ import annotations

from dff_onnx.report.objects_found import ObjectsFound
from dff_onnx.report.objects_page import objects_page


def test_of_one_picture_no_more_is_said_than_there_is() -> None:
    page = objects_page(ObjectsFound((), 1, 2, {"neighbours": 6}), "one", ()).decode()
    assert "1 image, 2 regions" in page and "0 objects in at least two images" in page
    assert "2 neighbours of each region, mutual" in page and "No region comes back" in page
