"""Exported masks, read back by other readers: pycocotools, Pillow, ElementTree and our own data sets."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_backbone import Colours
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from dff_onnx.datasets.mask_files import MaskFile
from dff_onnx.datasets.voc_xml import read_voc_xml
from dff_onnx.errors import OutputError, RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, evidence, regions_of, upsample
from dff_onnx.records import Grid
from dff_onnx.report.labels_file import Labels
from dff_onnx.runs.export_masks import export_masks, parts_of
from dff_onnx.runs.label import write_names
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import StoredRun, read_run

# pycocotools is older than NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
SMALL = Settings(k=3, resize=Resize("square", 64), overlays="none")
ALL = ("coco", "voc", "png")
TWINS = Labels((("head",), ("torso", "arm"), ("head",)))


@pytest.fixture
def home(folder: Path, tmp_path: Path) -> Path:
    run(folder, tmp_path / "out", Colours(), SMALL)
    return tmp_path / "out"


def export(home: Path, out: Path, labels: Labels | None = None, **options: Any) -> list[NDArray[np.bool_]]:
    """Exports, and gives the masks `(k, H, W)` of each picture."""
    if labels:
        with read_run(home) as stored:
            write_names(stored, labels)
    with read_run(home) as stored:
        export_masks(stored, out, options.pop("formats", ALL), **options)
        return [stored.masks(index) for index in range(len(stored.images))]


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def coco_masks(found: COCO, image: int, name: str) -> NDArray[np.bool_] | None:
    [category] = [c["id"] for c in found.dataset["categories"] if c["name"] == name]
    notes = found.loadAnns(found.getAnnIds(imgIds=[image + 1], catIds=[category]))
    assert len(notes) <= 1
    return found.annToMask(notes[0]).astype(bool) if notes else None


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, crf=Crf()), replace(SMALL, resize=Resize("short", 72))])
def test_pycocotools_has_our_masks(folder: Path, tmp_path: Path, settings: Settings) -> None:
    run(folder, tmp_path / "out", Colours(), settings)
    masks = export(tmp_path / "out", tmp_path / "masks", TWINS)
    found = coco(tmp_path / "masks" / "instances.json")
    assert found.dataset["categories"] == [{"id": 1, "name": "head"}, {"id": 2, "name": "torso + arm"}]
    assert [image["file_name"] for image in found.dataset["images"]] == [*(f"{n}.png" for n in range(6)), "deep/6.png"]
    for index, mine in enumerate(masks):
        for name, wanted in (("head", mine[0] | mine[2]), ("torso + arm", mine[1])):
            got = coco_masks(found, index, name)
            assert not wanted.any() if got is None else np.array_equal(got, wanted)
    for note in found.dataset["annotations"]:
        mask = found.annToMask(note)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
        assert note["bbox"] == box and note["area"] == mask.sum() and 0 < note["score"] <= 1
    assert [note["id"] for note in found.dataset["annotations"]] == list(
        range(1, len(found.dataset["annotations"]) + 1)
    )


def classes_by_hand(stored: StoredRun, index: int, groups: list[list[int]]) -> NDArray[np.intp]:
    """0, or from 1 on the place of the group of the strongest concept."""
    maps, size = stored.maps(index), stored.images[index].size
    strength = evidence(upsample(maps.maps, size.height, size.width), maps.thresholds, maps.peaks)
    strength = np.where(stored.masks(index), strength, 0)
    place = np.zeros(len(strength), np.intp)
    for number, group in enumerate(groups, 1):
        place[group] = number
    winner = np.where(place[:, None, None] > 0, strength, 0)
    return np.where(winner.max(axis=0) > 0, place[winner.argmax(axis=0)], 0)


def test_voc_pictures_hold_the_strongest_concept_of_each_pixel(home: Path, tmp_path: Path) -> None:
    masks = export(home, tmp_path / "masks", TWINS)
    assert any((mine[0] & mine[1]).any() for mine in masks), "the masks overlap"
    assert (tmp_path / "masks" / "labels.txt").read_text().splitlines() == ["background", "head", "torso + arm"]
    with read_run(home) as stored:
        for index, image in enumerate(stored.images):
            path = (tmp_path / "masks" / "SegmentationClass" / image.path).with_suffix(".png")
            with Image.open(path) as opened:
                assert opened.mode == "P"
                values, palette = np.asarray(opened), opened.getpalette() or []
            np.testing.assert_array_equal(values, classes_by_hand(stored, index, [[0, 2], [1]]))
            assert np.array_equal(values > 0, masks[index].any(axis=0))
            colours = [bytes.fromhex(concept.colour[1:]) for concept in stored.concepts]
            assert bytes(palette[:9]) == bytes(3) + colours[0] + colours[1]
            assert bytes(palette[765:768]) == bytes([224, 224, 192])
            truth = MaskFile(path, 255, 1).read(image.size)
            assert np.array_equal(truth.on, values == 1) and not truth.void.any()


@pytest.mark.parametrize("least", [0.0, 0.01])
def test_voc_lists_the_regions_that_the_run_lists(folder: Path, tmp_path: Path, least: float) -> None:
    made = run(folder, tmp_path / "out", Colours(), replace(SMALL, k=1, min_share=least))
    export(tmp_path / "out", tmp_path / "masks", formats=("voc",))
    listed = [len(image.concepts[0].regions) for image in made.images]
    assert (max(listed) > 1) == (least == 0)
    paths = [(tmp_path / "masks" / "Annotations" / image.path).with_suffix(".xml") for image in made.images]
    assert [len(read_voc_xml(path).objects) for path in paths] == listed


def test_voc_boxes_are_those_of_the_regions(home: Path, tmp_path: Path) -> None:
    masks = export(home, tmp_path / "masks")
    with read_run(home) as stored:
        for image in stored.images:
            path = (tmp_path / "masks" / "Annotations" / image.path).with_suffix(".xml")
            read = read_voc_xml(path)
            wanted = [(f"concept {here.concept}", region.box) for here in image.concepts for region in here.regions]
            assert [(o.label, o.box) for o in read.objects] == wanted
            assert read.file_name == image.path and read.size == image.size
    first = regions_of(masks[0])[0].regions[0].box
    frame = ElementTree.parse(tmp_path / "masks" / "Annotations" / "0.xml").find("object/bndbox")
    assert frame is not None
    sides = [int(frame.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax")]
    assert sides == [first.x0 + 1, first.y0 + 1, first.x1, first.y1]


def test_png_has_a_folder_for_each_name(home: Path, tmp_path: Path) -> None:
    masks = export(home, tmp_path / "masks", Labels((("../x",), (), ("a/b <c>",))), formats=("png",))
    pictures = (*(f"{n}.png" for n in range(6)), "deep/6.png")
    names = {f"masks/{folder}/{name}" for folder in ("1__x", "2_a_b_c_") for name in pictures}
    assert set(contents(tmp_path / "masks")) == {"run.toml"} | names
    for concept, folder in ((0, "1__x"), (2, "2_a_b_c_")):
        truth = MaskFile(tmp_path / "masks" / "masks" / folder / "deep" / "6.png").read(Grid(90, 120))
        assert np.array_equal(truth.on, masks[6][concept])


def test_without_names_concepts_go_by_their_numbers_and_with_some_the_others_stay_out(home: Path) -> None:
    with read_run(home) as stored:
        assert [part.name for part in parts_of(stored)] == ["concept 0", "concept 1", "concept 2"]
        assert [part.concepts for part in parts_of(stored, ["concept 1"])] == [(1,)]
        write_names(stored, Labels(((), ("torso", "arm"), ("arm",))))
    with read_run(home) as stored:
        assert [(part.name, part.concepts) for part in parts_of(stored)] == [("torso + arm", (1,)), ("arm", (2,))]
        assert [part.name for part in parts_of(stored, ["torso"])] == ["torso + arm"]
        assert [part.name for part in parts_of(stored, ["arm"])] == ["torso + arm", "arm"]
        assert [part.name for part in parts_of(stored, ["torso + arm"])] == ["torso + arm"]
        with pytest.raises(UsageError, match=r"nothing is called 'leg'; known: torso \+ arm, arm"):
            parts_of(stored, ["arm", "leg"])


def test_a_run_in_which_each_picture_has_its_own_concepts_goes_by_numbers(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", Colours(), replace(SMALL, k=2, per_image=True))
    masks = export(tmp_path / "out", tmp_path / "masks")
    found = coco(tmp_path / "masks" / "instances.json")
    got = coco_masks(found, 3, "concept 1")
    assert got is not None and np.array_equal(got, masks[3][1])


def test_hostile_names_of_files_and_concepts_reach_the_files_whole(folder: Path, tmp_path: Path) -> None:
    raw = (b"\xff\xe9.png", b'quote".png', b"new\nline.png", b"\x01\x1b.png", "\u202egpj.png".encode(), b"<script>.png")
    for name in raw:
        (folder / os.fsdecode(name)).write_bytes((folder / "0.png").read_bytes())
    run(folder, tmp_path / "out", Colours(), SMALL)
    label = "../\"<script>&amp;'עב"
    masks = export(tmp_path / "out", tmp_path / "masks", Labels(((label,), ("]]>",), ())))
    found = coco(tmp_path / "masks" / "instances.json")
    with read_run(tmp_path / "out") as stored:
        assert [image["file_name"] for image in found.dataset["images"]] == [image.path for image in stored.images]
        texts = {image.path: image.size for image in stored.images}
    got = coco_masks(found, 12, label)
    assert got is not None and np.array_equal(got, masks[12][0])
    read = {}
    for path in (tmp_path / "masks" / "Annotations").rglob("*.xml"):
        tree = ElementTree.parse(path)
        read[tree.findtext("filename")] = {o.findtext("name") for o in tree.findall("object")}
    assert len(read) == 13 and set().union(*read.values()) == {label, "]]>"}
    escaped = {"\x01\x1b.png": r"\x01\x1b.png"}
    assert set(read) == {escaped.get(text, text) for text in texts}
    everything = [path for path in (tmp_path / "masks").rglob("*") if path.is_file()]
    assert len(everything) == 2 + 1 + 13 * 4  # run.toml and labels.txt; instances.json; VOC's two, and two names
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "out", "masks"}


def test_the_same_export_again_is_byte_identical_and_another_is_refused(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    export(home, out, TWINS)
    first = contents(out)
    export(home, out)
    assert contents(out) == first
    with pytest.raises(UsageError, match="--overwrite"):
        export(home, out, formats=("coco",))
    with pytest.raises(UsageError, match="--overwrite"):
        export(home, out, only=["head"])
    assert contents(out) == first
    export(home, out, formats=("coco",), only=["head"], overwrite=True)
    assert {path.name for path in out.iterdir()} == {"run.toml", "instances.json"}, "no empty folder is left"
    assert [c["name"] for c in json.loads((out / "instances.json").read_text())["categories"]] == ["head"]


def test_new_names_and_fewer_pictures_leave_no_old_file(folder: Path, home: Path, tmp_path: Path) -> None:
    export(home, tmp_path / "masks", TWINS)
    export(home, tmp_path / "masks", Labels((("leg",), (), ())))
    assert {path.name for path in (tmp_path / "masks" / "masks").iterdir() if any(path.iterdir())} >= {"1_leg"}
    assert not any("head" in name for name in contents(tmp_path / "masks"))
    (folder / "5.png").unlink()
    run(folder, home, Colours(), SMALL)
    (home / "labels.json").unlink()
    export(home, tmp_path / "masks")
    assert not any(name.endswith(("5.png", "5.xml")) for name in contents(tmp_path / "masks"))


def test_folders_of_something_else_are_left_alone(folder: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    before = contents(home)
    for out, said in (
        (tmp_path / "mine", "no export of masks"),
        (home, "results of a run"),
        (folder / "x", "inside the folder"),
    ):
        for overwrite in (False, True):
            with pytest.raises(UsageError, match=said):
                export(home, out, overwrite=overwrite)
    assert contents(home) == before and contents(tmp_path / "mine") == {"letter.txt": b"dear"}
    with pytest.raises(OutputError):
        export(home, tmp_path / "mine" / "letter.txt" / "x")
    export(home, home / "masks")  # below the run there is room


@pytest.mark.parametrize(("formats", "said"), [((), "give one"), (("coco", "bmp"), "'bmp' is not one of")])
def test_formats_are_known(formats: tuple[str, ...], said: str, home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        export(home, tmp_path / "masks", formats=formats)
    assert not (tmp_path / "masks").exists()


def test_damage_in_the_middle_leaves_no_half_written_file(home: Path, tmp_path: Path) -> None:
    data = (home / "maps.npz").read_bytes()
    place = data.rindex(b"\x93NUMPY") + 200
    (home / "maps.npz").write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
    with pytest.raises(RefusedError, match=r"maps\.npz: entry 6"):
        export(home, tmp_path / "masks")
    assert not (tmp_path / "masks" / "instances.json").exists()
    assert not [path for path in (tmp_path / "masks").rglob("*") if path.name.endswith(".part")]
    (home / "maps.npz").write_bytes(data)
    export(home, tmp_path / "masks")
    assert (tmp_path / "masks" / "instances.json").exists()
