"""Two evaluations side by side, and files that are not what they say."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import mutated, mutated_tree
from torture_tier import each, tiers

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation import Figures, compare, comparison_text, figures_json, read_figures, tables
from dff_onnx.evaluation.scores import ImageScore, Kind, SystemUsed


def made(hits: dict[str, list[bool]], dataset: str = "set", kind: Kind = "coseg", first: int = 0) -> Figures:
    """Two groups of pictures; a hit has an IoU of 0.8, a miss of 0.2."""
    scores = tuple(
        ImageScore(name, "ab"[index % 2], f"{first + index}.jpg", 40, 8 if hit else 2, 10, hit)
        for name, each in hits.items()
        for index, hit in enumerate(each)
    )
    systems = tuple(SystemUsed(name, name, {"k": 1}) for name in hits)
    fingerprint = {"model_sha256": "0" * 64, "layer": "x"}
    return Figures(kind, dataset, ("a", "b"), systems, fingerprint, "cpu", scores, (), ())


def written(path: Path, figures: Figures) -> Path:
    path.write_text(figures_json(figures, tables(figures)))
    return path


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    figures = made({"plain": [True, False], "crf": [True, True]})
    stored = read_figures(written(tmp_path / "a.json", figures))
    assert (stored.kind, stored.dataset, stored.systems, stored.groups) == (
        "coseg",
        "set",
        ("plain", "crf"),
        ("a", "b"),
    )
    assert stored.scores == figures.scores


def test_equal_runs_differ_by_nothing_and_others_by_what_they_do(tmp_path: Path) -> None:
    good, bad = [True] * 12, [False] * 10 + [True] * 2
    a = read_figures(written(tmp_path / "a.json", made({"plain": bad})))
    b = read_figures(written(tmp_path / "b.json", made({"plain": good})))
    iou, corloc = compare(a, b).results
    assert iou.a.estimate == pytest.approx(0.3) and iou.b.estimate == pytest.approx(0.8)
    assert corloc.difference == pytest.approx(1 - 2 / 12) and corloc.images == 12
    assert iou.p < 0.01 and iou.a.low < iou.a.estimate < iou.a.high
    same = compare(a, a).results
    assert all(one.difference == 0 and one.p == 1 for one in same)
    shown = comparison_text(compare(a, b))
    assert "difference +0.500" in shown and max(map(len, shown.splitlines()[2:])) <= 80
    assert shown.splitlines()[:3] == [f"first   {tmp_path}/a.json", f"second  {tmp_path}/b.json", ""]


def test_what_differs_between_the_two_is_said_first(tmp_path: Path) -> None:
    a = read_figures(written(tmp_path / "a.json", made({"plain": [True, False]})))
    (tmp_path / "b").mkdir()
    fields = json.loads((tmp_path / "a.json").read_text())
    fields["fingerprint"] = {"model_sha256": "f" * 64, "layer": "\x1b[2J"}
    fields["systems"][0]["settings"] = {"k": 1, "size": 448}
    (tmp_path / "b" / "figures.json").write_text(json.dumps(fields))
    found = compare(a, read_figures(tmp_path / "b"))
    assert [(one.what, one.first, one.second) for one in found.differences[::2]] == [
        ("layer", "'x'", r"'\x1b[2J'"), ("plain.size", "nothing", "448"),
    ]  # fmt: skip
    lines = comparison_text(found).splitlines()
    assert lines[1].endswith("b/figures.json") and r"  layer: 'x' and '\x1b[2J'" in lines
    assert max(map(len, lines[2:])) <= 80 and "\x1b" not in "".join(lines)
    assert found.to_dict()["differences"][2]["second"] == "448"


def test_a_path_where_nothing_is_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file; give a figures"):
        read_figures(tmp_path / "a.json")
    with pytest.raises(UsageError, match=r"holds no figures\.json; give a folder"):
        read_figures(tmp_path)


def test_only_pictures_of_both_are_compared(tmp_path: Path) -> None:
    a = read_figures(written(tmp_path / "a.json", made({"plain": [True] * 6})))
    b = read_figures(written(tmp_path / "b.json", made({"plain": [False] * 6}, first=2)))
    found = compare(a, b)
    assert (found.common, found.only_a, found.only_b) == (4, 2, 2)
    assert {one.images for one in found.results} == {4}
    assert "2 only in the first" in comparison_text(found)
    none = read_figures(written(tmp_path / "c.json", made({"plain": [True] * 6}, first=6)))
    with pytest.raises(RefusedError, match="no picture in common"):
        compare(a, none)


def test_systems_are_those_that_both_have(tmp_path: Path) -> None:
    a = read_figures(written(tmp_path / "a.json", made({"plain": [True, False], "crf": [True, True]})))
    b = read_figures(written(tmp_path / "b.json", made({"crf": [True, False], "otsu": [True, True]})))
    plain = read_figures(written(tmp_path / "p.json", made({"plain": [True, False]})))
    otsu = read_figures(written(tmp_path / "o.json", made({"otsu": [True, False]})))
    assert {(one.system_a, one.system_b) for one in compare(a, b).results} == {("crf", "crf")}
    assert {(one.system_a, one.system_b) for one in compare(plain, otsu).results} == {("plain", "otsu")}
    assert compare(a, b, "crf").results[0].system_a == "crf"
    with pytest.raises(UsageError, match="has no 'otsu'; it has plain, crf"):
        compare(a, b, "otsu")
    with pytest.raises(UsageError, match="share no system"):
        compare(a, otsu)


def test_other_data_is_refused(tmp_path: Path) -> None:
    a = read_figures(written(tmp_path / "a.json", made({"plain": [True, False]})))
    b = read_figures(written(tmp_path / "b.json", made({"plain": [True, False]}, dataset="other")))
    with pytest.raises(RefusedError, match=r"is of 'set' and .* of 'other'"):
        compare(a, b)
    fields = json.loads((tmp_path / "a.json").read_text())
    fields["images"][0]["truth"] = 41
    (tmp_path / "c.json").write_text(json.dumps(fields))
    with pytest.raises(RefusedError, match="scored against other annotations"):
        compare(a, read_figures(tmp_path / "c.json"))


def image(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        fields["images"][0][key] = value

    return change


def field(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        fields[key] = value

    return change


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "another schema": field("schema", "dff-onnx/evaluation/2"),
    "parts": field("kind", "parts"),
    "kind of a list": field("kind", [1]),
    "no data set": field("dataset", None),
    "terminal escape": field("dataset", "\x1b[2J"),
    "no pictures": field("images", []),
    "pictures of text": field("images", "abc"),
    "picture of text": field("images", ["abc"]),
    "no systems": field("systems", []),
    "a system twice": field("systems", [{"name": "plain"}, {"name": "plain"}]),
    "another system": image("system", "crf"),
    "negative": image("inter", -1),
    "boolean count": image("union", True),
    "fraction": image("inter", 0.5),
    "huge": image("union", 2**60),
    "inter above union": image("inter", 11),
    "inter alone": image("union", None),
    "no truth": image("truth", None),
    "hit of text": image("hit", "yes"),
    "hit of one": image("hit", 1),
    "path of a number": image("path", 7),
    "empty group": image("group", ""),
    "twice": lambda fields: fields["images"].append(copy.deepcopy(fields["images"][0])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_is_refused_with_the_file_named(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", made({"plain": [True, False]}))
    fields = json.loads(path.read_text())
    read_figures(path)
    HOSTILE[name](fields)
    path.write_text(json.dumps(fields))
    with pytest.raises(RefusedError, match=r"a\.json") as caught:
        read_figures(path)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"schema": NaN}', b"1" * 5000]
)
def test_damaged_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(RefusedError, match=r"a\.json"):
        read_figures(tmp_path / "a.json")


@tiers("mutated evaluations", 0.5)
def test_mutated_figures_are_compared_or_refused_and_nothing_else(cases: range, tmp_path: Path) -> None:
    good = written(tmp_path / "a.json", made({"plain": [True, False, True], "crf": [True, True, False]}))
    whole, path = read_figures(good), tmp_path / "b.json"
    data = good.read_bytes()

    def judge(number: int, rng: np.random.Generator) -> str:
        tree = json.dumps(mutated_tree(json.loads(data), rng)).encode() if number % 2 else b""
        path.write_bytes(tree or mutated(data, rng))
        try:
            found = read_figures(path)
        except RefusedError as error:
            assert str(path) in str(error)
            return "refused"
        try:
            text = comparison_text(compare(whole, found))
            assert all(line.isprintable() for line in text.splitlines())
        except (RefusedError, UsageError) as error:
            assert str(path) in str(error)
        return "read"

    found = each(cases, judge)
    assert found["read"] > 0 and len(cases) / 3 < found["refused"]
