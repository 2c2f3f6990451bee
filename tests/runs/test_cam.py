"""A folder and a classifier in, a run of class maps out."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from killing import contents
from made_pictures import picture
from PIL import Image
from scipy.special import softmax

from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.errors import ModelError, NoImagesError, OutputError, UsageError
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead
from dff_onnx.runs.cam import run_cam
from dff_onnx.runs.cam_settings import CamSettings, Method
from dff_onnx.runs.class_maps import ClassMaps, make_class_maps
from dff_onnx.runs.crops import look
from dff_onnx.runs.export_masks import export_masks
from dff_onnx.runs.label import check_shared
from dff_onnx.runs.mapping import Cam, Mapping, head_mapping
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run

# The channels of `Colours` are red, green, blue and grey.
HEAD = LinearHead(
    np.array([[4, 0, 0, -0.01], [0, 4, 0, 0], [0, 0, 4, 0], [1, 1, 0, 0]], np.float32),
    np.array([0, 0, 0, 0.125], np.float32),
)
NAMES = ClassNames(("red", "=green", "blue", "yellow"), ("n00000001", None, None, None))
SQUARE = Resize("square", 64)
SETTINGS = CamSettings(top=2, resize=SQUARE)
BOXES = {"a": (8, 8, 24, 40), "b": (32, 16, 56, 32)}
COLOURS = {"a": (250, 10, 10), "b": (10, 130, 10)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of 128 x 64 pixels, each with one rectangle of a colour on grey."""
    home = tmp_path / "pictures"
    home.mkdir()
    for name, (x0, y0, x1, y1) in BOXES.items():
        pixels = np.full((64, 128, 3), 120, np.uint8)
        pixels[y0:y1, 2 * x0 : 2 * x1] = COLOURS[name]
        Image.fromarray(pixels).save(home / f"{name}.png")
    return home


def made(folder: Path, settings: CamSettings = SETTINGS, mapping: Mapping | None = None) -> ClassMaps:
    return make_class_maps(folder, Colours(), mapping or Cam(HEAD), NAMES, settings)


class Failing(Colours):
    """Has no room for one batch more than it is told."""

    workers = 1

    def __init__(self, batches: int) -> None:
        self._left, self.seen = batches, 0

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        if not self._left:
            raise OutputError("no room")
        self._left, self.seen = self._left - 1, self.seen + len(pixels)
        return super().__call__(pixels)


@pytest.mark.parametrize("method", ["cam", "eigen-cam"])
@pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, crops=10, resize=Resize("square", 256))], ids=["one", "ten"]
)
def test_class_maps_that_were_begun_are_gone_on_with(method: Method, settings: CamSettings, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for seed in range(14):
        picture(seed).save(tmp_path / "many" / f"{seed:02}.png")
    (tmp_path / "many" / "02a.png").write_bytes(b"nothing")
    mapping, calls = head_mapping(method, HEAD), 3 if settings.crops == 1 else 9
    run_cam(tmp_path / "many", tmp_path / "whole", Colours(), mapping, NAMES, settings)
    with pytest.raises(OutputError):
        run_cam(tmp_path / "many", tmp_path / "out", Failing(calls), mapping, NAMES, settings)
    rest = Failing(1000)
    run_cam(tmp_path / "many", tmp_path / "out", rest, mapping, NAMES, settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert 0 < rest.seen <= 7 * settings.crops  # of four parts, two at least were kept


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_each_picture_has_maps_of_its_best_classes_with_scores_by_hand(folder: Path) -> None:
    found = made(folder)
    red, green = found.images
    assert [answer.name for answer in red.answers] == ["red", "yellow", "=green", "blue"]
    # 8 cells of 64 are red: 250 - 10 of 255 each; the class map is four times that but for what is grey.
    cell, grey = 240 / 255, (56 * 120 + 8 * 10) / 255 / 64
    assert red.answers[0].score == pytest.approx(4 * cell * 8 / 64 - 0.01 * grey, rel=1e-3)
    assert red.answers[1].score == pytest.approx(cell * 8 / 64 + 0.125, rel=1e-3)
    shares = np.exp([answer.score for answer in red.answers])
    assert [answer.probability for answer in red.answers] == pytest.approx(shares / shares.sum(), rel=1e-6)
    assert [concept.name for concept in green.table] == ["=green", "yellow"]
    # Resizing smooths the edges of a rectangle two cells wide.
    assert found.maps[0][0].max() == pytest.approx(4 * cell, rel=0.02)


def test_boxes_hold_what_exceeds_a_fifth_of_the_maximum(folder: Path) -> None:
    found = made(folder)
    for image, name in zip(found.images, BOXES, strict=True):
        box, (x0, y0, x1, y1) = image.concepts[0].box, BOXES[name]
        assert box is not None
        # The grid has cells of 8 x 8 in 64 x 64, and the picture is twice as wide; maps fall off between cells.
        assert np.abs(np.subtract((box.x0, box.y0, box.x1, box.y1), (2 * x0, y0, 2 * x1, y1))).max() <= 8
        assert found.predictions[0].box == found.images[0].concepts[0].box


def test_a_class_map_is_scaled_by_its_peak_over_the_set_or_by_its_own(folder: Path) -> None:
    settings = CamSettings(classes=(3, 0), resize=SQUARE)
    red, green = made(folder, settings).images
    assert red.table[0].peak == green.table[0].peak
    # Yellow is made of red and of green, of which the second picture has half as much.
    assert red.concepts[0].score == pytest.approx(1) and green.concepts[0].score == pytest.approx(0.5, rel=0.02)
    assert made(folder, settings).found.scale == "set"
    own = made(folder, CamSettings(classes=(3, 0), resize=SQUARE, per_image=True))
    assert own.found.scale == "image" and [image.concepts[0].score for image in own.images] == [1, 1]
    assert own.images[1].table[0].peak == pytest.approx(red.table[0].peak / 2, rel=0.02)


def test_a_class_that_is_nowhere_has_no_mask_and_a_guess_without_a_box(folder: Path) -> None:
    found = made(folder, CamSettings(classes=(2, 0), resize=SQUARE))
    nowhere = found.images[0].concepts[0]
    assert (nowhere.score, nowhere.share, nowhere.regions) == (0.0, 0.0, ())
    # Guesses go by score, whatever the order in which classes were named.
    assert [(one.rank, one.name, one.box is None) for one in found.predictions[:2]] == [
        (1, "red", False),
        (2, "blue", True),
    ]


def test_the_released_boxes_and_the_five_guesses(folder: Path) -> None:
    found = made(folder, CamSettings(top=3, resize=SQUARE, box="heuristic"))
    mine = [one for one in found.predictions if one.image == "a.png"]
    classes = [one.number for one in mine]
    assert len(mine) <= 5 and classes[0] == 0 and classes == sorted(classes, key=classes.index)
    first = [region.box for region in found.images[0].concepts[0].regions]
    assert [one.box for one in mine[: len(first[:2])]] == first[:2]
    assert first[0].area == max(box.area for box in first)


def test_maps_may_be_taken_from_their_minimum_up(folder: Path) -> None:
    plain, moved = made(folder), made(folder, CamSettings(top=2, resize=SQUARE, from_minimum=True))
    for one, other in zip(plain.maps, moved.maps, strict=True):
        np.testing.assert_allclose(other, one - one.min(axis=(1, 2), keepdims=True), atol=1e-6)
    assert moved.found.images[0].table[0].peak > plain.found.images[0].table[0].peak


def test_eigen_cam_has_one_map_for_all_classes(folder: Path) -> None:
    found = made(folder, CamSettings(method="eigen-cam", top=2, resize=SQUARE), head_mapping("eigen-cam", HEAD))
    assert [len(image.table) for image in found.images] == [1, 1]
    assert [(image.table[0].name, image.table[0].class_number) for image in found.images] == [("eigen-cam", None)] * 2
    assert found.images[0].table[0].peak == found.images[1].table[0].peak
    mine = [one for one in found.predictions if one.image == "a.png"]
    assert [one.name for one in mine] == ["red", "yellow"] and mine[0].box == mine[1].box


@pytest.mark.parametrize("method", ["grad-cam", "ablation-cam", "score-cam"])
def test_other_methods_look_where_cam_looks_when_one_colour_speaks_for_a_class(folder: Path, method: Any) -> None:
    settings = CamSettings(method=method, top=1, resize=SQUARE, fraction=0.5)
    found = made(folder, settings, head_mapping(method, HEAD))
    reference = made(folder, CamSettings(top=1, resize=SQUARE, fraction=0.5))
    for one, other in zip(found.maps[:1], reference.maps[:1], strict=True):
        inside = other[0] > 0.5 * other.max()
        assert one[0][inside].mean() > 2 * one[0][~inside].mean()


def test_ten_crops_find_the_same_place(tmp_path: Path) -> None:
    pixels = np.full((256, 256, 3), 120, np.uint8)
    pixels[64:128, 96:160] = (250, 10, 10)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    settings = CamSettings(top=1, resize=Resize("square", 256), crops=10)
    found = make_class_maps(tmp_path / "pictures", Colours(), Cam(HEAD), NAMES, settings)
    box = found.images[0].concepts[0].box
    assert found.maps[0].shape == (1, 64, 64) and found.images[0].answers[0].name == "red"
    assert box is not None
    assert np.abs(np.subtract((box.x0, box.y0, box.x1, box.y1), (96, 64, 160, 128))).max() <= 8


def test_ten_crops_answer_with_the_means_of_their_scores_and_probabilities() -> None:
    pixels = np.full((256, 256, 3), 120, np.uint8)
    pixels[:40, :40] = (250, 10, 10)  # in one crop alone, and its mirror image
    pixels[216:, 216:] = (10, 130, 10)
    settings = CamSettings(top=2, resize=Resize("square", 256), crops=10)
    looked = look([pixels], Colours(), Cam(LinearHead(HEAD.weights * 50, HEAD.bias)), settings)
    cuts = [pixels[y : y + 224, x : x + 224] for y, x in ((0, 0), (0, 32), (32, 0), (32, 32), (16, 16))]
    A = Colours()(np.stack([*cuts, *(cut[:, ::-1] for cut in cuts)])).mean(axis=(2, 3))
    scores = 50 * A @ HEAD.weights.T + HEAD.bias
    np.testing.assert_allclose(looked.scores, scores.mean(axis=0, keepdims=True), rtol=1e-5, atol=1e-6)
    shares = softmax(scores, axis=1)
    assert np.ptp(shares, axis=0).max() > 0.1
    np.testing.assert_allclose(looked.probabilities, shares.mean(axis=0, keepdims=True), rtol=1e-5)
    assert looked.classes.tolist() == [np.argsort(-shares.mean(axis=0)).tolist()[:2]]


@pytest.mark.parametrize("resize", [SQUARE, Resize("long", 64)])
def test_any_number_of_workers_writes_the_same_bytes(resize: Resize, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for number in range(11):  # neighbours of several sizes in one part, and a bad one among them
        pixels = rng.integers(0, 255, (64 + 16 * (number % 3), 96, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number:02d}.png")
    (tmp_path / "pictures" / "02b.png").write_bytes(b"no picture")
    written = []
    for workers in (0, 1, 5):
        backbone = Colours()
        backbone.workers = workers
        run_cam(tmp_path / "pictures", tmp_path / str(workers), backbone, Cam(HEAD), NAMES, CamSettings(resize=resize))
        written.append(files(tmp_path / str(workers)))
    assert written[0] == written[1] == written[2] and "overlays/10.png" in written[0]


def test_a_run_writes_its_files_and_repeats_their_bytes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_cam(folder, out, Colours(), Cam(HEAD), NAMES, SETTINGS)
    first = files(out)
    assert {"results.json", "predictions.csv", "boxes.csv", "coco.json", "maps.npz", "run.toml"} < first.keys()
    assert {"overlays/a.png", "overlays/b.png"} < first.keys()
    run_cam(folder, out, Colours(), Cam(HEAD), NAMES, SETTINGS)
    assert files(out) == first


def test_predictions_are_in_the_order_of_the_guesses_and_safe_in_a_spreadsheet(folder: Path, tmp_path: Path) -> None:
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)
    text = (tmp_path / "out" / "predictions.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert text.startswith("image,rank,class,label,name,score,probability,x0,y0,x1,y1\r\n")
    assert [(row["image"], row["rank"], row["class"], row["label"]) for row in rows] == [
        ("a.png", "1", "0", "n00000001"),
        ("a.png", "2", "3", "yellow"),
        ("b.png", "1", "1", "'=green"),
        ("b.png", "2", "3", "yellow"),
    ]


def test_a_run_is_read_back_with_its_masks(folder: Path, tmp_path: Path) -> None:
    found = run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)
    assert min(maps.min() for maps in found.maps) < 0  # what speaks against a class is kept
    with read_run(tmp_path / "out") as run:
        assert run.found.class_maps == found.found.class_maps
        for number, image in enumerate(run.images):
            assert image.answers[0].number == found.images[number].answers[0].number
            masks = run.masks(number)
            shares = [here.share for here in image.concepts]
            assert masks.mean(axis=(1, 2)) == pytest.approx(shares, abs=1e-6)
    results = json.loads((tmp_path / "out" / "results.json").read_bytes())
    assert results["class_maps"]["names"].startswith("given ") and results["images"][0]["table"][0]["class"] == 0


def test_coco_categories_are_the_classes(folder: Path, tmp_path: Path) -> None:
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)
    coco = json.loads((tmp_path / "out" / "coco.json").read_bytes())
    assert coco["categories"] == [
        {"id": 1, "name": "red"},
        {"id": 2, "name": "=green"},
        {"id": 4, "name": "yellow"},
    ]
    assert {one["category_id"] for one in coco["annotations"]} == {1, 2, 4}


def test_masks_of_named_classes_are_exported_by_class(folder: Path, tmp_path: Path) -> None:
    found = run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, CamSettings(classes=(1, 0), resize=SQUARE))
    with read_run(tmp_path / "out") as run:
        export_masks(run, tmp_path / "masks", ("png", "voc"))
    with Image.open(tmp_path / "masks" / "masks" / "2_red" / "a.png") as image:
        mask = np.asarray(image) > 0
    assert mask.mean() == pytest.approx(found.images[0].concepts[1].share, abs=1e-6) and mask.any()
    assert (tmp_path / "masks" / "labels.txt").read_text() == "background\n=green\nred\n"


def test_classes_of_one_name_keep_their_own_masks_and_boxes(folder: Path, tmp_path: Path) -> None:
    names = ClassNames(("crane", "crane", "blue", "yellow"), (None,) * 4)
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), names, CamSettings(classes=(1, 0), resize=SQUARE))
    with read_run(tmp_path / "out") as run:
        export_masks(run, tmp_path / "masks", ("voc",))
    assert (tmp_path / "masks" / "labels.txt").read_text() == "background\ncrane (1)\ncrane (0)\n"
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [one["name"] for one in coco["categories"]] == ["crane (0)", "crane (1)"]


def test_masks_and_names_of_each_pictures_best_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)
    with read_run(tmp_path / "out") as run:
        with pytest.raises(UsageError, match="pictures differ in them; map the same classes"):
            export_masks(run, tmp_path / "masks")
        with pytest.raises(UsageError, match="classes have names"):
            check_shared(run)


def test_other_settings_or_another_head_on_the_same_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)
    with pytest.raises(UsageError, match=r"settings\.classes: 'top2' there, 'top1' now"):
        run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, CamSettings(top=1, resize=SQUARE))
    with pytest.raises(UsageError, match="head_sha256"):
        run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD, {"head_sha256": "1"}), NAMES, SETTINGS)
    other = ClassNames(("r", "g", "b", "y"), (None,) * 4)
    with pytest.raises(UsageError, match="class_names"):
        run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), other, SETTINGS)


def test_a_setting_that_one_run_alone_has_is_a_difference(folder: Path, tmp_path: Path) -> None:
    run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD, {"head": "fc2"}), NAMES, SETTINGS)
    with pytest.raises(UsageError, match=r"settings\.head: 'fc2' there, nothing now"):
        run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)


def test_a_run_that_takes_anothers_place_leaves_nothing_of_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, Colours(), Settings(k=2, resize=SQUARE))
    run_cam(folder, out, Colours(), Cam(HEAD), NAMES, SETTINGS, overwrite=True)
    run_cam(folder, tmp_path / "alone", Colours(), Cam(HEAD), NAMES, SETTINGS)
    assert files(out) == files(tmp_path / "alone")
    run(folder, out, Colours(), Settings(k=2, resize=SQUARE), overwrite=True)
    assert not (out / "predictions.csv").exists() and (out / "bank.npz").is_file()


def test_bad_pictures_are_listed_and_the_others_mapped(folder: Path, tmp_path: Path) -> None:
    (folder / "aa.png").write_bytes(b"nothing")
    found = run_cam(folder, tmp_path / "out", Colours(), Cam(HEAD), NAMES, SETTINGS)
    assert [failure.path for failure in found.found.failures] == ["aa.png"]
    assert [str(path) for path in found.paths] == ["a.png", "b.png"]
    for name in BOXES:
        (folder / f"{name}.png").unlink()
    with pytest.raises(NoImagesError, match=r"not one of 1 pictures can be used; the first: aa\.png"):
        run_cam(folder, tmp_path / "other", Colours(), Cam(HEAD), NAMES, SETTINGS)
    assert not (tmp_path / "other").exists()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("crops", [1, 10])
@pytest.mark.parametrize("method", ["cam", "grad-cam", "eigen-cam", "score-cam", "ablation-cam"])
def test_a_network_that_overflows_is_refused_with_its_layer(folder: Path, method: Any, crops: int) -> None:
    endless = LinearHead(np.full((4, 4), np.inf, np.float32), np.zeros(4, np.float32))
    settings = CamSettings(method, crops=crops, resize=Resize("square", 256) if crops == 10 else SQUARE)
    with pytest.raises(ModelError, match=r"layer .*: its activations give scores or maps that are not finite; take"):
        made(folder, settings, head_mapping(method, endless))


def test_a_class_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no class 4; the network has 0 to 3"):
        made(folder, CamSettings(classes=(4,), resize=SQUARE))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"top": 0}, "top1 to top20"),
        ({"classes": (1, 2, 1)}, "class 1 is named twice"),
        ({"crops": 5}, "1 or 10"),
        ({"crops": 10}, "use --size 256"),
        ({"fraction": 1.0}, "between 0 and 1"),
        ({"fraction": 0.5, "box": "release"}, "goes with --box paper; release has grey levels"),
        ({"box": "heuristic", "top": 2}, "top three"),
        ({"box": "heuristic", "method": "eigen-cam"}, "eigen-cam has one map of no class"),
        ({"box": "tight"}, "paper, release, heuristic"),
        ({"method": "gradcam"}, "grad-cam"),
        ({"overlays": -1}, "all, none or a number"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        CamSettings(**wrong)


def test_the_fraction_is_that_of_the_method_unless_one_is_said() -> None:
    assert (CamSettings().share_of_maximum, CamSettings(method="grad-cam").share_of_maximum) == (0.2, 0.15)
    assert CamSettings(method="grad-cam", fraction=0.4).share_of_maximum == 0.4
