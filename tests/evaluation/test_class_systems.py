"""Class maps as systems of `eval coseg` and `eval corloc`: the vote of a group, its maps, both ways to cut them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from colour_classifier import BIAS, FEATURES, colour_classifier, weights, write_coloured
from figures import colour_network
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from scipy import ndimage
from square_trees import SIDE, square
from typer.testing import CliRunner

from dff_onnx.backbone.protocol import Activations
from dff_onnx.backbone.session import Backbone
from dff_onnx.cam.vote import Vote
from dff_onnx.cli.eval_ import eval_
from dff_onnx.datasets.class_names import names_for
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.evaluation import (
    ClassSettings,
    Figures,
    System,
    class_layer,
    evaluate,
    figures_json,
    markdown,
    open_boxes,
    open_masks,
    read_figures,
    systems_named,
    tables,
    terminal,
)
from dff_onnx.evaluation.group_classes import Voted
from dff_onnx.evaluation.located import by_class
from dff_onnx.evaluation.opening import VocChoice
from dff_onnx.images import Resize
from dff_onnx.maps import Threshold, mask, upsample
from dff_onnx.metrics import localized, mask_counts
from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD, Box, Grid
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.class_maps import make_class_maps
from dff_onnx.runs.collect import Collected
from dff_onnx.runs.mapping import head_mapping
from dff_onnx.runs.seen import Seen

SMALL = Resize("square", SIDE)
CAM = "cam,cam+percentile"
RED, GREEN, BLUE = range(3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_classifier(tmp_path_factory.mktemp("network") / "classifier.onnx")


@pytest.fixture(scope="module")
def backbone(model: Path) -> Backbone:
    return Backbone.open(model, FEATURES, threads=1)


def measured(root: Path, backbone: Activations, names: str = CAM) -> Figures:
    return evaluate(open_masks(root, None, None, (), False), backbone, named(names), "coseg")


def named(names: str) -> tuple[System, ...]:
    return systems_named(names.split(","), SMALL)


def class_map(path: Path, number: int) -> NDArray[np.float32]:
    """A class's map by the network's weights, without the program: `(h, w)`."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    normal = (pixels - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    file = path.parents[3] / "own.onnx"
    (features,) = ort.InferenceSession(colour_network(file)).run(None, {"image": normal.transpose(2, 0, 1)[None]})
    return np.asarray(np.tensordot(weights()[number], features[0], axes=1), np.float32)


def test_each_group_is_mapped_for_the_class_of_most_of_its_pictures(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "leaves", [GREEN] * 3 + [BLUE, RED])
    write_coloured(tmp_path / "set", "skies", [BLUE, RED, BLUE])
    figures = measured(tmp_path / "set", backbone)
    told = [(one.system, one.group, one.number, one.name, one.votes, one.pictures) for one in figures.classes]
    assert told == [
        (system, *rest)
        for system in ("cam", "cam+percentile")
        for rest in (("leaves", GREEN, "class 1", 3, 5), ("skies", BLUE, "class 2", 2, 3))
    ]
    found = [one.hit for one in figures.of("cam")]
    assert found == [True] * 3 + [False] * 2 + [True, False, True], "what shows another class is mapped for the group's"


def test_of_equal_votes_the_more_probable_class_is_mapped(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "two", [RED, GREEN])
    figures = measured(tmp_path / "set", backbone, "cam")
    images = [np.asarray(Image.open(tmp_path / "set" / "images" / "two" / f"{i}.png")) for i in range(2)]
    A = backbone(np.stack(images)).transpose(0, 2, 3, 1)
    scores = A.mean(axis=(1, 2)).astype(np.float64) @ weights().T + BIAS
    means = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).mean(axis=0)
    (told,) = figures.classes
    assert sorted(scores.argmax(axis=1)) == [RED, GREEN] and told.votes == 1
    assert told.number == (RED if means[RED] > means[GREEN] else GREEN)
    assert told.probability == pytest.approx(means[told.number], rel=1e-5)
    assert told.name == f"class {told.number}"


def test_masks_and_boxes_are_those_of_class_maps_made_for_the_same_class(tmp_path: Path, backbone: Backbone) -> None:
    folder = write_coloured(tmp_path / "set", "mixed", [RED, GREEN, RED, BLUE, RED], corner=10)
    figures = measured(tmp_path / "set", backbone, "cam")
    assert backbone.head is not None
    settings = CamSettings(classes=(RED,), resize=SMALL)
    made = make_class_maps(folder, backbone, head_mapping("cam", backbone.head), names_for(3), settings)
    for i, score in enumerate(figures.of("cam")):
        on = mask(upsample(made.maps[i], SIDE, SIDE), np.array([made.images[i].table[0].threshold], np.float32))[0]
        counts = mask_counts(on, square(10))
        assert (score.inter, score.union) == (counts.inter, counts.union)
        assert score.hit == localized(made.images[i].concepts[0].box, [Box(10, 10, 42, 42)])
    assert figures.of("cam")[0].hit is True


def test_both_ways_to_cut_agree_with_opencv_numpy_and_scipy(tmp_path: Path, backbone: Backbone) -> None:
    """Above a fifth of each map's maximum, and the 75th percentile of the group's maps, clipped at zero."""
    write_coloured(tmp_path / "set", "mixed", [RED, RED, GREEN, RED])
    figures = measured(tmp_path / "set", backbone)
    paths = [tmp_path / "set" / "images" / "mixed" / f"{i}.png" for i in range(4)]
    maps = [class_map(path, RED) for path in paths]
    assert min(one.min() for one in maps) < 0 < max(one.max() for one in maps)
    wide = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for one in maps]
    clipped = [cv2.resize(np.maximum(one, 0), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for one in maps]
    level = np.percentile(np.stack(clipped), 75)
    cut = {
        "cam": [(one > 0.2 * one.max()) & (one > 0) for one in wide],
        "cam+percentile": [(one >= level) & (one > 0) for one in clipped],
    }
    assert not np.array_equal(cut["cam"], cut["cam+percentile"])
    for system, masks in cut.items():
        for score, on in zip(figures.of(system), masks, strict=True):
            inter, union = int((on & square()).sum()), int((on | square()).sum())
            assert score.inter == pytest.approx(inter, abs=2) and score.union == pytest.approx(union, abs=2)
            assert score.hit == (box_iou(on, square()) > 0.5)


def test_a_threshold_of_the_group_takes_what_speaks_against_the_class_for_zero() -> None:
    heat = np.array([[[-9.0, 1.0, -9.0, 1.0]]], np.float32)
    size = Grid(1, 16)
    seen = Seen(Path("a.png"), size, size, Grid(1, 4))
    rows = Collected(np.zeros((4, 1), np.float32), (seen,), ())
    found = by_class(Voted(Vote(0, 1, 1, 1.0), (heat,)), rows, ClassSettings(Resize(), Threshold()))
    full = upsample(np.maximum(heat, 0), 1, 16)
    np.testing.assert_array_equal(found.mask(0), full[0] >= np.percentile(full, 75))


def box_iou(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> float:
    """Of the boxes around the largest component of ours, and around theirs."""
    labels, many = ndimage.label(ours, np.ones((3, 3)))
    if not many:
        return 0.0
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    both = np.zeros((2, *ours.shape), bool)
    for filled, on in zip(both, (labels == largest, theirs), strict=True):
        filled[ndimage.find_objects(on.astype(int))[0]] = True
    return float(both.all(axis=0).sum() / both.any(axis=0).sum())


def test_the_network_runs_once_for_concepts_and_classes(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "cats", [RED] * 5)
    seen = []

    class Counting:
        fingerprint, device, nonnegative = backbone.fingerprint, backbone.device, backbone.nonnegative
        neighbours, workers, head = backbone.neighbours, 1, backbone.head

        def __call__(self, pixels: NDArray[np.uint8]) -> Any:
            seen.append(len(pixels))
            return backbone(pixels)

    figures = measured(tmp_path / "set", Counting(), "plain,cam,cam+percentile")
    assert sum(seen) == 5 and len(figures.scores) == 15
    iou = tables(figures)[0]
    assert [row.name for row in iou.rows] == ["plain", "cam", "cam+percentile"]
    assert all(row.interval is not None for row in iou.rows) and iou.rows[1].p is not None
    assert {one.system for one in figures.classes} == {"cam", "cam+percentile"}


def test_a_picture_that_cannot_be_read_does_not_vote(tmp_path: Path, backbone: Backbone) -> None:
    folder = write_coloured(tmp_path / "set", "cats", [RED, RED, BLUE, RED, BLUE])
    for number in (0, 1):
        (folder / f"{number}.png").write_bytes(b"nothing")
    figures = measured(tmp_path / "set", backbone, "cam")
    (told,) = figures.classes
    assert (told.number, told.votes, told.pictures) == (BLUE, 2, 3) and len(figures.failures) == 2


def test_boxes_can_be_found_by_class_as_well(tmp_path: Path, backbone: Backbone) -> None:
    folder = write_coloured(tmp_path / "set", "cats", [RED, BLUE, RED])
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1,class\n0.png,16,16,48,48,leaf\n2.png,0,0,9,9,leaf\n")
    opened = open_boxes(folder, tmp_path / "boxes.csv", None, (), False, VocChoice())
    figures = evaluate(opened, backbone, named("cam"), "corloc")
    assert [one.hit for one in figures.scores] == [True, False]
    assert [(one.group, one.number, one.votes) for one in figures.classes] == [("leaf", RED, 2)]


def test_the_file_and_the_page_and_the_terminal_say_which_class_was_taken(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "leaves", [GREEN, GREEN, BLUE])
    figures = measured(tmp_path / "set", backbone, f"plain,{CAM}")
    made = tables(figures)
    text = figures_json(figures, made)
    fields = json.loads(text)
    assert [one["system"] for one in fields["classes"]] == ["cam", "cam+percentile"]
    assert {"group": "leaves", "number": GREEN, "name": "class 1", "votes": 2, "pictures": 3}.items() <= fields[
        "classes"
    ][0].items()
    assert fields["systems"][1]["settings"] == {
        "method": "cam", "class": "majority", "threshold": "maximum", "fraction": 0.2, "resize": "square", "size": SIDE,
    }  # fmt: skip
    assert fields["systems"][2]["settings"]["percentile"] == 75
    (tmp_path / "figures.json").write_text(text)
    assert read_figures(tmp_path).scores == figures.scores
    shown = terminal(figures, made, halves=False).splitlines()
    assert shown.count("class that most pictures of a group show (cam, cam+percentile)") == 1
    assert re.fullmatch(r"leaves +2 of 3 +0\.\d{3}  1 class 1", shown[-1])
    page = markdown(figures, made)
    assert re.search(r"\| leaves \| 1 \| class 1 \| 2 of 3 \| 0\.\d{3} \|", page)
    assert page.count("| leaves | 1 |") == 1


def test_without_class_maps_nothing_is_said_of_classes(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "leaves", [GREEN] * 2)
    figures = measured(tmp_path / "set", backbone, "plain")
    assert figures.classes == () and json.loads(figures_json(figures, tables(figures)))["classes"] == []
    assert "class that" not in terminal(figures, tables(figures), halves=False) + markdown(figures, tables(figures))


def test_systems_of_two_sizes_each_have_their_own_votes(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "leaves", [GREEN] * 3)
    systems = [System(f"at {side}", "", ClassSettings(Resize("square", side))) for side in (64, 32)]
    opened = open_masks(tmp_path / "set", None, None, (), False)
    figures = evaluate(opened, backbone, systems, "coseg")
    first, second = figures.classes
    assert (first.number, second.number) == (GREEN, GREEN) and first.probability != second.probability
    assert list(figures.class_tables) == [("at 64",), ("at 32",)]


def test_long_names_and_five_systems_fit_80_columns(tmp_path: Path, backbone: Backbone) -> None:
    write_coloured(tmp_path / "set", "g" * 100, [GREEN] * 2)
    figures = measured(tmp_path / "set", backbone, "foreground+crf,cam+percentile,plain,crf,cam")
    figures = replace(figures, classes=tuple(replace(one, name="n" * 100) for one in figures.classes))
    lines = terminal(figures, tables(figures), halves=True).splitlines()
    assert max(map(len, lines)) <= 80 and lines[-1].endswith("n…")
    assert any("+crf +percentile" in line for line in lines), "systems' names do not run together"


def test_the_layer_is_the_heads_where_a_system_makes_class_maps(tmp_path: Path, model: Path) -> None:
    assert class_layer(model, named("plain,cam")) == class_layer(model, named(CAM), FEATURES) == FEATURES
    with pytest.raises(UsageError, match=r"--layer relu: .*looks at mixed, and cam must.*--layer mixed, or leave cam "):
        class_layer(model, named("plain,cam"), "relu")
    missing = tmp_path / "nowhere.onnx"
    assert class_layer(missing, named("plain,foreground")) is None, "other systems do not read the file"
    assert class_layer(missing, named("plain"), "relu") == "relu"


def test_activations_that_no_head_looks_at_are_refused(tmp_path: Path, model: Path) -> None:
    write_coloured(tmp_path / "set", "leaves", [GREEN])
    for other in (Backbone.open(model, "relu"), Backbone.open(model, FEATURES, sign="split")):
        with pytest.raises(UsageError, match=r"--systems: cam and cam\+percentile: .*no head looks at .*without"):
            measured(tmp_path / "set", other, f"plain,{CAM}")


def test_a_network_without_a_head_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = colour_network(tmp_path / "backbone.onnx")
    with pytest.raises(ModelError, match=r"backbone\.onnx: cam: .*has none; give another --model, or leave cam out"):
        class_layer(path, named("plain,cam"))


def test_the_command_line_takes_the_layer_that_the_head_looks_at(tmp_path: Path, model: Path) -> None:
    write_coloured(tmp_path / "set", "leaves", [GREEN] * 2)
    words = ["coseg", str(tmp_path / "set"), "--model", str(model), "--size", str(SIDE), "--systems"]
    ended = CliRunner().invoke(eval_, [*words, "plain,cam", "--json"])
    assert ended.exit_code == 0, ended.output
    fields = json.loads(ended.stdout)
    assert fields["fingerprint"]["layer"] == FEATURES and fields["classes"][0]["votes"] == 2
    wrong = CliRunner().invoke(eval_, [*words, "plain,cam", "--layer", "relu"])
    assert isinstance(wrong.exception, UsageError) and "use --layer mixed" in str(wrong.exception)
    boxes = CliRunner().invoke(eval_, ["corloc", *words[1:], "cam"])
    assert boxes.exit_code == 0 and "leaves" in boxes.stdout and "2 of 2" in boxes.stdout


def test_real_photographs_agree_with_an_independent_implementation(real_data: Path) -> None:
    """The whole network by ONNX Runtime, its last convolution by NumPy, maps by OpenCV, components by SciPy."""
    path, group = real_data / "models" / "squeezenet1_1.onnx", "brown_bear"
    opened = open_masks(real_data / "icoseg", None, None, [group], False)
    wanted = systems_named(CAM.split(","), Resize("square", 224))
    layer = class_layer(path, wanted)
    figures = evaluate(opened, Backbone.open(path, layer, threads=1), wanted, "coseg")
    pictures = sorted((real_data / "icoseg" / "images" / group).iterdir())
    scores, features, kernel, bias = squeezenet(path, pictures)
    votes = np.bincount(scores.argmax(axis=1))
    (told, _) = figures.classes
    assert (told.number, told.votes, told.name) == (votes.argmax(), votes.max(), "brown bear")
    maps = np.maximum(np.tensordot(features, kernel[told.number], axes=(1, 0)) + bias[told.number], 0)
    level = np.percentile([cv2.resize(one, (224, 224)) for one in maps], 75)
    for picture, heat, by_map, by_set in zip(
        pictures, maps, figures.of("cam"), figures.of("cam+percentile"), strict=True
    ):
        truth = np.asarray(Image.open(real_data / "icoseg" / "ground_truth" / group / f"{picture.stem}.png")) > 0
        wide = cv2.resize(heat, truth.shape[::-1])
        for score, least in ((by_map, 0.2 * wide.max()), (by_set, level)):
            on = (wide > least) & (wide > 0)
            inter, union = int((on & truth).sum()), int((on | truth).sum())
            assert score.inter == pytest.approx(inter, rel=1e-3) and score.union == pytest.approx(union, rel=1e-3)
            assert score.hit == (box_iou(on, truth) > 0.5)


def squeezenet(path: Path, pictures: list[Path]) -> tuple[NDArray[np.float32], ...]:
    """Scores `(n, 1000)`, features `(n, 512, h, w)`, and the kernel `(1000, 512)` and bias `(1000,)` behind them."""
    network = onnx.load(path)
    (last,) = [node for node in network.graph.node if node.op_type == "Conv"][-1:]
    network.graph.output.append(onnx.ValueInfoProto(name=last.input[0]))
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    session = ort.InferenceSession(network.SerializeToString())
    resized = [Image.open(one).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR) for one in pictures]
    normal = (np.stack(resized).astype(np.float32) / 255 - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    scores, features = session.run(None, {session.get_inputs()[0].name: normal.transpose(0, 3, 1, 2)})
    return scores, features, held[last.input[1]][:, :, 0, 0], held[last.input[2]]


@pytest.mark.slow
def test_the_means_over_all_groups_stay_where_they_were_measured(real_data: Path) -> None:
    path, wanted = real_data / "models" / "squeezenet1_1.onnx", systems_named(CAM.split(","), Resize("square", 224))
    opened = open_masks(real_data / "icoseg", None, None, (), False)
    figures = evaluate(opened, Backbone.open(path, class_layer(path, wanted), threads=1), wanted, "coseg")
    iou, corloc = tables(figures)
    assert [row.mean for row in iou.rows] == pytest.approx([0.339, 0.337], abs=0.01)
    assert [row.mean for row in corloc.rows] == pytest.approx([0.613, 0.498], abs=0.01)
    taken = {one.group[:3]: (one.name, one.votes) for one in figures.classes}
    assert taken["023"] == ("giant panda", 25) and taken["006"] == ("ballplayer", 25)
