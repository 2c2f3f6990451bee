"""File names made to break what is made of them, through a whole run."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_backbone import Colours
from made_pictures import picture
from torture_tier import row

from dff_onnx.files import printable
from dff_onnx.images import Resize
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

RAW = (
    b'double"quote.png', b"single'quote.png", b"<script>alert(1)<.png", b"&amp;<b>.png", b"new\nline.png",
    b"tab\t.png", b"\x01\x1b[2J.png", b"carriage\r.png", "\u202egpj.exe.png".encode(), "\u2028line.png".encode(),
    b"\xff\xfe.png", b"caf\xe9.png", b"=cmd()|' C calc'!A0.png", b"+1.png", b"-rf.png", b"@sum.png",
    b"%s{0}$HOME`id`.png", b"back\\slash.png", b" space.png ", b"a;rm -rf ~.png", b"x" * 251 + b".png",
    "é.png".encode(), "e\u0301.png".encode(), b"twin.png", b"TWIN.png", b"twin.PNG", b"twin.jpg", b"twin.png.png",
    b"%2e%2e%2f.png", b"javascript:alert(1).png", b"--output.png", b"]]>.png", b"con.png", "日本語.png".encode(),
)  # fmt: skip
SETTINGS = Settings(k=2, resize=Resize("square", 64))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A run over every name at once, all of them of equal pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    data = io.BytesIO()
    picture(0).save(data, "PNG")
    for name in RAW:
        (folder / os.fsdecode(name)).write_bytes(data.getvalue())
    run(folder, tmp_path / "out", Colours(), SETTINGS)
    return tmp_path / "out"


def seen() -> list[str]:
    """The names that end in a picture's suffix, in the run's order."""
    names = [name for name in RAW if not name.endswith(b" ")]
    return [printable(Path(os.fsdecode(name))) for name in sorted(names)]


@row("hostile file names", len(RAW))
def test_every_name_has_its_own_outputs_and_none_becomes_markup_or_a_formula(home: Path) -> None:
    results = json.loads((home / "results.json").read_text("utf-8"))
    images = results["images"]
    assert [image["path"] for image in images] == seen() and len(seen()) >= 20
    overlays = [home / os.fsdecode(path.relative_to(home).as_posix()) for path in (home / "overlays").rglob("*.png")]
    folded = {unicodedata.normalize("NFC", path.name).casefold() for path in overlays}
    assert len(folded) == len(overlays) == len(images)
    rows = list(csv.DictReader(io.StringIO((home / "boxes.csv").read_bytes().decode(), newline="")))
    assert {line["image"].removeprefix("'") for line in rows} <= set(seen())
    assert not [line for line in rows if line["image"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    coco = json.loads((home / "coco.json").read_text("utf-8"))
    assert {image["file_name"] for image in coco["images"]} == set(seen())
    assert not [path for path in home.rglob("*") if ".dff-" in path.name]


class Tags(HTMLParser):
    """The tags of a page, and what its scripts are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_report_has_our_scripts_alone(home: Path) -> None:
    tags = Tags((home / "report.html").read_text("utf-8")).found
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [one.get("id") for one in scripts] == ["names", "data", None]
    assert not [one for one in scripts if "src" in one]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert not [tag for tag, _ in tags if tag in ("b", "img", "iframe")]
