"""A folder indexed on a server is what it is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dff_onnx import Backbone, Describer, DescriptorSettings, index_folder, index_info, open_index, plan_index
from dff_onnx import write_whitening as learn
from dff_onnx.errors import StoreError
from dff_onnx.runs.opening import Opening

EXAMPLES = Path(__file__).parents[2] / "examples" / "rodents"


def test_a_folder_on_a_server_has_the_vectors_of_one_in_a_file(server: Any, tmp_path: Path) -> None:
    network = Backbone.open(threads=1, device="cpu")
    learn(EXAMPLES, tmp_path / "w.npz", Describer(network, DescriptorSettings(size=64, k=2)), 4)
    vectors = []
    for where in (f"{server.get_uri()}&schema=folder", str(tmp_path / "index.db")):
        done = index_folder(EXAMPLES, where, network, plan_index(where, None, tmp_path / "w.npz"))
        again = index_folder(EXAMPLES, where, network)
        assert (done.added, again.unchanged, again.added) == (5, 5, 0)
        with pytest.raises(StoreError, match="these are of descriptor 'spoc'"):
            index_folder(EXAMPLES, where, network, plan_index(where, {"kind": "spoc"}))
        found = index_info(where, check=True)
        assert found.problems == () and found.whitening is not None and found.whitening.dimensions == 4
        with open_index(where, opening=Opening("cpu")) as opened:
            assert opened.describer.whitening is not None
            vectors.append([block.vectors.tobytes() for block in opened.store.blocks("regions")])
    assert vectors[0] == vectors[1]
