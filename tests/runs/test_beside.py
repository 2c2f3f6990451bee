"""What a run is looked at beside: a bank, a classifier, masks; and a number of concepts that it chooses itself."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

from dff_onnx.concepts.bank import read_bank
from dff_onnx.concepts.behind import AnyScores
from dff_onnx.errors import BankError, DatasetError, DffError, UsageError
from dff_onnx.images import Resize, read_picture
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

SMALL = Settings(k=3, resize=Resize("square", 64))
# Two classes: red, and all else.
SCORES = AnyScores(lambda features: np.stack([features[:, 0], features[:, 1:].sum(1)], 1).mean((2, 3)), 2)


def results(out: Path) -> Any:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def settings(out: Path) -> Any:
    return tomllib.loads((out / "run.toml").read_text(encoding="utf-8"))["settings"]


def rows(found: Discovery) -> np.ndarray:
    pixels = np.stack([read_picture(found.folder / path, SMALL.resize).pixels for path in found.paths])
    return np.moveaxis(Colours()(pixels), 1, -1).reshape(len(pixels), -1, 4)


def test_the_loss_of_a_picture_is_what_its_rows_leave_and_a_bank_keeps_their_quartiles(folder: Path) -> None:
    found = discover(folder, Colours(), replace(SMALL, k=2))
    A, W = rows(found), found.W
    assert W is not None
    expected = []
    for i, one in enumerate(A):
        H = found.heat_map(i).reshape(2, -1).T
        expected.append(((one - H @ W) ** 2).sum() / (one**2).sum())
    losses = [image.loss for image in found.images]
    assert losses == pytest.approx(expected, rel=1e-4) and max(expected) > 0.05
    known = found.bank()
    assert known is not None and known.losses == pytest.approx(np.quantile(expected, [0, 0.25, 0.5, 0.75, 1]), rel=1e-4)
    assert known.resize == SMALL.resize


def test_k_is_chosen_and_it_is_said_why(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path / "out", Colours(), replace(SMALL, k="auto")).found
    assert found.choice is not None and found.fit is not None
    assert found.choice.k == found.fit.k == len(found.concepts) == 3, "three colours on black"
    assert [one.k for one in found.choice.tried] == list(range(1, len(found.choice.tried) + 1))
    told = results(tmp_path / "out")["choice"]
    assert told["k"] == 3 and told["reason"].startswith("3: ") and len(told["tried"]) == len(found.choice.tried)
    assert settings(tmp_path / "out")["k"] == "auto"
    assert read_bank(tmp_path / "out" / "bank.npz").provenance["k"] == 3
    fixed = discover(folder, Colours(), SMALL).found
    assert fixed.choice is None and fixed.concepts == found.concepts


def test_each_picture_by_itself_has_no_number_chosen() -> None:
    with pytest.raises(UsageError, match="auto looks at what pictures share"):
        replace(SMALL, k="auto", per_image=True)
    with pytest.raises(UsageError, match="at least one concept, or auto"):
        replace(SMALL, k="four")  # type: ignore[arg-type]


def test_names_and_colours_of_a_bank_are_taken_over_whatever_the_order(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "first", Colours(), SMALL)
    known = read_bank(tmp_path / "first" / "bank.npz")
    order = [2, 0, 1]
    names, colours = ("a", "b", "c"), ("#101010", "#202020", "#303030")
    known = replace(known, W=known.W[order], names=names, colours=colours)
    found = run(folder, tmp_path / "second", Colours(), replace(SMALL, seed=7), like=known).found
    of = [order.index(concept.number) for concept in found.concepts]
    assert [concept.name for concept in found.concepts] == [names[i] for i in of]
    assert [concept.colour for concept in found.concepts] == [colours[i] for i in of]
    assert [one["like"]["concept"] for one in results(tmp_path / "second")["concepts"]] == of
    kept = read_bank(tmp_path / "second" / "bank.npz")
    assert kept.names == tuple(names[i] for i in of) and kept.colours == tuple(colours[i] for i in of)
    with pytest.raises(UsageError, match=r"settings\.like"):  # another bank makes another run
        run(folder, tmp_path / "second", Colours(), replace(SMALL, seed=7), like=replace(known, names=names[::-1]))


def test_a_bank_of_another_network_is_refused_before_a_picture_is_read(folder: Path, tmp_path: Path) -> None:
    known = replace(discover(folder, Colours(), SMALL).bank(), fingerprint=Fingerprint("1" * 64, "x", Preprocessing()))
    (folder / "0.png").write_bytes(b"")
    with pytest.raises(BankError, match=r"network 111111111111, layer 'x'.*network 000000000000, layer 'colours'"):
        run(folder, tmp_path / "out", Colours(), SMALL, like=known)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"per_image": True}, {"foreground": True}], ids=str)
def test_what_needs_shared_concepts_does_not_go_without_them(folder: Path, change: dict[str, Any]) -> None:
    known = discover(folder, Colours(), SMALL).bank()
    with pytest.raises(UsageError, match=r"--like.* does not go with --"):
        discover(folder, Colours(), replace(SMALL, **change), like=known)
    with pytest.raises(UsageError, match=r"--faithfulness.* does not go with --"):
        discover(folder, Colours(), replace(SMALL, **change), scores=SCORES)


def test_a_classifier_is_asked_about_the_concepts(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path / "out", Colours(), SMALL, scores=SCORES).found
    faithful = found.faithfulness
    assert faithful is not None and faithful.images == 7
    assert faithful.concepts.fidelity.estimate == 1, "three concepts are the three colours"
    assert len(faithful.concepts.importance) == 3 and len(faithful.concepts.deletion) == 4
    assert results(tmp_path / "out")["faithfulness"]["images"] == 7
    assert settings(tmp_path / "out")["faithfulness"] is True
    with pytest.raises(UsageError, match=r"settings\.faithfulness"):
        run(folder, tmp_path / "out", Colours(), SMALL)


def test_masks_are_compared_with_and_bad_ones_leave_no_run(folder: Path, tmp_path: Path) -> None:
    found = discover(folder, Colours(), SMALL)
    masks = tmp_path / "masks"
    for i, path in enumerate(found.paths):
        (masks / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found.masks(i)[1].astype(np.uint8) * 255).save(masks / path)
    truth = run(folder, tmp_path / "out", Colours(), SMALL, truth=masks).found.truth
    assert truth is not None and truth.best == (1,) and truth.union.estimate == 1
    assert results(tmp_path / "out")["truth"]["iou"][1]["estimate"] == 1
    for bad, error in ((tmp_path / "nowhere", DffError), (folder / "deep", DatasetError)):
        with pytest.raises(error):
            run(folder, tmp_path / "other", Colours(), SMALL, truth=bad)
        assert not (tmp_path / "other").exists()
    with pytest.raises(UsageError, match="--truth"):
        run(folder, tmp_path / "other", Colours(), replace(SMALL, per_image=True), truth=masks)
