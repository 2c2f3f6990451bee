"""Adds a thousand images in batches, those that are not there yet: what `kill -9` hits."""

from __future__ import annotations

import sys

from made_entries import entry, identity_of

from dff_onnx.store import SqliteStore


def tell(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main(path: str, count: int, batch: int) -> None:
    with SqliteStore.write(path, identity_of(), 64) as store:
        there = store.stamps()
        todo = [name for name in (f"{n:05}.jpg" for n in range(count)) if name not in there]
        tell("ready")
        for start in range(0, len(todo), batch):
            store.put([entry(name, regions=int(name[:5]) % 3) for name in todo[start : start + batch]])
            tell(str(start + batch))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
