"""The page as a file: our markup and nobody else's; names that can be changed later."""

from __future__ import annotations

import base64
import hashlib

import findings
import pytest
from pages import Parsed, island, report_with

from dff_onnx.report.page.data import budget_of, entry_of, page_of
from dff_onnx.report.page.fill import island as json_of
from dff_onnx.report.page.fill import page, renamed
from dff_onnx.report.page.layout import layout_of

HOSTILE = ("</script><script>alert(1)</script>", "<!--", "<script", "]]>", "{{data}}", "\u2028\u2029", "&lt;", '"', "é")


def hostile_page() -> bytes:
    report = report_with(findings.CLASS_MAPS, title="</title><script>alert(2)</script>")
    layout = layout_of(report)
    budget = budget_of(report, layout)
    entries = {
        i: entry_of(report, i, None, f"overlays/{path}", budget) for i, path in enumerate(findings.HOSTILE_PATHS)
    }
    return page_of(report, layout, 0, entries)


def bare(**data: object) -> bytes:
    return page({"title": "t", **data}, [[None, None], [None, None, None]])


def test_hostile_names_stay_text_and_only_our_scripts_are_in_the_page() -> None:
    parsed, plain = Parsed(hostile_page()), Parsed(bare())
    assert [tag for tag, _ in parsed.elements] == [tag for tag, _ in plain.elements]
    kinds = [attributes.get("type") for tag, attributes in parsed.elements if tag == "script"]
    assert kinds == ["application/json", "application/json", None]
    assert parsed.texts["title"][0].startswith("</title><script>alert(2)</script>")
    assert parsed.texts["script"][2] == plain.texts["script"][2]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_island_holds_a_character_that_could_begin_or_end_markup(text: str) -> None:
    assert not set(json_of([text])) & set("<>&\n\u2028\u2029")


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_through_both_islands(text: str) -> None:
    made = page({"title": text, "note": text}, [[text]])
    assert island(made, "names") == [[text]] and island(made, "data")["note"] == text
    assert len(Parsed(made).elements) == len(Parsed(bare()).elements)


def test_the_policy_names_the_style_and_the_script_that_stand_there_and_nothing_else() -> None:
    parsed = Parsed(hostile_page())
    (policy,) = [a["content"] for tag, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for name, text in (("style-src", parsed.texts["style"][0]), ("script-src", parsed.texts["script"][2])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert rules == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}


def test_nothing_in_the_page_leads_elsewhere_or_runs_by_itself() -> None:
    for tag, attributes in Parsed(hostile_page()).elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, tag
        assert tag not in {"iframe", "object", "embed", "base"} and "src" not in attributes
        assert tag != "link" or (attributes["href"] or "").startswith("data:")


def test_new_names_change_one_line_and_nothing_else() -> None:
    before = bare(note="names")
    after = renamed(before, ["=ear", "</script>", None])
    assert after is not None and island(after, "names") == [[None, None], ["=ear", "</script>", None]]
    old, new = before.split(b"\n"), after.split(b"\n")
    assert len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 1
    assert after == page({"title": "t", "note": "names"}, [[None, None], ["=ear", "</script>", None]])
    assert renamed(after, [None] * 3) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"<html>somebody's own</html>",
        bare().replace(b'id="names"', b'id="other"'),
        bare() + b"\n" + bare(),
        bare().replace(b"[[null,null],[null,null,null]]", b"[[null,null],[null,null,3]]"),
        bare().replace(b"[[null,null],[null,null,null]]", b"[[null,null,null],[null,null,null]]"),
        bare().replace(b"[[null,null],[null,null,null]]", b"{"),
        bare().replace(b"[[null,null],[null,null,null]]", b"[" * 100_000),
        bare().replace(b"[[null,null],[null,null,null]]", b"[null,3]"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_page_of_ours_gets_no_names(content: bytes) -> None:
    assert renamed(content, ["a", "b", "c"]) is None


def test_a_level_of_another_size_gets_no_names() -> None:
    assert renamed(bare(), ["a"]) is None and renamed(bare(), list("abcd")) is None


def test_what_is_no_figure_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        page({"title": "t", "figure": float("nan")}, [])
