"""Files that are no index, places where none can be, and what is said then."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
from pathlib import Path

import pytest
from made_entries import entry, held, identity_of, written_down

from dff_onnx.errors import OutputError, StoreError, UsageError
from dff_onnx.store import SqliteStore, schema


@pytest.fixture
def filled(path: Path) -> Path:
    with SqliteStore.write(path, identity_of(), 64) as store:
        store.put([entry(f"{n:03}.jpg", regions=n % 3) for n in range(300)])
    return path


def refusal(path: Path) -> str:
    """What both doors say: the same."""
    with pytest.raises(StoreError) as read:
        SqliteStore.open(path)
    with pytest.raises(StoreError) as written:
        SqliteStore.write(path, identity_of())
    assert str(read.value) == str(written.value) and "\n" not in str(read.value)
    assert str(read.value).startswith(str(path))
    return str(read.value)


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.db: there is no such file; give an index that `dff-onnx index` made"):
        SqliteStore.open(tmp_path / "no.db")
    for door in (lambda: SqliteStore.open(tmp_path), lambda: SqliteStore.write(tmp_path, identity_of())):
        with pytest.raises(UsageError, match="is a folder"):
            door()
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_for_a_new_index(tmp_path: Path) -> None:
    SqliteStore.write(tmp_path / "a" / "b" / "x?y#z%20.db", identity_of()).close()
    assert SqliteStore.open(tmp_path / "a" / "b" / "x?y#z%20.db").counts().images == 0


def test_a_closed_index_is_one_file(filled: Path) -> None:
    assert {file.name for file in filled.parent.iterdir()} == {"index.db", "index.db.lock"}


def test_files_of_others_are_refused_and_left_as_they_are(path: Path) -> None:
    for content in (b"x", b"a short text" * 20, b"not a database" * 1000, b"\xff\xd8\xff\xe0" + bytes(5000)):
        path.write_bytes(content)
        assert "not even a SQLite file" in refusal(path)
        assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    content = path.read_bytes()
    assert "SQLite file of another program (application id 0x0)" in refusal(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("PRAGMA user_version=2", "index of version 2, and this program reads version 1"),
        ("PRAGMA application_id=7", "another program"),
        ("CREATE TABLE more (x)", "other tables than an index has"),
        ("CREATE TRIGGER bad AFTER INSERT ON images BEGIN DELETE FROM images; END", "other tables"),
        ("DROP TABLE regions", "other tables"),
        ("DELETE FROM about", "has no identity"),
        ("UPDATE about SET value = x'7b7d' WHERE name = 'identity'", "says about its identity is damaged"),
        ("UPDATE about SET value = 7 WHERE name = 'identity'", "says about its identity is damaged"),
    ],
)
def test_an_index_that_somebody_altered_is_refused(filled: Path, change: str, why: str) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute(change)
    connection.close()
    assert why in refusal(filled)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "[" * 10_000, '{"format": "dff-onnx/index/9"}', '{"format": "dff-onnx/index/1"}']
)
def test_an_identity_that_cannot_be_is_refused(filled: Path, text: str) -> None:
    with sqlite3.connect(filled) as connection:
        schema.write_about(connection, "identity", text.encode())
    connection.close()
    assert "its identity cannot be read" in refusal(filled)


def test_an_empty_file_is_no_index_yet_but_can_become_one(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="holds nothing at all"):
        SqliteStore.open(path)
    SqliteStore.write(path, identity_of()).close()
    assert SqliteStore.open(path).check() == ()


def test_a_file_that_was_cut_off_is_refused(filled: Path) -> None:
    whole = filled.read_bytes()
    for share in (0.02, 0.2, 0.5, 0.9, 0.99):
        filled.write_bytes(whole[: int(share * len(whole))])
        assert f"was cut off: it has {int(share * len(whole))} of its {len(whole)} bytes" in refusal(filled)


def test_a_file_cut_off_in_its_header_is_refused(filled: Path) -> None:
    whole = filled.read_bytes()
    for size in (1, 16, 99):
        filled.write_bytes(whole[:size])
        assert "not even a SQLite file" in refusal(filled)


def test_a_locked_file_is_told_of(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "PATIENCE", 0.05)
    other = sqlite3.connect(filled, isolation_level=None)
    with SqliteStore.write(filled, identity_of()) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match=r"index\.db: another program holds it locked; end that program"):
            store.put([entry("new.jpg")])
        other.execute("ROLLBACK")
        store.put([entry("new.jpg")])
    other.close()


def test_a_full_disk_is_told_of_and_what_was_committed_stays(filled: Path) -> None:
    with SqliteStore.write(filled, identity_of(), 64) as store:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(OutputError, match=r"index\.db: the disk is full; make room"):
            store.put([entry(f"more{n:05}.jpg", regions=3) for n in range(3000)])
        assert store.check() == ()
    with SqliteStore.open(filled) as store:
        assert held(store) == written_down([entry(f"{n:03}.jpg", regions=n % 3) for n in range(300)])


def test_a_disk_that_fills_while_images_come_keeps_every_batch_before(small_disk: Path) -> None:
    path = small_disk / "index.db"
    entries = [entry(f"{n:05}.jpg", dimensions=512) for n in range(8192)]
    done = 0
    store = SqliteStore.write(path, identity_of(dimensions=512))
    with pytest.raises(OutputError, match="the disk is full"):
        for done in range(0, 8192, 512):
            store.put(entries[done : done + 512])
    store.close()
    with SqliteStore.open(path) as store:
        assert store.counts().images == done > 0 and store.check() == ()


def test_a_disk_without_room_for_the_lock_is_told_of(small_disk: Path) -> None:
    with pytest.raises(OSError), (small_disk / "others").open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
    with pytest.raises(OutputError, match=r"index\.db: cannot be written: index\.db\.lock beside it: No space left"):
        SqliteStore.write(small_disk / "index.db", identity_of())


@pytest.fixture
def small_disk(tmp_path: Path):
    """Four megabytes, where the system lets us have a disk of our own."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a small disk (root)")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_an_index_can_be_read_where_nothing_can_be_written(filled: Path) -> None:
    with read_only(filled.parent):
        with SqliteStore.open(filled) as store:
            assert store.counts().images == 300 and store.check() == ()
        with pytest.raises(OutputError, match=r"index\.db.*cannot be written"):
            SqliteStore.write(filled, identity_of())


class read_only:  # noqa: N801
    """A folder that cannot be written: by permissions, or by a mount where we are root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = False

    def __enter__(self) -> None:
        if os.geteuid():
            self.folder.chmod(0o555)
            return
        folder = str(self.folder)
        self.mounted = not subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode
        if (
            not self.mounted
            or subprocess.run(["mount", "-o", "remount,bind,ro", folder], capture_output=True).returncode
        ):
            self.__exit__()
            pytest.skip("root may write everywhere, and may not mount here")

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=True)
        self.folder.chmod(0o755)


def test_an_index_that_was_left_half_made_is_said_to_be_and_can_be_made(path: Path, tmp_path: Path) -> None:
    """The journal of the first transaction says that there were no pages before it."""
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE half (made)")
    other.commit()
    other.close()
    path.write_bytes((tmp_path / "other.db").read_bytes())
    journal = bytes.fromhex("d9d505f920a163d7") + struct.pack(">5I", 0, 1, 0, 512, 4096)
    path.with_name(path.name + "-journal").write_bytes(journal.ljust(512, b"\0"))
    with pytest.raises(StoreError, match=r"index\.db: was left half made by a command that was ended; run"):
        SqliteStore.open(path)
    assert SqliteStore.is_missing(path)
    with SqliteStore.write(path, identity_of()) as store:
        store.put([entry("a.jpg")])
        assert store.check() == ()
