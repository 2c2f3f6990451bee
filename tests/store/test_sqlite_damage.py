"""Flipped bytes, and what deletion leaves behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from made_entries import entry, held, identity_of
from torture_tier import each, tiers

from dff_onnx.errors import DffError, OutputError, StoreError
from dff_onnx.store import Entry, SqliteStore, Stamp


@pytest.fixture
def filled(path: Path) -> Path:
    with SqliteStore.write(path, identity_of(dimensions=64), 64) as store:
        store.put([entry(f"{n:03}.jpg", regions=n % 3, dimensions=64) for n in range(300)])
    return path


def look(path: Path) -> tuple[object, tuple[str, ...]]:
    """What a file holds, and what the check says; only our errors may leave it."""
    with SqliteStore.open(path) as store:
        problems = store.check()
        try:
            return held(store), problems
        except (DffError, AssertionError, KeyError):
            return None, problems


@tiers("mutated indexes")
def test_a_flipped_bit_is_found_or_harms_nothing(cases: range, filled: Path) -> None:
    whole = filled.read_bytes()
    contents, problems = look(filled)
    assert problems == ()

    def judge(_: int, rng: np.random.Generator) -> str:
        bad = bytearray(whole)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        filled.write_bytes(bad)
        try:
            now, problems = look(filled)
        except (StoreError, OutputError):
            return "refused"
        assert problems or now == contents
        return "found" if problems else "harmless"

    found = each(cases, judge)
    assert found["refused"] + found["found"] > len(cases) / 4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "UPDATE image_blocks SET vectors = zeroblob(length(vectors)) WHERE first = 65",
            "begins with id 65 is damaged",
        ),
        ("UPDATE region_blocks SET ids = 'text' WHERE first = 1", "begins with id 1 is damaged"),
        ("UPDATE image_blocks SET first = 60 WHERE first = 65", "ids out of order"),
        ("DELETE FROM image_blocks WHERE first = 65", "its images do not agree, from id 129"),
        ("DELETE FROM image_blocks WHERE first = 257", "some of its images have no vector"),
        ("UPDATE images SET path = CAST('other.jpg' AS BLOB) WHERE id = 9", "image with id 9 or one of its regions"),
        ("UPDATE images SET label = 'x' WHERE id = 9", "image with id 9 or"),
        ("UPDATE regions SET x1 = x1 + 1 WHERE id = 1", "image with id 2 or one of its regions is damaged"),
        ("DELETE FROM regions WHERE id = 1", "image with id 2 or one"),
        ("UPDATE regions SET image = 3000 WHERE id = 1", "regions of an image with id 3000 have no image"),
        ("DELETE FROM images WHERE id = 2", "regions of an image with id 2 have no image"),
        ("DELETE FROM images WHERE id = 1", "vectors of its images and its images do not agree"),
        ("INSERT INTO about VALUES ('attached x', x'00', 1)", "says about its attached x is damaged"),
        ("UPDATE about SET value = x'31' WHERE name = 'state'", "says about its state is damaged"),
        ("DELETE FROM about WHERE name = 'state'", "does not say in what state"),
        ("UPDATE images SET path = 'a.jpg' WHERE id = 9", "image with id 9 or one of its regions"),
    ],
)
def test_what_was_altered_is_found(filled: Path, change: str, why: str) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(change)
    connection.commit()
    connection.close()
    with SqliteStore.open(filled) as store:
        problems = store.check()
    assert any(why in problem for problem in problems)


def test_a_damaged_block_never_gets_into_an_answer(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE image_blocks SET vectors = zeroblob(length(vectors)) WHERE first = 65")
    connection.commit()
    connection.close()
    with SqliteStore.open(filled) as store:
        for read in (lambda: list(store.blocks("images")), lambda: store.vectors("images", [70])):
            with pytest.raises(StoreError, match=r"index\.db: the block of vectors that begins with id 65 is damaged"):
                read()
        assert store.vectors("images", [1]).shape == (1, 64)


def test_a_path_that_leads_out_of_the_folder_is_not_given_out(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE images SET path = CAST('a/../../b' AS BLOB) WHERE id = 9")
    connection.commit()
    connection.close()
    with SqliteStore.open(filled) as store:
        for read in (store.stamps, lambda: store.images([9])):
            with pytest.raises(StoreError, match=r"holds the path b'a/\.\./\.\./b', which is none below a folder"):
                read()


def test_nothing_of_what_was_deleted_stays_in_the_file(path: Path) -> None:
    secret = np.frombuffer(b"secretly" * 128, np.float16)
    words = (b"secretly", b"hidden-name", b"hidden-mark", b"hidden-label")
    with SqliteStore.write(path, identity_of(dimensions=512), 64) as store:
        store.put([entry(f"{n:03}.jpg", dimensions=512) for n in range(100)])
        hidden = Stamp(1, "hidden-mark")
        store.put([Entry("hidden-name.jpg", hidden, secret, secret[None], [secret_box()], [1.0], "hidden-label")])
        store.put([entry(f"{n:03}.jpg", dimensions=512) for n in range(100, 200)])
        assert all(word in everything(path) for word in words)
        store.delete(["hidden-name.jpg"])
        assert store.check() == ()
    assert not any(word in everything(path) for word in words)


def secret_box():
    from dff_onnx.records import Box

    return Box(1, 2, 3, 4)


def everything(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob("index.db*")))


def test_deleting_and_adding_again_compacts_to_the_blocks_of_a_new_index(path: Path) -> None:
    entries = [entry(f"{n:03}.jpg", regions=2) for n in range(300)]
    with (
        SqliteStore.write(path, identity_of(), 64) as store,
        SqliteStore.write(path.with_name("new.db"), identity_of(), 64) as new,
    ):
        store.put(entries)
        store.delete([e.path for e in entries[::2]])
        store.put(entries[::2])
        store.compact()
        new.put(entries[1::2] + entries[::2])
        for kind in ("images", "regions"):
            ours, theirs = list(store.blocks(kind)), list(new.blocks(kind))
            assert [block.vectors.tolist() for block in ours] == [block.vectors.tolist() for block in theirs]
        size = path.stat().st_size
        store.put(entries)
        store.put(entries)
        store.compact()
        assert path.stat().st_size <= size


def test_small_batches_leave_few_blocks(path: Path) -> None:
    with SqliteStore.write(path, identity_of(), 64) as store:
        for n in range(300):
            store.put([entry(f"{n:03}.jpg")])
            sizes = [len(block.ids) for block in store.blocks("images")]
            assert sum(sizes) == n + 1 and len(sizes) <= n // 64 + 7 and max(sizes) <= 64


def test_compacting_fills_every_block_but_the_last(path: Path) -> None:
    with SqliteStore.write(path, identity_of(), 64) as store:
        store.put([entry(f"{n:03}.jpg") for n in range(640)])
        store.delete([f"{n:03}.jpg" for n in range(200, 640, 7)])
        left = store.counts().images
        store.compact()
        sizes = [len(block.ids) for block in store.blocks("images")]
        assert sizes == [64] * (left // 64) + [left % 64] and store.check() == ()
