"""Two evaluations of retrieval side by side, query by query."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated, mutated_tree
from torture_tier import each, tiers

from dff_onnx.cli import main
from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation import (
    QueryScore,
    RetrievalFigures,
    compare_retrieval,
    paired_difference,
    read_retrieval,
    retrieval_comparison_text,
    retrieval_json,
    retrieval_tables,
)
from dff_onnx.evaluation.scores import SystemUsed


def made(
    aps: dict[str, list[float | None]], dataset: str = "set", positives: int = 3, protocols: tuple[str, ...] = ("one",)
) -> RetrievalFigures:
    """A query for each figure; None has nothing to find."""
    scores = tuple(
        QueryScore(name, protocol, f"q{i}", 0 if ap is None else positives, ap, (ap,) * 3)
        for name, each in aps.items()
        for protocol in protocols
        for i, ap in enumerate(each)
    )
    systems = tuple(SystemUsed(name, name, {"kind": name, "size": 320}) for name in aps)
    return RetrievalFigures(dataset, 9, protocols, systems, {"layer": "x"}, "cpu", scores)


def written(path: Path, figures: RetrievalFigures) -> Path:
    path.write_text(retrieval_json(figures, retrieval_tables(figures)))
    return path


def drawn(n: int, seed: int) -> list[float | None]:
    return np.random.default_rng(seed).uniform(0, 1, n).round(3).tolist()


def test_the_difference_is_that_of_the_queries_that_both_have(tmp_path: Path) -> None:
    first, second = drawn(14, 0), drawn(10, 1)
    one, other = made({"mac": first}), made({"mac": second})
    found = compare_retrieval(
        read_retrieval(written(tmp_path / "a.json", one)), read_retrieval(written(tmp_path / "b.json", other))
    )
    (result,) = found.results
    assert (found.common, found.only_a, found.only_b) == (10, 4, 0)
    assert result.a.estimate == pytest.approx(np.mean(first[:10])) and result.b.estimate == pytest.approx(
        np.mean(second)
    )
    assert result.apart == paired_difference(one.of("mac", "one"), other.of("mac", "one"))
    text = retrieval_comparison_text(found)
    assert "set: 10 queries in both; left out: 4 only in the first" in text
    assert f"difference {100 * (np.mean(second) - np.mean(first[:10])):+.2f} (" in text
    assert max(map(len, text.splitlines()[2:])) <= 80


def test_every_protocol_and_shared_system_is_compared_and_queries_without_positives_are_not(tmp_path: Path) -> None:
    a = made({"mac": [0.2, None, 0.4], "dff": [0.5, None, 0.7]}, protocols=("easy", "hard"))
    b = made({"dff": [0.6, None, 0.7], "gem": [0.1, None, 0.1]}, protocols=("easy", "hard"))
    found = compare_retrieval(
        read_retrieval(written(tmp_path / "a.json", a)), read_retrieval(written(tmp_path / "b.json", b))
    )
    assert [(one.system_a, one.protocol, one.apart.queries) for one in found.results] == [
        ("dff", "easy", 2),
        ("dff", "hard", 2),
    ]
    assert found.results[0].apart.interval.estimate == pytest.approx(0.05)


def test_other_data_and_unclear_systems_are_refused(tmp_path: Path) -> None:
    a = read_retrieval(written(tmp_path / "a.json", made({"mac": [0.2], "dff": [0.3]})))
    for figures, error, said in (
        (made({"mac": [0.2]}, "other"), RefusedError, "is of 'set' and .* of 'other'"),
        (made({"mac": [0.2]}, positives=4), RefusedError, "q0 has 3 pictures to find in one and 4"),
        (made({"mac": [None]}), RefusedError, "pictures to find|no query in common"),
        (made({"gem": [0.2]}), UsageError, "share no system"),
    ):
        with pytest.raises(error, match=said):
            compare_retrieval(a, read_retrieval(written(tmp_path / "b.json", figures)))
    with pytest.raises(UsageError, match="has no 'crow'"):
        compare_retrieval(a, a, "crow")


def test_the_command_takes_either_kind_and_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(*words: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["dff-onnx", "eval", "compare", *map(str, words)])
        with pytest.raises(SystemExit) as found:
            main()
        seen = capsys.readouterr()
        return found.value.code, seen.out + seen.err

    a = written(tmp_path / "a.json", made({"mac": [0.2, 0.3]}))
    b = written(tmp_path / "b.json", made({"dff": [0.4, 0.5]}))
    code, out = ended(a, b)
    assert code == 0 and "difference +20.00" in out and "mac/dff.kind" in out
    code, out = ended(a, b, "--json")
    assert code == 0 and json.loads(out)["results"][0]["system_b"] == "dff"
    fields = json.loads(a.read_text())
    (tmp_path / "c.json").write_text(json.dumps({**fields, "kind": "parts"}))
    code, out = ended(tmp_path / "c.json", a)
    assert code == 5 and "coseg, corloc and retrieval can be compared" in out
    code, out = ended(a, tmp_path / "c.json")
    assert code == 5 and "holds no figures of retrieval" in out


@tiers("mutated evaluations", 0.5)
def test_mutated_figures_of_retrieval_are_compared_or_refused_and_nothing_else(cases: range, tmp_path: Path) -> None:
    good = written(tmp_path / "a.json", made({"mac": [0.2, None, 0.4], "dff": [0.5, None, 0.7]}))
    whole, path = read_retrieval(good), tmp_path / "b.json"
    data = good.read_bytes()

    def judge(number: int, rng: np.random.Generator) -> str:
        tree = json.dumps(mutated_tree(json.loads(data), rng)).encode() if number % 2 else b""
        path.write_bytes(tree or mutated(data, rng))
        try:
            found = read_retrieval(path)
        except RefusedError as error:
            assert str(path) in str(error)
            return "refused"
        try:
            assert all(
                line.isprintable() for line in retrieval_comparison_text(compare_retrieval(whole, found)).splitlines()
            )
        except (RefusedError, UsageError) as error:
            assert str(path) in str(error)
        return "read"

    found = each(cases, judge)
    assert found["read"] > 0 and len(cases) / 3 < found["refused"]
