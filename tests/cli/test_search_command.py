"""`dff-onnx search` as a person meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_apply_command import command, network

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import NoImagesError, StoreError, UsageError
from dff_onnx.records import Preprocessing
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.store import Entry, Identity, Stamp, open_store, write_store

RED, GREEN, BLUE = (230, 20, 20), (20, 200, 20), (30, 30, 220)
HOSTILE = "\"><img onload=alert(1)><script>\x1b[2J'&lt;.png"


def scene(path: Path, *squares: tuple[tuple[int, int, int], int, int]) -> None:
    """Squares of 40 pixels on grey."""
    pixels = np.full((96, 128, 3), 128, np.uint8)
    for colour, x, y in squares:
        pixels[y : y + 40, x : x + 40] = colour
    Image.fromarray(pixels).save(path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index whose network lies beside it, and its pictures."""
    monkeypatch.setenv("DFF_ONNX_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    scene(folder / "red.png", (RED, 8, 8))
    scene(folder / "green.png", (GREEN, 48, 16))
    scene(folder / "both.png", (RED, 0, 48), (GREEN, 72, 0))
    scene(folder / HOSTILE, (RED, 64, 40))
    scene(folder / "blue.png", (BLUE, 64, 40))
    scene(tmp_path / "query.png", (RED, 40, 16), (BLUE, 88, 48))
    model = Backbone.open(network(tmp_path / "tiny.onnx"), preprocessing=Preprocessing("NCHW", "float32", scale=0.01))
    settings = DescriptorSettings(k=3)
    describer, entries = Describer(model, settings), []
    for path in sorted(folder.iterdir()):
        one = describer.describe(describer.read(path))
        entries.append(Entry(path.name, Stamp.of_file(path), one.vector, one.parts, one.boxes, one.scores))
    identity = Identity(model.fingerprint, settings.kind, 8, settings.to_dict())
    with write_store(tmp_path / "index.db", identity) as store:
        store.put(entries)
        store.attach("folder", os.fsencode(folder))
    return tmp_path


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_list_is_on_stdout_best_first_in_80_columns(home: Path) -> None:
    words = ["search", home / "index.db", home / "query.png", "--top", "3", "--box", "40,16,80,56"]
    ended = subprocess.run(
        [sys.executable, "-m", "dff_onnx", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == 3 and [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert sum(line.endswith(("  red.png", "&lt;.png")) for line in lines[:2]) == 2
    assert max(map(len, lines)) <= 80 and "\x1b" not in ended.stdout and r"\x1b" in ended.stdout
    scores = [float(line.split()[1]) for line in lines]
    assert scores == sorted(scores, reverse=True)


def test_json_alone_is_on_stdout_and_is_what_the_folder_has(home: Path) -> None:
    words = ["search", home / "index.db", home / "query.png", "--where", "-o", home / "out", "--json"]
    ended = command(*words)
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told == json.loads((home / "out" / "results.json").read_text()) and len(told["results"]) == 5
    before = {path: path.read_bytes() for path in (home / "out").rglob("*") if path.is_file()}
    assert command(*words).exit_code == 0
    assert {path: path.read_bytes() for path in before} == before
    other = command(*words, "--top", "2")
    assert isinstance(other.exception, UsageError) and "other settings" in str(other.exception)
    another = command(*words[:2], home / "pictures" / "red.png", *words[3:])
    assert isinstance(another.exception, UsageError) and "query" in str(another.exception)
    assert command(*words, "--top", "2", "--overwrite").exit_code == 0
    assert len(list((home / "out" / "overlays").iterdir())) == 3
    with Image.open(home / "out" / "contact_sheet.png") as sheet:
        assert sheet.width == 3 * 248 + 8


def test_the_page_has_no_script_and_shows_hostile_names_as_text(home: Path) -> None:
    words = ["search", home / "index.db", home / "query.png", "--where", "-o", home / "out", "--box", "40,16,80,56"]
    assert command(*words).exit_code == 0
    text = (home / "out" / "search.html").read_text()
    page = Page(text)
    assert "script" not in page.tags and not any(name.startswith("on") for name, _ in page.attributes)
    assert page.tags.count("img") == 2 * 6 and page.tags.count("li") == 6
    sources = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert all(source.startswith("data:") for source in sources)
    assert HOSTILE.replace("\x1b", "?") in page.text and "\x1b" not in text
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in (value or ""))
    assert "default-src 'none'" in str(policy) and "script" not in str(policy)
    assert "prefers-color-scheme: dark" in text and "box 40,16,80,56" in page.text


def test_parts_are_combined_and_their_boxes_told(home: Path) -> None:
    pictures = home / "pictures"
    words = ["search", home / "index.db", pictures / "red.png", "--regions", "--json"]
    both = json.loads(command(*words, "--also", f"{pictures / 'green.png'}:48,16,88,56").stdout)
    assert both["results"][0]["path"] == "both.png" and both["also"][0]["box"] == [48, 16, 88, 56]
    without = json.loads(command(*words, "--without", pictures / "green.png", "--exclude-self").stdout)
    paths = [one["path"] for one in without["results"]]
    assert "red.png" not in paths and paths.index("both.png") > 0
    ended = command(*words[:-1])
    assert "," in ended.stdout.splitlines()[0].split()[2]
    concept = json.loads(command("search", home / "index.db", pictures / "both.png", "--concept", "1", "--json").stdout)
    assert concept["query"]["concept"] == 1 and concept["settings"]["regions"]


def test_a_graph_is_made_beforehand_and_searched_by(home: Path) -> None:
    words = ["search", home / "index.db", home / "query.png", "--json"]
    ended = command(*words, "--rerank", "fsr")
    assert isinstance(ended.exception, UsageError) and "dff-onnx index-graph" in str(ended.exception)
    made = command("index-graph", home / "index.db", "--rank", "4", "--offline", "--k", "4")
    told = "5 nodes, 4 neighbours of each"
    assert made.exit_code == 0 and told in made.stderr and "solutions beforehand" in made.stderr
    assert (home / "index.db.images.graph").is_file()
    assert command("index-graph", home / "index.db", "--of", "regions", "--graph", home / "r").exit_code == 0
    for way, more in (("diffusion", []), ("fsr", []), ("offline", []), ("regional", ["--graph", home / "r"])):
        found = json.loads(command(*words, "--rerank", way, *more).stdout)
        assert found["settings"]["rerank"] == way and found["settings"]["ranked"]["graph"] == "prepared"
        assert len(found["results"]) == 5 and found["results"][0]["score"] > 0
    assert command(*words, "--rerank", "diffusion", "-o", home / "out").exit_code == 0
    assert "diffusion, by the 5 nearest, on a graph of 5 images, prepared" in (home / "out/search.html").read_text()
    (home / "index.db.images.graph").write_bytes(b"nothing")
    damaged = command(*words, "--rerank", "diffusion")
    assert isinstance(damaged.exception, StoreError) and "index.db.images.graph" in str(damaged.exception)


def test_a_graph_is_not_written_over_its_index_or_a_file_of_another_kind(home: Path) -> None:
    (home / "notes.txt").write_text("mine")
    for name in ("index.db", "notes.txt", "pictures"):
        before = (home / name).read_bytes() if (home / name).is_file() else b""
        ended = command("index-graph", home / "index.db", "--graph", home / name)
        assert isinstance(ended.exception, UsageError) and "--graph" in str(ended.exception)
        assert not before or (home / name).read_bytes() == before


def test_a_graph_that_nobody_looks_at_is_refused_before_the_network_is_opened(home: Path) -> None:
    (home / "tiny.onnx").unlink()
    ended = command("search", home / "index.db", home / "query.png", "--graph", home / "g")
    assert isinstance(ended.exception, UsageError) and "--graph: --rerank none" in str(ended.exception)


def test_results_that_cannot_be_read_cost_exit_code_3(home: Path) -> None:
    (home / "pictures" / "red.png").write_bytes(b"nothing")
    words = ["search", home / "index.db", home / "query.png", "--where"]
    ended = command(*words, "-o", home / "out")
    assert ended.exit_code == 3 and "could not be read: red.png" in ended.stdout
    assert "cannot be read" in (home / "out" / "search.html").read_text()


@pytest.mark.parametrize("query", ["nothing.png", "text.png"])
def test_a_query_that_is_no_picture_costs_exit_code_4(home: Path, query: str) -> None:
    (home / "text.png").write_text("no picture")
    ended = command("search", home / "index.db", home / query)
    assert isinstance(ended.exception, NoImagesError) and ended.exception.exit_code == 4
    assert query in str(ended.exception) and str(ended.exception).endswith("give a picture to search for")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--box", "1,2,3"], UsageError, "--box: a box x0,y0,x1,y1"),
        (["--box", "0,0,900,900"], UsageError, "query.png: the box 0,0,900,900 is not inside its picture"),
        (["--also", "nothing.png"], NoImagesError, "nothing.png"),
        (["--without", "a.png:1,2"], UsageError, "--without: a box"),
        (["--concept", "9"], UsageError, "--concept 9"),
        (["--where", "--where-k", "1"], UsageError, "--where-k"),
        (["--folder", "nowhere"], UsageError, "nowhere"),
        (["--top", "0"], UsageError, "--top: 1 to 10000 results are possible, found 0"),
        (["--rerank", "aqe", "--rerank-with", "0"], UsageError, "--rerank-with: 1 to 10000"),
        (["--rerank", "alpha-qe", "--regions"], UsageError, "--rerank alpha-qe"),
        (["--rerank", "fsr", "--approximate"], UsageError, "--approximate"),
    ],
)
def test_mistakes_are_told_in_a_sentence(home: Path, words: list[str], error: type[Exception], message: str) -> None:
    ended = command("search", home / "index.db", home / "query.png", "-o", home / "out", *words)
    assert isinstance(ended.exception, error) and message in str(ended.exception)
    assert not (home / "out").exists()


def test_an_index_that_does_not_know_its_folder_is_told_it(home: Path) -> None:
    with write_store(home / "index.db", _identity(home)) as store:
        store.attach("folder", os.fsencode(home / "moved"))
    words = ["search", home / "index.db", home / "query.png", "--where"]
    assert isinstance(command(*words).exception, UsageError)
    assert command(*words, "--folder", home / "pictures").exit_code == 0
    (home / "empty").mkdir()
    ended = command(*words, "--folder", home / "empty")
    assert isinstance(ended.exception, UsageError) and "not one result" in str(ended.exception)
    assert isinstance(command("search", home / "query.png", home / "query.png").exception, StoreError)


def _identity(home: Path) -> Identity:
    with open_store(home / "index.db") as store:
        return store.identity
