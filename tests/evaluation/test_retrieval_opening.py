"""Which retrieval set a folder holds, told or found."""

from __future__ import annotations

from pathlib import Path

import pytest
from retrieval_trees import write_instre, write_oxford, write_pictures, write_revisited

from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.evaluation.retrieval_opening import kind_of, open_retrieval


def test_a_set_is_known_by_its_files(tmp_path: Path) -> None:
    write_oxford(tmp_path / "oxford")
    write_revisited(tmp_path / "revisited")
    write_instre(tmp_path / "instre")
    write_pictures(tmp_path / "holidays" / "jpg", ["100000", "100001", "100100"])
    write_pictures(tmp_path / "folders" / "a", ["100000", "x"])
    write_pictures(tmp_path / "folders" / "b", ["y"])
    for kind, queries in (("oxford", 2), ("revisited", 2), ("instre", 3), ("holidays", 2), ("folders", 3)):
        assert kind_of(tmp_path / kind) == kind
        assert len(open_retrieval(tmp_path / kind).queries) == queries
        assert open_retrieval(tmp_path / kind).images == open_retrieval(tmp_path / kind, kind).images


def test_the_ground_truth_may_lie_elsewhere_and_says_what_it_is(tmp_path: Path) -> None:
    for name, write, inside in (
        ("oxford", write_oxford, "gt_files"),
        ("revisited", write_revisited, "gnd_roxford5k.pkl"),
        ("instre", write_instre, "gnd_instre.mat"),
    ):
        write(tmp_path / name)
        moved = tmp_path / f"{name}-{inside}"
        (tmp_path / name / inside).rename(moved)
        assert kind_of(tmp_path / name, moved) == name
        assert len(open_retrieval(tmp_path / name, truth=moved).queries) >= 2


def test_what_cannot_be_opened_is_refused_with_a_sentence(tmp_path: Path) -> None:
    root = write_oxford(tmp_path / "data")
    for kind, truth, error, said in (
        ("oxford5k", None, UsageError, "--kind: 'oxford5k' is not one of folders, oxford"),
        (None, tmp_path / "none.mat", UsageError, "--truth .*none.mat: is not there"),
        ("folders", root / "gt_files", UsageError, "the kind folders has no ground truth"),
        ("holidays", None, DatasetError, "all_souls_000013"),
        ("instre", None, DatasetError, "gnd_instre.mat"),
    ):
        with pytest.raises(error, match=said):
            open_retrieval(root, kind, truth)
    with pytest.raises(UsageError, match=r"DATASET .*: there is no such folder"):
        open_retrieval(tmp_path / "nowhere")
