"""Adds images to an index on a server, batch by batch, until somebody ends it."""

from __future__ import annotations

import sys

from made_entries import entry, identity_of

from dff_onnx.store import PostgresStore


def main(url: str) -> None:
    with PostgresStore.write(url, identity_of()) as store:
        first = len(store.stamps())
        for start in range(first, first + 100_000, 7):
            store.put([entry(f"{n:05}.jpg", regions=n % 3) for n in range(start, start + 7)])
            sys.stdout.write(f"{start + 7}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
