from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torture_tier import row

from dff_onnx.errors import NoImagesError, OutputError, UsageError
from dff_onnx.files import RUN_MARKER, is_nobodys, output_names, printable, walk_pictures, write_atomically


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_walk_is_sorted_and_goes_below_and_knows_suffixes(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "deep/er/c.webp", "notes.txt", "jpg", ".hidden.png", ".cache/d.png")
    assert [str(path) for path in walk_pictures(tmp_path)] == ["a.png", "b.JPG", "deep/er/c.webp"]


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "elsewhere/b.png")
    (tmp_path / "in" / "linked.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "folder.png").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "broken.png").symlink_to(tmp_path / "nowhere")
    assert [str(path) for path in walk_pictures(tmp_path / "in")] == ["a.png", "broken.png", "linked.png"]


def test_earlier_runs_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/overlays/a.png", "mine/b.png")
    (tmp_path / "out" / "run.toml").write_text(f"{RUN_MARKER}\n")
    (tmp_path / "mine" / "run.toml").write_text("of something else")
    assert [str(path) for path in walk_pictures(tmp_path)] == ["a.png", "mine/b.png"]


def test_a_single_file_stands_for_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    assert walk_pictures(tmp_path / "b.png") == [Path("b.png")]


def test_a_missing_and_an_empty_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        walk_pictures(tmp_path / "x")
    with pytest.raises(NoImagesError, match="holds no pictures"):
        walk_pictures(tmp_path)


@row("100 000 files listed", 100_000)
@pytest.mark.slow
def test_a_hundred_thousand_files_are_listed_within_a_second(tmp_path: Path) -> None:
    for number in range(100_000):
        os.close(os.open(tmp_path / f"{number}.jpg", os.O_CREAT))
    best = float("inf")
    for _ in range(3):  # the machine may be busy with other things
        started = time.process_time()
        assert len(walk_pictures(tmp_path)) == 100_000
        best = min(best, time.process_time() - started)
    assert best < 1


def test_what_ended_processes_left_makes_a_folder_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_nobodys(tmp_path / "nowhere") and is_nobodys(tmp_path)
    touch(tmp_path, ".dff-7-0123abcd.part", ".dff-resume/lock")
    assert is_nobodys(tmp_path)
    touch(tmp_path, "notes.txt")
    assert not is_nobodys(tmp_path)

    def closed(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(OutputError, match=r"cannot be listed \(Permission denied\); choose another folder with -o"):
        is_nobodys(tmp_path)


def test_a_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.bin", b"one")
    write_atomically(tmp_path / "a" / "b.bin", b"two")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"two" and names(tmp_path / "a") == ["b.bin"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync", fail) if call == "fsync" else (Path, "replace", fail)))
    with pytest.raises(OutputError, match="a: cannot be written: No space left"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_a_path_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "x", b"")


def test_outputs_clash_neither_by_suffix_nor_by_case(tmp_path: Path) -> None:
    assert tmp_path.is_dir()
    inputs = ["a.jpg", "a.png", "A.gif", "b.jpg", "d/a.jpg", "a.jpg.png", "é.png", "e\u0301.jpg", "x" * 251 + ".jpg"]
    found = [str(name) for name in output_names([Path(name) for name in inputs], ".png")]
    assert found[3] == "b.png" and found[4] == "d/a.png"
    assert len({name.casefold() for name in found}) == len(inputs)
    assert all(len(os.fsencode(Path(name).name)) <= 255 for name in found)


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=80)


@given(st.lists(NAMES, unique=True))
def test_every_input_has_its_own_output(inputs: list[str]) -> None:
    paths = [Path("folder") / name for name in inputs if name not in (".", "..")]
    found = output_names(paths, ".png")
    assert len({str(name).casefold() for name in found}) == len(paths)
    assert all(name.parts[0] == "folder" and len(name.parts) == 2 for name in found)


def test_names_that_are_no_utf8_become_text_that_json_takes(tmp_path: Path) -> None:
    assert tmp_path.is_dir()
    text = printable(Path(os.fsdecode(b"a/\xff\xfe.jpg")))
    assert text == "a/\\xff\\xfe.jpg" and json.loads(json.dumps(text)) == text
    text.encode("utf-8")


def test_a_folder_of_links_to_folders_alone_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.png").write_bytes(b"")
    (tmp_path / "here").mkdir()
    with pytest.raises(NoImagesError, match=r"here: holds no pictures \([a-z0-9 ]+\)$"):
        walk_pictures(tmp_path / "here")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "there")
    with pytest.raises(NoImagesError, match="; links to folders, such as linked, are not followed"):
        walk_pictures(tmp_path / "here")
