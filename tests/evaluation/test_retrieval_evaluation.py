"""Retrieval sets searched end to end: the vectors are those of an index, whitenings know nothing of the set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image
from retrieval_scenes import CLASSES, HEIGHT, SIZE, WIDTH, plan_of, write_scenes

from dff_onnx.datasets import RetrievalQuery, RetrievalSet, read_class_folders, relevance
from dff_onnx.errors import ArrayError, DatasetError, ModelError, NoImagesError, UsageError
from dff_onnx.evaluation import (
    QueryScore,
    RetrievalFigures,
    RetrievalPlan,
    evaluate_retrieval,
    retrieval_json,
    retrieval_markdown,
    retrieval_systems,
    retrieval_tables,
    retrieval_terminal,
    score_similarities,
)
from dff_onnx.evaluation.scores import SystemUsed
from dff_onnx.records import Box
from dff_onnx.retrieval import SCALES, learn_whitening
from dff_onnx.runs.descriptors import Describer, DescriptorSettings

ALL = ("mac", "spoc", "gem", "crow", "ucrow", "rmac", "dff")


class Counted(Colours):
    """The same, and how often it looked at what."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.sizes.append(pixels.shape)
        return super().__call__(pixels)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("set") / "scenes", 4)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("others") / "photos", 5, seed=1)


def aps(figures: RetrievalFigures, system: str) -> list[float | None]:
    return [one.ap for one in figures.of(system, "classic")]


def test_every_system_has_a_row_as_it_is_and_whitened(root: Path, others: Path) -> None:
    figures = evaluate_retrieval(read_class_folders(root), Colours(), plan_of(*ALL, whiten=others))
    assert [one.name for one in figures.systems] == [name + mark for name in ALL for mark in ("", "+w")]
    assert (figures.dataset, figures.images, figures.device) == ("scenes", 12, "cpu") and not figures.failures
    assert figures.notes == ("whitenings learnt on 15 pictures",)
    for system in figures.systems:
        assert len(figures.of(system.name, "classic")) == 12
    assert aps(figures, "spoc") == [1.0] * 12 and aps(figures, "dff+w") == [1.0] * 12
    assert aps(figures, "ucrow") == aps(figures, "spoc")


def test_a_row_is_what_vectors_of_an_index_would_rank(root: Path, others: Path) -> None:
    dataset = read_class_folders(root)
    for kind in ("rmac", "dff"):
        plan = plan_of(kind, whiten=others)
        figures = evaluate_retrieval(dataset, Colours(), plan)
        settings = plan.systems[0].settings
        plain = Describer(Colours(), settings)
        paths = sorted(others.rglob("*.png"))
        learnt = learn_whitening(np.concatenate([plain.part_vectors(plain.read(path)) for path in paths]))
        for name, describer in ((kind, plain), (f"{kind}+w", Describer(Colours(), settings, learnt))):
            vectors = np.stack([describer.describe(describer.read(path)).vector for path in dataset.images])
            expected = score_similarities(dataset, vectors @ vectors.T, name)
            got = [one.ap for one in figures.of(name, "classic")]
            assert got == pytest.approx([one.ap for one in expected])


def test_the_network_looks_once_at_each_picture_and_at_what_is_cut_out(root: Path, others: Path) -> None:
    images = read_class_folders(root).images
    box = Box(8, 0, 56, 40)
    everything = {"classic": relevance([1, 2])}
    queries = (
        RetrievalQuery("whole", images[0], 0, None, everything),
        RetrievalQuery("cut", images[0], 0, box, everything),
        RetrievalQuery("elsewhere", sorted(others.rglob("*.png"))[0], None, None, everything),
    )
    network = Counted()
    figures = evaluate_retrieval(RetrievalSet("own", root, images, queries, ("classic",)), network, plan_of(*ALL))
    assert sorted(network.sizes) == sorted([(1, HEIGHT, WIDTH, 3)] * 13 + [(1, 40, 48, 3)])
    assert [one.query for one in figures.of("mac", "classic")] == ["whole", "cut", "elsewhere"]
    network = Counted()
    twice = RetrievalPlan(retrieval_systems(["mac", "dff"], size=SIZE, scales=SCALES))
    evaluate_retrieval(read_class_folders(root), network, twice)
    assert len(network.sizes) == 12 * 3


def test_a_box_asks_for_what_is_inside_it(tmp_path: Path) -> None:
    red, blue = (230, 20, 20), (20, 20, 230)
    for name, left, right in (("both", red, blue), ("red", red, red), ("blue", blue, blue)):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[:, :32], pixels[:, 32:] = left, right
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    images = tuple(tmp_path / f"{name}.png" for name in ("red", "blue", "both"))
    queries = tuple(
        RetrievalQuery(name, images[2], 2, box, {"classic": relevance([at], [2])})
        for name, at, box in (("l", 0, Box(0, 0, 32, HEIGHT)), ("r", 1, Box(32, 0, WIDTH, HEIGHT)))
    )
    figures = evaluate_retrieval(RetrievalSet("two", tmp_path, images, queries, ("classic",)), Colours(), plan_of(*ALL))
    assert {one.ap for one in figures.scores} == {1.0}


def test_workers_change_nothing(root: Path, others: Path) -> None:
    class Alone(Colours):
        workers = 0

    class Many(Colours):
        workers = 4

    plan = plan_of(*ALL, whiten=others)
    made = [evaluate_retrieval(read_class_folders(root), network, plan) for network in (Alone(), Many())]
    assert made[0] == made[1]


def test_dimensions_are_the_first_of_those_that_vary(root: Path, others: Path) -> None:
    plan = plan_of("rmac", "dff", whiten=others, dimensions=(1, 4, None))
    figures = evaluate_retrieval(read_class_folders(root), Colours(), plan)
    assert [one.name for one in figures.systems][:4] == ["rmac", "rmac+w1", "rmac+w4", "rmac+w"]
    assert aps(figures, "rmac+w4") == aps(figures, "rmac+w") != aps(figures, "rmac+w1")
    assert figures.systems[1].settings["whitening"] == {"learnt on": "photos", "dimensions": 1}
    alone = evaluate_retrieval(read_class_folders(root), Colours(), plan_of("rmac", whiten=others, dimensions=(1,)))
    assert aps(alone, "rmac+w") == aps(figures, "rmac+w1")
    more = evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac", whiten=others, dimensions=(99,)))
    assert more.notes[-1] == "mac: 4 dimensions vary, and 99 were asked for"


def test_shrinkages_have_rows_of_their_own(root: Path, others: Path) -> None:
    plan = plan_of("rmac", whiten=others, shrinkages=(0.0, 0.5), dimensions=(2, None))
    figures = evaluate_retrieval(read_class_folders(root), Colours(), plan)
    assert [one.name for one in figures.systems] == ["rmac", "rmac+w2", "rmac+w", "rmac+w2s0.5", "rmac+ws0.5"]
    assert figures.systems[1].settings["whitening"] == {"learnt on": "photos", "dimensions": 2}
    assert figures.systems[4].settings["whitening"] == {"learnt on": "photos", "dimensions": None, "shrinkage": 0.5}
    alone = plan_of("rmac", whiten=others, shrinkages=(0.5,))
    one = evaluate_retrieval(read_class_folders(root), Colours(), alone)
    assert [system.name for system in one.systems] == ["rmac", "rmac+w"]
    assert aps(one, "rmac+w") == aps(figures, "rmac+ws0.5")


def test_pictures_that_cannot_be_read_are_left_out_and_listed(tmp_path: Path) -> None:
    root, others = write_scenes(tmp_path / "set", 3), write_scenes(tmp_path / "photos", 3, seed=1)
    (root / "sea/0.png").write_bytes(b"no picture")
    (others / "wood/1.png").write_bytes(b"")
    figures = evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac", whiten=others))
    assert [one.path for one in figures.failures] == ["photos/wood/1.png", "sea/0.png"]
    assert figures.images == 8 and len(figures.of("mac", "classic")) == 8
    assert figures.notes == ("1 picture left out of the set, and 1 query", "whitenings learnt on 8 pictures")


def test_a_query_that_cannot_be_read_is_left_out(root: Path, tmp_path: Path) -> None:
    images = read_class_folders(root).images
    (tmp_path / "bad.png").write_bytes(b"bad")
    asked = {"classic": relevance([1])}
    good, bad = (
        RetrievalQuery(name, path, None, None, asked) for name, path in (("a", images[0]), ("b", tmp_path / "bad.png"))
    )
    dataset = RetrievalSet("own", root, images, (good, bad), ("classic",))
    figures = evaluate_retrieval(dataset, Colours(), plan_of("mac"))
    assert [one.query for one in figures.scores] == ["a"] and "1 query left out" in figures.notes
    assert len(figures.failures) == 1 and figures.failures[0].path.endswith("bad.png")
    with pytest.raises(DatasetError, match="no query is left"):
        evaluate_retrieval(RetrievalSet("own", root, images, (bad,), ("classic",)), Colours(), plan_of("mac"))


def test_a_whitening_is_never_learnt_on_what_is_searched(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(root / "sea/2.png")
    for folder in (root, root / "sea", tmp_path):
        with pytest.raises(UsageError, match="is a picture of the set; a whitening is learnt on others"):
            evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac", whiten=folder))


def test_sets_and_whitenings_without_a_usable_picture_are_refused(root: Path, tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "0.png").write_bytes(b"")
    with pytest.raises(NoImagesError, match=r"bad: not one of 3 pictures can be used$"):
        evaluate_retrieval(read_class_folders(tmp_path / "bad"), Colours(), plan_of("mac"))
    with pytest.raises(NoImagesError, match="not one of 3 pictures can be used for a whitening"):
        evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac", whiten=tmp_path / "bad"))
    Image.new("RGB", (SIZE, SIZE), (200, 0, 0)).save(tmp_path / "one.png")
    with pytest.raises(ArrayError, match=r"mac: whitening: at least two vectors.*give more pictures with --whiten"):
        evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac", whiten=tmp_path / "one.png"))


def test_negative_activations_are_refused(root: Path) -> None:
    class Signed(Colours):
        nonnegative = False

        def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
            return super().__call__(pixels) - np.float32(0.5)

    with pytest.raises(ModelError, match="has negative activations"):
        evaluate_retrieval(read_class_folders(root), Signed(), plan_of("mac"))


def test_the_best_of_dff_stands_beside_the_best_of_the_others(root: Path, others: Path) -> None:
    figures = evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac", "rmac", "dff", whiten=others))
    made = retrieval_tables(figures)
    contest = made[0].contest
    assert contest is not None
    means = {row.name: row.mean for row in made[0].rows}
    assert contest.ours.startswith("dff") and means[contest.ours] == max(means["dff"], means["dff+w"])
    rest = [means[name] for name in ("mac", "mac+w", "rmac", "rmac+w")]
    assert means[contest.others] == max(rest)
    assert contest.difference.interval.estimate == pytest.approx(means[contest.ours] - max(rest))
    told = f"the best of DFF ({contest.ours}) against the best of the others ({contest.others})"
    assert told in " ".join(retrieval_terminal(figures, made).split()) and told in retrieval_markdown(figures, made)
    stored = json.loads(retrieval_json(figures, made))["tables"][0]["contest"]
    assert stored["ours"] == contest.ours and stored["difference"]["queries"] == 12
    alone = evaluate_retrieval(read_class_folders(root), Colours(), plan_of("mac"))
    assert retrieval_tables(alone)[0].contest is None


def test_the_contest_is_ours_minus_theirs() -> None:
    scores = tuple(
        QueryScore(name, "classic", f"q{at}", 1, ap, (ap, ap, ap))
        for name, aps in (("mac", (0.1, 0.2)), ("gem", (0.5, 0.75)), ("dff", (0.75, 1.0)), ("dff+w", (0.5, 0.5)))
        for at, ap in enumerate(aps)
    )
    systems = tuple(SystemUsed(name, name, {"kind": name.split("+")[0]}) for name in ("mac", "gem", "dff", "dff+w"))
    contest = retrieval_tables(RetrievalFigures("x", 3, ("classic",), systems, None, "cpu", scores))[0].contest
    assert contest is not None and (contest.ours, contest.others) == ("dff", "gem")
    assert contest.difference.interval.estimate == pytest.approx(0.25)


def test_systems_that_cannot_be_are_refused() -> None:
    for names, ks, said in (
        (["vlad"], [8], "there is no system 'vlad'; there are mac, spoc"),
        (["mac", "mac"], [8], "each name once"),
        ([], [8], "each name once"),
        (["dff"], [4, 4], "-k: each number once"),
    ):
        with pytest.raises(UsageError, match=said):
            retrieval_systems(names, ks)
    with pytest.raises(UsageError, match="give pictures to learn it on with --whiten"):
        plan_of("mac", dimensions=(4,))
    with pytest.raises(UsageError, match="--dimensions: each number once"):
        plan_of("mac", whiten=Path("x"), dimensions=(4, 4))
    with pytest.raises(UsageError, match="--shrinkage: is that of a whitening"):
        plan_of("mac", shrinkages=(0.1,))
    with pytest.raises(UsageError, match="shrinkage of 0 to 1"):
        plan_of("mac", whiten=Path("x"), shrinkages=(2.0,))
    assert retrieval_systems(["dff"], [4])[0].settings == DescriptorSettings("dff", k=4)
