"""`dff-onnx objects` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_apply_command import command, network
from test_search_command import GREEN, HOSTILE, RED, Page, scene

from dff_onnx.errors import StoreError, UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of salient regions whose network lies beside it, and its pictures."""
    monkeypatch.setenv("DFF_ONNX_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    scene(folder / "red.png", (RED, 8, 8))
    scene(folder / "green.png", (GREEN, 48, 16))
    scene(folder / "both.png", (RED, 0, 48), (GREEN, 72, 0))
    scene(folder / HOSTILE, (RED, 64, 40))
    model = ["--model", network(tmp_path / "tiny.onnx"), "--mean", "0,0,0", "--std", "1,1,1", "--scale", "0.01"]
    made = command("index", folder, "-o", tmp_path / "index.db", "--descriptor", "fs-egm", *model)
    assert made.exit_code == 0, made.output
    return tmp_path


def test_a_table_is_on_stdout_the_most_central_object_first_in_80_columns(home: Path) -> None:
    words = ["objects", home / "index.db", "-o", home / "out", "--top", "3"]
    ended = subprocess.run(
        [sys.executable, "-m", "dff_onnx", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    head, *lines = ended.stdout.splitlines()
    assert head.split() == ["object", "images", "centrality", "most", "central", "in", "picture"]
    assert 1 <= len(lines) <= 3 and [line.split()[0] for line in lines] == [str(i + 1) for i in range(len(lines))]
    assert all(int(line.split()[1]) >= 2 and line.split()[3].count(",") == 3 for line in lines)
    assert all(len(line.split()[2].replace(".", "").lstrip("0")) == 3 for line in lines), ended.stdout
    central = [float(line.split()[2]) for line in lines]
    assert central == sorted(central, reverse=True)
    assert max(map(len, [head, *lines])) <= 80 and "\x1b" not in ended.stdout


def test_json_alone_is_on_stdout_and_is_what_the_folder_has(home: Path) -> None:
    words = ["objects", home / "index.db", "-o", home / "out", "--json"]
    ended = command(*words)
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told == json.loads((home / "out" / "objects.json").read_text())
    assert told["schema"] == "dff-onnx/objects/1" and told["index"]["images"] == 4
    paths = [region["path"] for one in told["objects"] for region in one["regions"]]
    assert len(set(paths)) >= 2 and all(len(one["regions"]) >= 2 for one in told["objects"])
    other = command(*words, "--top", "1")
    assert isinstance(other.exception, UsageError) and "other settings" in str(other.exception)
    assert command(*words, "--top", "1", "--overwrite").exit_code == 0


def test_the_page_has_no_script_and_shows_hostile_names_as_text(home: Path) -> None:
    assert command("objects", home / "index.db", "-o", home / "out").exit_code == 0
    text = (home / "out" / "objects.html").read_text()
    page = Page(text)
    assert "script" not in page.tags and not any(name.startswith("on") for name, _ in page.attributes)
    sources = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert len(sources) > 4 and all(source.startswith("data:") for source in sources)
    assert HOSTILE.replace("\x1b", "?") in page.text and "\x1b" not in text
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in (value or ""))
    assert "default-src 'none'" in str(policy) and "script" not in str(policy)


def test_an_index_of_what_comes_back_can_be_searched_brought_up_to_date_and_looked_at(home: Path) -> None:
    new = home / "objects.db"
    made = command("objects", home / "index.db", "-o", home / "out", "--index", new)
    assert made.exit_code == 0 and "4 added" in made.output, made.output
    red = home / "pictures" / "red.png"
    told = json.loads(command("search", new, red, "--exclude-self", "--regions", "--json").stdout)
    assert len(told["results"]) == 3 and all(one["box"] for one in told["results"])
    assert {told["results"][0]["path"], told["results"][1]["path"]} >= {"both.png"}
    again = command("index", home / "pictures", "-o", new)
    assert again.exit_code == 0 and "0 added" in again.output and "4 unchanged" in again.output
    shown = command("index-info", new, "--check")
    assert shown.exit_code == 0 and "os-egm" in shown.output
    wrong = command("objects", new, "-o", home / "other")
    assert isinstance(wrong.exception, UsageError) and "'os-egm'" in str(wrong.exception)


def test_the_index_itself_cannot_be_written_over(home: Path) -> None:
    before = (home / "index.db").read_bytes()
    ended = command("objects", home / "index.db", "-o", home / "out", "--index", home / "index.db")
    assert isinstance(ended.exception, StoreError) and "cannot be compared" in str(ended.exception)
    assert (home / "index.db").read_bytes() == before
    assert not (home / "out" / "objects.html").exists(), "refused after pictures had been drawn"


def test_pictures_that_are_gone_cost_exit_code_3(home: Path) -> None:
    for path in (home / "pictures").iterdir():
        if path.name != "both.png":
            path.unlink()
    ended = command("objects", home / "index.db", "-o", home / "out")
    assert ended.exit_code == 3 and "could not be read" in ended.output
    assert "cannot be read" in (home / "out" / "objects.html").read_text()


def test_os_egm_is_no_descriptor_that_index_can_make_alone(home: Path) -> None:
    ended = command("index", home / "pictures", "-o", home / "other.db", "--descriptor", "os-egm")
    assert ended.exit_code == 2
