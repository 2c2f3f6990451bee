"""A run read back: the same masks, and nothing hostile believed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from mutations import mutated, mutated_tree
from torture_tier import each, tiers

from dff_onnx.errors import DffError, RefusedError, UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf
from dff_onnx.report.results import results_json
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run

SMALL = Settings(k=3, resize=Resize("square", 64), overlays="none")


@pytest.fixture
def home(folder: Path, tmp_path: Path) -> Path:
    run(folder, tmp_path / "out", Colours(), SMALL)
    return tmp_path / "out"


def use(home: Path) -> None:
    """All that a run is read for."""
    with read_run(home) as stored:
        for index in range(len(stored.images)):
            stored.masks(index)
            stored.picture(index)


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        replace(SMALL, k=1),
        replace(SMALL, k=4, resize=Resize("short", 72)),
        replace(SMALL, crf=Crf()),
        replace(SMALL, crf=Crf("joint"), resize=Resize("long", 100)),
        replace(SMALL, k=2, per_image=True),
    ],
    ids=["plain", "k = 1", "k = 4, own grids", "binary CRF", "joint CRF", "each by itself"],
)
def test_the_masks_are_those_of_the_run_bit_for_bit(folder: Path, tmp_path: Path, settings: Settings) -> None:
    made = run(folder, tmp_path / "out", Colours(), settings)
    with read_run(tmp_path / "out") as stored:
        assert results_json(stored.found) == (tmp_path / "out" / "results.json").read_bytes()
        assert len(stored.images) == 7 and stored.folder == folder and stored.concepts == tuple(stored.found.concepts)
        for index in range(7):
            masks = stored.masks(index)
            assert masks.any() and masks.tobytes() == made.masks(index).tobytes()
            assert stored.picture(index) == folder / made.paths[index]
            heat = stored.file.read(index, settings.k)
            assert heat.dtype == (np.uint8 if settings.crf else np.float32)


def test_a_run_of_one_picture_finds_it(folder: Path, tmp_path: Path) -> None:
    run(folder / "0.png", tmp_path / "out", Colours(), SMALL)
    with read_run(tmp_path / "out") as stored:
        assert stored.folder == folder and stored.picture(0) == folder / "0.png"


def test_names_that_are_awkward_are_found_again(folder: Path, tmp_path: Path) -> None:
    names = [b"\xff\xe9.png", b'quote".png', b"new\nline.png", b"\\x41.png", "\u202egpj.png".encode(), b"<script>.png"]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes((folder / "0.png").read_bytes())
    made = run(folder, tmp_path / "out", Colours(), SMALL)
    with read_run(tmp_path / "out") as stored:
        assert [stored.picture(i) for i in range(13)] == [folder / path for path in made.paths]


def test_pictures_that_are_gone_are_none_and_masks_need_none(home: Path, folder: Path) -> None:
    (folder / "3.png").unlink()
    with read_run(home) as stored:
        assert stored.picture(3) is None and stored.picture(2) is not None and stored.masks(3).any()
    folder.rename(folder.with_name("elsewhere"))
    with read_run(home) as stored:
        assert stored.picture(2) is None and stored.masks(2).any()


def test_a_folder_that_is_no_finished_run_is_a_wrong_argument(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, said in (("nowhere", "no such folder"), ("empty", r"no run\.toml"), ("out/run.toml", "not a folder")):
        with pytest.raises(UsageError, match=said), read_run(tmp_path / place):
            pass
    (home / "results.json").unlink()
    with pytest.raises(UsageError, match="did not end"), read_run(home):
        pass


def test_a_run_of_an_earlier_version_is_to_be_made_again(home: Path) -> None:
    (home / "maps.npz").unlink()
    with pytest.raises(RefusedError, match=r"maps\.npz: there is no such file"), read_run(home):
        pass


def test_maps_of_another_run_are_refused(folder: Path, home: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "other", Colours(), replace(SMALL, resize=Resize("square", 96)))
    (home / "maps.npz").write_bytes((tmp_path / "other" / "maps.npz").read_bytes())
    with pytest.raises(RefusedError, match="the grid in results"):
        use(home)
    run(folder, tmp_path / "third", Colours(), replace(SMALL, k=2))
    (home / "maps.npz").write_bytes((tmp_path / "third" / "maps.npz").read_bytes())
    with pytest.raises(RefusedError, match="shape"):
        use(home)


def path_is(text: str) -> Any:
    return lambda r: r["images"][0].update(path=text)


HOSTILE: dict[str, Any] = {
    "another schema": lambda r: r.update(schema="dff-onnx/results/2"),
    "a schema that is a tree": lambda r: r.update(schema={"a": [1]}),
    "no images": lambda r: r.pop("images"),
    "images as a table": lambda r: r.update(images={}),
    "fewer images": lambda r: r["images"].pop(),
    "an unknown scale": lambda r: r.update(scale=["set"]),
    "another scale": lambda r: r.update(scale="image"),
    "no concepts": lambda r: r.update(concepts=[]),
    "a concept less": lambda r: r["concepts"].pop(),
    "concepts in another order": lambda r: r["concepts"].reverse(),
    "a concept's number as truth": lambda r: r["concepts"][1].update(number=True),
    "a threshold as text": lambda r: r["concepts"][0].update(threshold="0"),
    "a threshold beyond float32": lambda r: r["concepts"][0].update(threshold=10**400),
    "a negative threshold": lambda r: r["concepts"][0].update(threshold=-1),
    "a concept without energy, as class maps have it": lambda r: r["concepts"][0].update(energy=None),
    "a colour that is CSS": lambda r: r["concepts"][0].update(colour="red;background:url(x)"),
    "a name that is a list": lambda r: r["concepts"][0].update(name=["ear"]),
    "a path outside": path_is("../x.png"),
    "a path outside, later": path_is("deep/../../x.png"),
    "an absolute path": path_is("/etc/passwd.png"),
    "no path": path_is(""),
    "a dot": path_is("."),
    "a path with NUL": path_is("a\0.png"),
    "a lone surrogate": path_is("\ud800.png"),
    "a path of numbers": path_is(7),  # type: ignore[arg-type]
    "a picture of terabytes": lambda r: r["images"][0].update(size={"width": 10**6, "height": 10**6}),
    "a picture without width": lambda r: r["images"][0]["size"].update(width=0),
    "a grid of another shape": lambda r: r["images"][0]["grid"].update(width=9),
    "a score above 1": lambda r: r["images"][0]["concepts"][0].update(score=1.5),
    "a score less": lambda r: r["images"][0]["concepts"].pop(),
    "a box outside": lambda r: r["images"][0]["concepts"][0]["regions"][0].update(box=[0, 0, 10**9, 1]),
    "a box of three corners": lambda r: r["images"][0]["concepts"][0]["regions"][0].update(box=[0, 0, 1]),
    "an area of a million": lambda r: r["images"][0]["concepts"][0]["regions"][0].update(area=10**6),
    "no fingerprint": lambda r: r.update(fingerprint=None),
    "preprocessing that cannot be": lambda r: r["fingerprint"]["preprocessing"].update(std=[0, 0, 0]),
    "an endless scale": lambda r: r["fingerprint"]["preprocessing"].update(scale=10**400),
    "a failure without reason": lambda r: r.update(failures=[{"path": "x"}]),
    "a fit that is text": lambda r: r.update(fit="good"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_results_are_refused_with_their_file_and_field(case: str, home: Path) -> None:
    results = json.loads((home / "results.json").read_text())
    HOSTILE[case](results)
    (home / "results.json").write_text(json.dumps(results))
    with pytest.raises(RefusedError, match=r"(results\.json|maps\.npz): .*make the run again") as caught:
        use(home)
    assert len(str(caught.value)) < 500 + len(str(home)) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": NaN}', "[" * 200_000, '{"a": 1, "a": 2}', "\udcff", "9" * 9999]
)
def test_what_is_no_json_is_refused(text: str, home: Path) -> None:
    (home / "results.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RefusedError, match=r"results\.json: "):
        use(home)


def test_a_damaged_run_file_is_refused(home: Path) -> None:
    text = (home / "run.toml").read_text()
    first = text.splitlines()[0]
    for wrong in (first, f"{first}\nfolder = 3", text.replace("min_share = ", 'min_share = "a" # '), f"{text}\n= 1",
                  f"{first}\na = {'[' * 5000}", text.replace("min_share = ", "min_share = nan # ")):  # fmt: skip
        (home / "run.toml").write_text(wrong)
        with pytest.raises(RefusedError, match=r"run\.toml: "):
            use(home)
    (home / "run.toml").write_text(text.replace('folder = "', f'folder = "/{"x" * 5000}'))
    with read_run(home) as stored:
        assert stored.picture(0) is None


@tiers("mutated results of a run")
def test_of_results_mutated_as_trees_none_gives_another_error(cases: range, home: Path) -> None:
    good = json.loads((home / "results.json").read_text())

    def judge(_: int, rng: np.random.Generator) -> str:
        (home / "results.json").write_text(json.dumps(mutated_tree(good, rng)))
        try:
            use(home)
        except DffError as error:
            assert "results.json" in str(error) or "maps.npz" in str(error)
            return "refused"
        return "read"

    assert each(cases, judge)["refused"] > len(cases) / 2


@tiers("mutated files of a run")
def test_of_files_mutated_as_bytes_none_gives_another_error(cases: range, home: Path) -> None:
    names = ("results.json", "maps.npz", "run.toml")
    goods = {name: (home / name).read_bytes() for name in names}

    def judge(number: int, rng: np.random.Generator) -> str:
        name = names[number % len(names)]
        (home / name).write_bytes(mutated(goods[name], rng))
        try:
            use(home)
        except (RefusedError, UsageError) as error:
            assert str(home) in str(error)
            return "refused"
        finally:
            (home / name).write_bytes(goods[name])
        return "read"

    assert each(cases, judge)["refused"] > len(cases) / 4
