"""An index of the pictures of a folder, made without the command."""

from __future__ import annotations

import os
from pathlib import Path

from dff_onnx.files import walk_pictures
from dff_onnx.runs.descriptors import Describer
from dff_onnx.store import Entry, Identity, Stamp, VectorStore, write_store


def made_index(where: Path, folder: Path, describer: Describer, dtype: str = "float32") -> VectorStore:
    """Open, to be read and written; labels are the first letters of names."""
    entries = []
    for path in walk_pictures(folder):
        one = describer.describe(describer.read(folder / path))
        stamp = Stamp.of_content((folder / path).read_bytes())
        entries.append(Entry(os.fspath(path), stamp, one.vector, one.parts, one.boxes, one.scores, path.name[0]))
    identity = Identity(
        describer.activations.fingerprint,
        describer.settings.kind,
        len(entries[0].vector),
        describer.settings.to_dict(),
        dtype,  # type: ignore[arg-type]
    )
    store = write_store(where, identity)
    store.put(entries)
    return store
