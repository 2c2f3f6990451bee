"""Retrieval's tables and files: measured beside published, written and read back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation import (
    QueryScore,
    RetrievalFigures,
    claimed,
    published_retrieval,
    read_retrieval,
    retrieval_identity,
    retrieval_json,
    retrieval_markdown,
    retrieval_plot,
    retrieval_tables,
    retrieval_terminal,
    write_folder,
)
from dff_onnx.evaluation.published_retrieval import ROWS
from dff_onnx.evaluation.scores import SystemUsed
from dff_onnx.report.found import Failure

FINGERPRINT = {"model_sha256": "0123456789abcdef" * 4, "layer": "relu5_4", "preprocessing": {}}
APS = {"R-MAC": [1.0, 0.5, 0.25, None], "DFF | k=4": [1.0, 0.75, 0.5, None]}


def made(dataset: str = "ROxford5k", protocols: tuple[str, ...] = ("easy", "medium")) -> RetrievalFigures:
    scores = [
        QueryScore(system, protocol, f"q{at}", 0 if ap is None else 2, ap, (ap, ap and ap / 2, ap and ap / 4))
        for system, aps in APS.items()
        for protocol in protocols
        for at, ap in enumerate(aps)
    ]
    systems = tuple(SystemUsed(name, f"{name} pooled", {"k": 4}) for name in APS)
    failures = (Failure("jpg/bad.jpg", "is empty"),)
    return RetrievalFigures(dataset, 4993, protocols, systems, FINGERPRINT, "cpu", tuple(scores), failures, ("a note",))


def test_a_row_has_means_over_the_queries_that_count_and_its_distance_to_the_first() -> None:
    easy, medium = retrieval_tables(made())
    first, second = easy.rows
    assert (easy.protocol, easy.queries) == ("easy", 3)
    assert first.mean == pytest.approx(1.75 / 3) and second.mean == pytest.approx(2.25 / 3)
    assert first.precisions == pytest.approx((1.75 / 3, 1.75 / 6, 1.75 / 12))
    assert first.interval is not None and 0.25 <= first.interval.low < first.mean < first.interval.high <= 1
    assert first.difference is None and second.difference is not None
    assert second.difference.interval.estimate == pytest.approx(1 / 6) and second.difference.queries == 3
    assert [row.source for row in medium.rows] == ["measured", "measured", "published", "published"]


def test_published_rows_stand_only_where_set_and_protocol_are_theirs() -> None:
    gem = retrieval_tables(made())[1].rows[2:]
    assert [(row.name, row.mean) for row in gem] == [("GeM VGG16", 0.609), ("GeM ResNet101", 0.654)]
    assert all(row.interval is None and row.difference is None and row.origin for row in gem)
    assert not published_retrieval("ROxford5k", "easy") and not published_retrieval("my pictures", "classic")
    assert [len(table.rows) for table in retrieval_tables(made("jpg"))] == [2, 2]


def test_published_figures_are_those_of_their_sources() -> None:
    named = {(row.name, row.source): row for row in ROWS}
    assert len(named) == len(ROWS) and {row.tag for row in ROWS} == {"read", "code", "recalled"}
    rmac = [row.figures["Oxford5k", "classic"] for row in ROWS if row.name.startswith("R-MAC VGG")]
    assert rmac == [66.9, 77.7, 85.4, 85.7]
    by_set = {name: len(published_retrieval(name, "classic")) for name in ("Oxford5k", "Paris6k", "Holidays", "INSTRE")}
    assert by_set == {"Oxford5k": 27, "Paris6k": 14, "Holidays": 2, "INSTRE": 18}
    # The talk's R-MAC is that of the paper on diffusion.
    read = next(row for row in ROWS if row.name == "R-MAC" and row.tag == "read")
    recalled = next(row for row in ROWS if row.name == "R-MAC VGG, kNN")
    assert all(recalled.figures[key] == figure for key, figure in read.figures.items())
    assert all("not read again" in row.origin for row in ROWS if row.tag == "recalled")
    assert all(0 < figure < 100 for row in ROWS for figure in row.figures.values())


def test_the_terminal_shows_all_in_eighty_columns() -> None:
    text = retrieval_terminal(made(), retrieval_tables(made()))
    lines = text.splitlines()
    assert lines[0] == "ROxford5k: 4 queries, 4993 pictures, 1 could not be used"
    assert lines[1] == "device cpu; in per cent"
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["easy,", "3", "queries", "mAP", "mP@1", "mP@5", "mP@10"] for line in lines)
    assert any(line.split() == ["R-MAC", "measured", "58.33", "58.33", "29.17", "14.58"] for line in lines)
    assert any(line.split() == ["GeM", "VGG16", "published", "60.9", "-", "-", "-"] for line in lines)
    assert "+16.67 (" in text and ", against R-MAC" in text
    assert lines[-1].startswith("published: Radenovic")


def test_markdown_escapes_names_and_has_as_many_cells_in_each_row() -> None:
    text = retrieval_markdown(made(), retrieval_tables(made()))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {10}
    assert "DFF \\| k=4" in text and "Layer relu5\\_4 of model 0123456789ab, device cpu" in text
    assert "- a note" in text and "Published: Radenovic" in text
    assert "Device cpu" in retrieval_markdown(replace(made(), fingerprint=None), ())


def test_the_plot_is_svg_with_a_bar_for_each_system() -> None:
    root = ElementTree.fromstring(retrieval_plot(made(), retrieval_tables(made())))
    text = "".join(root.itertext())
    assert "easy" in text and "medium" in text and "DFF | k=4" in text


def test_nothing_to_find_is_no_figure() -> None:
    figures = made()
    none = replace(
        figures, scores=tuple(replace(one, positives=0, ap=None, precisions=(None,) * 3) for one in figures.scores)
    )
    tables = retrieval_tables(none)
    assert tables[0].queries == 0 and math.isnan(tables[0].rows[0].mean) and tables[0].rows[1].difference is None
    assert json.loads(retrieval_json(none, tables))["tables"][0]["rows"][0]["mean"] is None
    for text in (retrieval_terminal(none, tables), retrieval_markdown(none, tables)):
        assert "nan" not in text
    ElementTree.fromstring(retrieval_plot(none, tables))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    figures, tables = made(), retrieval_tables(made())
    identity = retrieval_identity(figures.dataset, figures.fingerprint, figures.systems)
    text = retrieval_json(figures, tables)
    with claimed(tmp_path, identity, overwrite=False):
        write_folder(tmp_path, text, retrieval_markdown(figures, tables), retrieval_plot(figures, tables))
    found = read_retrieval(tmp_path)
    assert found.scores == figures.scores and found.dataset == "ROxford5k" and found.protocols == ("easy", "medium")
    assert found.systems == tuple(APS) and found.fingerprint["layer"] == "relu5_4"
    assert found.settings["R-MAC"]["k"] == 4 and found == read_retrieval(tmp_path / "figures.json")
    assert found.of("R-MAC", "easy") == figures.of("R-MAC", "easy")
    with claimed(tmp_path, identity, overwrite=False):  # the same again
        pass
    other = retrieval_identity("RParis6k", figures.fingerprint, figures.systems)
    with pytest.raises(UsageError, match=r"ROxford5k.*there, .*RParis6k.*now"), claimed(tmp_path, other, False):
        pass
    assert retrieval_json(figures, tables) == text


def with_query(**changes: Any) -> Any:
    def change(fields: Any) -> None:
        fields["queries"][0] |= changes

    return change


CHANGES: dict[str, tuple[Any, str]] = {
    "another kind": (lambda f: f.update(kind="coseg"), "holds no figures of retrieval"),
    "another schema": (lambda f: f.update(schema="x"), "is no dff-onnx/evaluation/1"),
    "no list of protocols": (lambda f: f.update(protocols="easy"), "protocols are no list of names"),
    "an unknown protocol": (with_query(protocol="hard"), "do not belong together"),
    "an unknown system": (with_query(system="x"), "do not belong together"),
    "a query twice": (lambda f: f["queries"].append(f["queries"][0]), "has a query twice"),
    "no query": (lambda f: f.update(queries=[]), "do not belong together"),
    "queries that are none": (lambda f: f.update(queries=[1]), "queries are no list of tables"),
    "a score above one": (with_query(ap=1.5), "no number from 0 to 1"),
    "a huge score": (with_query(ap=10**400), "no number from 0 to 1"),
    "a flag for a score": (with_query(ap=True), "no number from 0 to 1"),
    "a score without positives": (with_query(positives=0), "a score and nothing to find"),
    "positives without a score": (with_query(ap=None), "a score and nothing to find"),
    "negative positives": (with_query(positives=-1), "no whole number from 0"),
    "a precision less": (with_query(precisions=[1.0]), "precisions are no list of 3"),
    "a name that a terminal obeys": (with_query(query="\x1b[2J"), "a query is no printable text"),
    "a system twice": (lambda f: f["systems"].append(f["systems"][0]), "do not belong together"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_file_that_says_what_cannot_be_is_refused(case: str, tmp_path: Path) -> None:
    change, said = CHANGES[case]
    fields = json.loads(retrieval_json(made(), retrieval_tables(made())))
    change(fields)
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(RefusedError, match=said) as caught:
        read_retrieval(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_retrieval(tmp_path)
    (tmp_path / "figures.json").write_text(retrieval_json(made(), retrieval_tables(made()))[:-100])
    with pytest.raises(RefusedError, match="is damaged"):
        read_retrieval(tmp_path)
