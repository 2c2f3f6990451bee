"""`report.html` of a run: written, replaced, named, and passed over by whoever looks for pictures."""

from __future__ import annotations

import base64
import gc
import io
import json
import os
import re
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

import dff_onnx.report.page.layout as layout_file
import dff_onnx.runs.drawing as drawing
from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.errors import OutputError, UsageError
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead
from dff_onnx.maps import Crf, upsample
from dff_onnx.progress import Silent
from dff_onnx.report.labels_file import Labels
from dff_onnx.report.page.layout import Level
from dff_onnx.runs.cam import run_cam
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.claim import claimed
from dff_onnx.runs.discover import discover
from dff_onnx.runs.label import write_names
from dff_onnx.runs.mapping import Cam
from dff_onnx.runs.reporting import Pages, label_command, report_of
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run
from dff_onnx.runs.write import maps_of
from dff_onnx.runs.write_tree import run_tree

SMALL = Settings(k=3, resize=Resize("square", 64), overlays=2)
HEAD = LinearHead(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))


def island(path: Path, name: str = "data") -> Any:
    texts = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', path.read_text())
    assert len(texts) == 1
    return json.loads(texts[0])


def pages(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.html"))}


@pytest.fixture
def _three_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_file, "PICTURES", 3)


def test_a_run_has_a_page_that_shows_its_pictures_and_their_maps(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path / "out", Colours(), SMALL)
    data = island(tmp_path / "out" / "report.html")
    assert (data["title"], data["kind"], data["scale"]) == ("pictures", "run", "set")
    assert [image["path"] for image in data["images"]] == [image.path for image in found.images]
    assert [image["overlay"] for image in data["images"]][:3] == ["overlays/0.png", "overlays/1.png", None]
    for index, image in enumerate(data["images"]):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(image["thumb"])), formats=["JPEG"]), int)
        with Image.open(folder / image["path"]) as original:
            assert np.abs(shown - np.asarray(original, int)).mean() < 12
        (level,) = image["levels"]
        maps = np.frombuffer(base64.b64decode(level["maps"]), np.uint8).reshape(3, level["h"], level["w"])
        peaks = np.array([concept.peak for concept in found.found.concepts])[:, None, None]
        assert np.abs(maps / 255 - found.heat_map(index) / peaks).max() <= 0.5001 / 255
        scores = [here.score for here in found.images[index].concepts]
        assert [here[0] for here in level["concepts"]] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("crf", [None, Crf()])
def test_masks_drawn_by_the_page_are_those_of_the_run(folder: Path, tmp_path: Path, crf: Crf | None) -> None:
    found = run(folder, tmp_path / "out", Colours(), replace(SMALL, crf=crf))
    data = island(tmp_path / "out" / "report.html")
    on = np.array([concept["on"] for concept in data["levels"][0]["concepts"]])[:, None, None]
    for index, image in enumerate(data["images"]):
        (level,) = image["levels"]
        maps = np.frombuffer(base64.b64decode(level["maps"]), np.uint8).reshape(3, level["h"], level["w"])
        values = upsample(maps.astype(np.float32) / 255, image["height"], image["width"])
        drawn, true = (values >= on) & (values > 0), found.masks(index)
        assert ((drawn & true).sum() + 1) / ((drawn | true).sum() + 1) > 0.95


@pytest.mark.parametrize(("settings", "kind"), [
    (SMALL, "run"), (replace(SMALL, per_image=True, k=2), "run"),
    (Settings(foreground=True, resize=Resize("square", 96), overlays=2), "foreground"),
])  # fmt: skip
def test_every_kind_of_run_has_a_page_of_equal_bytes_for_any_number_of_workers(
    folder: Path, tmp_path: Path, settings: Settings, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores in (1, 4):
        monkeypatch.setattr(drawing, "available_cores", lambda cores=cores: cores)
        run(folder, tmp_path / str(cores), Colours(), settings)
    assert pages(tmp_path / "1") == pages(tmp_path / "4")
    assert island(tmp_path / "1" / "report.html")["kind"] == kind


def test_class_maps_have_a_page_with_tables_of_their_own(folder: Path, tmp_path: Path) -> None:
    names = ClassNames(("red", "</script>", "blue", "grey"), (None,) * 4)
    settings = CamSettings(top=2, resize=Resize("square", 64), overlays="none")
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), names, settings)
    data = island(tmp_path / "out" / "report.html")
    assert data["kind"] == "cam" and data["levels"][0]["concepts"] == [] and data["levels"][0]["label"] is None
    named = {concept["name"] for image in data["images"] for concept in image["levels"][0]["table"]}
    assert "</script>" in named and all(len(image["answers"]) == 4 for image in data["images"])
    run_cam(folder, tmp_path / "none", Colours(), Cam(HEAD), names, replace(settings, report="none"))
    assert not pages(tmp_path / "none")


@pytest.mark.usefixtures("_three_a_page")
def test_many_pictures_have_many_pages_and_each_has_what_its_concepts_need(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", Colours(), replace(SMALL, report="all"))
    made = [island(tmp_path / "out" / name) for name in ("report.html", "report-2.html", "report-3.html")]
    assert len(pages(tmp_path / "out")) == 3
    assert [len(data["images"]) for data in made] == [3, 3, 1]
    tops = []
    for data in made:
        shown = data["images"] + data["more"]
        assert len({image["path"] for image in shown}) == len(shown)
        tops.append([[shown[i]["path"] for i in concept["top"]] for concept in data["levels"][0]["concepts"]])
    assert tops[0] == tops[1] == tops[2] and all(tops[0])
    by_path = {image["path"]: image for data in made for image in data["images"]}
    assert all(image == by_path[image["path"]] for data in made for image in data["more"])


@pytest.mark.usefixtures("_three_a_page")
def test_the_report_shows_as_many_pictures_as_asked_for_and_old_pages_go(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, Colours(), SMALL)
    assert set(pages(out)) == {"report.html", "report-2.html", "report-3.html"}
    for name in ("4.png", "5.png", "deep/6.png"):
        (folder / name).unlink()
    (out / "report-mine.html").write_text("mine")
    run(folder, out, Colours(), SMALL)
    assert set(pages(out)) == {"report.html", "report-2.html", "report-mine.html"}
    run(folder, out, Colours(), replace(SMALL, report=2), overwrite=True)
    data = island(out / "report.html")
    assert set(pages(out)) == {"report.html", "report-mine.html"}
    assert len(data["images"]) == 2 and (data["page"]["pictures"], data["page"]["shown"]) == (4, 2)
    run(folder, out, Colours(), replace(SMALL, report="none"), overwrite=True)
    assert set(pages(out)) == {"report-mine.html"}


def test_another_run_in_its_place_removes_the_pages(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, Colours(), SMALL)
    (out / "report-7.html").write_text("old")
    with pytest.raises(UsageError, match=r"settings\.report: '1000' there, '1' now"):
        run(folder, out, Colours(), replace(SMALL, report=1))
    run(folder, out, Colours(), replace(SMALL, report=1), overwrite=True)
    assert set(pages(out)) == {"report.html"}


def test_a_place_that_is_claimed_for_other_settings_has_no_pages_left(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, Colours(), SMALL)
    (out / "report-7.html").write_text("old")
    with claimed(out, folder, {"settings": {"k": 9}}, overwrite=True) as work:
        work.settle()
    assert not pages(out) and not (out / "results.json").exists()


@pytest.mark.usefixtures("_three_a_page")
def test_entries_are_forgotten_once_no_page_needs_them(folder: Path, tmp_path: Path) -> None:
    class Held(dict[str, Any]):
        """A table that says when it is gone."""

    one = discover(folder, Colours(), replace(SMALL, k=1))
    images = tuple(replace(i, concepts=(replace(i.concepts[0], score=0.0),)) for i in one.images)
    written = Pages(report_of(folder, [Level(replace(one.found, images=images), maps_of(one))], 7, {}), tmp_path)
    held: list[weakref.ref[Held]] = []
    for index in written.order:
        entry = Held(written.entry(index, None, None))
        held.append(weakref.ref(entry))
        written.add(index, entry)
        del entry
        gc.collect()
        assert sum(ref() is not None for ref in held) <= 3
    assert len(pages(tmp_path)) == 3


def test_each_picture_is_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, int]] = []
    true = drawing.read_original
    monkeypatch.setattr(drawing, "read_original", lambda path, side: read.append((path.name, side)) or true(path, side))
    monkeypatch.setattr(layout_file, "PICTURES", 3)
    run(folder, tmp_path / "out", Colours(), SMALL)
    wanted = {"0.png": 1024, "1.png": 1024} | {f"{n}.png": 320 for n in range(2, 7)}
    assert len(read) == 7 and dict(read) == wanted


def test_pictures_that_cannot_be_read_again_have_neither_overlay_nor_thumbnail(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = drawing.show_pictures

    def gone(*args: Any) -> Any:
        (folder / "1.png").unlink()
        (folder / "4.png").write_bytes(b"no picture")
        return true(*args)

    monkeypatch.setattr("dff_onnx.runs.write.show_pictures", gone)
    found = run(folder, tmp_path / "out", Colours(), SMALL)
    images = {image["path"]: image for image in island(tmp_path / "out" / "report.html")["images"]}
    assert {path for path, image in images.items() if image["thumb"] is None} == {"1.png", "4.png"}
    assert images["1.png"]["overlay"] is None is found.images[1].overlay and images["1.png"]["levels"][0]["maps"]


@pytest.mark.usefixtures("_three_a_page")
def test_names_go_into_all_pages_and_change_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, Colours(), SMALL)
    before = pages(out)
    (out / "report-2.html").write_bytes(b"<html>somebody's own</html>")
    (out / "report-3.html").unlink()
    with read_run(out) as stored:
        write_names(stored, Labels((("</script>",), (), ("ear", "eye"))))
    after = pages(out)
    assert set(after) == {"report.html", "report-2.html"} and after["report-2.html"] == b"<html>somebody's own</html>"
    assert island(out / "report.html", "names") == [["</script>", None, "ear + eye"]]
    lines = zip(before["report.html"].split(b"\n"), after["report.html"].split(b"\n"), strict=True)
    assert [a[:43] for a, b in lines if a != b] == [b'<script type="application/json" id="names">']
    with read_run(out) as stored:
        write_names(stored, Labels(((), (), ())))
    assert pages(out)["report.html"] == before["report.html"]


def test_pages_that_cannot_be_written_are_said_and_leave_the_old_results(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, Colours(), SMALL)
    before = (out / "results.json").read_bytes()
    (out / "report.html").unlink()
    (out / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html"):
        run(folder, out, Colours(), SMALL)
    assert (out / "results.json").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="names that are no text")
def test_awkward_file_names_are_shown(folder: Path, tmp_path: Path) -> None:
    for name in (b"<script>alert(1)<", b"a\xff.png", b'quote".png', b"{{data}}.png"):
        source = (folder / "0.png").read_bytes()
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".png")).write_bytes(source)
    run(folder, tmp_path / "out", Colours(), replace(SMALL, overlays="all"))
    images = {image["path"]: image for image in island(tmp_path / "out" / "report.html")["images"]}
    assert {"<script>alert(1)<.png", "a\\xff.png.png", 'quote".png.png', "{{data}}.png.png"} <= set(images)
    assert images["a\\xff.png.png"]["overlay"] is None and images["a\\xff.png.png"]["thumb"]
    assert images["<script>alert(1)<.png"]["overlay"] == "overlays/<script>alert(1)<.png"


def test_a_run_with_a_report_holds_no_pictures_and_is_read_back(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "all" / "out", Colours(), SMALL)
    (tmp_path / "all" / "0.png").write_bytes((folder / "0.png").read_bytes())
    assert walk_pictures(tmp_path / "all") == [Path("0.png")]
    with read_run(tmp_path / "all" / "out") as stored:
        assert len(stored.images) == 7 and stored.masks(0).shape[0] == 3


def test_a_tree_is_shown_with_all_its_levels(folder: Path, tmp_path: Path) -> None:
    found = [discover(folder, Colours(), replace(SMALL, k=k)) for k in (1, 2, 3)]
    levels = [Level(one.found, maps_of(one), label_command(one.found, f"k{k}")) for k, one in enumerate(found, 1)]
    tree = report_of(folder, levels, 7, {"settings": {}}, "tree", 1)
    (tmp_path / "out").mkdir()
    images = [replace(image, overlay=f"k2/{image.path}") for image in tree.images]
    written = Pages(tree, tmp_path / "out")
    drawing.show_pictures(folder, found[0].paths, images, tmp_path / "out", None, written, Silent())
    data = island(tmp_path / "out" / "report.html")
    assert [level["k"] for level in data["levels"]] == [1, 2, 3] and data["kind"] == "tree" and data["start"] == 1
    assert data["levels"][2]["label"] == "dff-onnx label RUN/k3 --from labels.json"
    assert all(len(image["levels"]) == 3 and image["thumb"] for image in data["images"])
    assert [image["overlay"] for image in data["images"]] == [image.overlay for image in images]


@pytest.mark.parametrize("report", [-1, "some"])
def test_impossible_numbers_of_pictures_are_refused(report: Any) -> None:
    for make in (Settings, CamSettings):
        with pytest.raises(UsageError, match="report: all, none or a number"):
            make(report=report)


def test_a_tree_has_one_report_for_all_levels_and_its_levels_have_none(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    made = run_tree(folder, out, Colours(), [1, 2, 3, 4], replace(SMALL, overlays=1))
    assert list(pages(out)) == ["report.html"] and not list(out.glob("k*/report*.html"))
    data = island(out / "report.html")
    assert data["kind"] == "tree" and data["start"] == 3, "it opens with the usual four concepts"
    assert [level["k"] for level in data["levels"]] == [1, 2, 3, 4]
    assert [level["label"] for level in data["levels"]] == [
        f"dff-onnx label RUN/k{k} --from labels.json" for k in (1, 2, 3, 4)
    ]
    for level, nodes in zip(data["levels"], made.tree.nodes, strict=True):
        assert [one["parent"] for one in level["concepts"]] == [node.parent for node in nodes]
    first, second, *_ = data["images"]
    assert first["overlay"] == "k4/overlays/0.png" and (out / first["overlay"]).is_file() and second["overlay"] is None
    assert [len(level["concepts"]) for level in first["levels"]] == [1, 2, 3, 4]
    before = pages(out)
    run_tree(folder, out, Colours(), [1, 2, 3, 4], replace(SMALL, overlays=1))
    assert pages(out) == before
    run_tree(folder, out, Colours(), [2, 3], replace(SMALL, overlays=1, report="none"), overwrite=True)
    assert not pages(out) and sorted(home.name for home in out.glob("k*")) == ["k2", "k3"]
    run(folder, out, Colours(), replace(SMALL, report="none"), overwrite=True)
    assert not list(out.glob("k*")) and not list(out.glob("tree.*"))
