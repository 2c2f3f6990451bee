"""A folder indexed on a server is what it is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dff_onnx import Backbone, Describer, DescriptorSettings, index_folder, index_info, open_index, plan_index
from dff_onnx import write_whitening as learn
from dff_onnx.errors import StoreError
from dff_onnx.runs.augment_index import Augmentation, augment_index
from dff_onnx.runs.opening import Opening
from dff_onnx.store import open_store
from dff_onnx.store.protocol import KINDS

EXAMPLES = Path(__file__).parents[2] / "examples" / "rodents"


def test_a_folder_on_a_server_has_the_vectors_of_one_in_a_file(server: Any, tmp_path: Path) -> None:
    network = Backbone.open(threads=1, device="cpu")
    learn(EXAMPLES, tmp_path / "w.npz", Describer(network, DescriptorSettings(size=64, k=2)), 4)
    vectors = []
    for where in (f"{server.get_uri()}&schema=folder", str(tmp_path / "index.db")):
        done = index_folder(EXAMPLES, where, network, plan_index(where, None, tmp_path / "w.npz"))
        again = index_folder(EXAMPLES, where, network)
        assert (done.added, again.unchanged, again.added) == (5, 5, 0)
        with pytest.raises(StoreError, match="descriptor: 'dff' there, 'spoc' now"):
            index_folder(EXAMPLES, where, network, plan_index(where, {"kind": "spoc"}))
        found = index_info(where, check=True)
        assert found.problems == () and found.whitening is not None and found.whitening.dimensions == 4
        with open_index(where, opening=Opening("cpu")) as opened:
            assert opened.describer.whitening is not None
            vectors.append([block.vectors.tobytes() for block in opened.store.blocks("regions")])
    assert vectors[0] == vectors[1]


def test_an_index_is_augmented_from_a_server_and_onto_one(server: Any, tmp_path: Path) -> None:
    network, file = Backbone.open(threads=1, device="cpu"), str(tmp_path / "index.db")
    index_folder(EXAMPLES, file, network, plan_index(file, {"size": 64, "k": 2}))
    on_server = f"{server.get_uri()}&schema=plain"
    index_folder(EXAMPLES, on_server, network, plan_index(on_server, {"size": 64, "k": 2}))
    vectors = []
    for source, target in ((file, f"{server.get_uri()}&schema=augmented"), (on_server, str(tmp_path / "new.db"))):
        assert augment_index(source, target, Augmentation(2)) == 5
        with open_store(target) as store:
            assert store.check() == ()
            vectors.append({kind: [block.vectors.tobytes() for block in store.blocks(kind)] for kind in KINDS})
    assert vectors[0] == vectors[1]
