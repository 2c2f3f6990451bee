"""`kill -9` before each call that writes, renames or removes: no moment is left out that chance would hardly find."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from killing import PROGRAM, ROOT, ended
from torture_tier import PART, PARTS

# Scenes, networks and servers of other folders' tests.
sys.path += [str(Path(__file__).parents[1] / name) for name in ("runs", "evaluation", "datasets", "export", "zoo")]
import bird_scenes
import figures
import retrieval_scenes
from classifier_networks import POOLED, saved
from layouts import write_mask
from made_pictures import picture
from random_weights import weights
from rough_server import serving
from square_trees import square, write_group
from weight_files import write

HERE, ROW = Path(__file__).parent, "kill -9 at each call"
SMALL, DRAWN = ["--size", "64"], ["--overlays", "2", "--report", "2"]
Words = list[str | Path]
Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Place:
    """What a command needs lies in `given`, it writes below `out`, and `before` is what it finds there."""

    given: Path
    before: Path
    out: Path


def pictures(at: Place, *numbers: int) -> Path:
    folder = at.given / "pictures"
    folder.mkdir(exist_ok=True)
    for number in numbers or range(3):
        picture(number).save(folder / f"{number}.png")
    return folder


def first(*words: str | Path) -> None:
    """What lies in the folder before the command, or what it needs."""
    ended([*PROGRAM, *words], no_proxy="*")


def plain_run(at: Place) -> Path:
    first("run", pictures(at), "-o", at.given / "first", "-k", "2", *SMALL)
    return at.given / "first"


def colours(at: Place) -> Words:
    return ["--model", figures.colour_network(at.given / "colours.onnx"), *SMALL]


def a_run(at: Place) -> Words:
    return ["run", pictures(at), "-o", at.out / "run", "-k", "2", *SMALL, *DRAWN]


def a_run_over_another(at: Place) -> Words:
    first(*a_run(replace(at, out=at.before)), "-k", "3", "--report", "1")
    return [*a_run(at), "--overwrite"]


def a_large_run(at: Place) -> Words:
    return [*a_run(at), "--memory", "0", "--sample", "2"]


def a_tree(at: Place) -> Words:
    return ["tree", pictures(at), "-o", at.out / "tree", "-k", "1,2", *SMALL]


def an_apply(at: Place) -> Words:
    return ["apply", plain_run(at) / "bank.npz", at.given / "pictures", "-o", at.out / "run", *DRAWN]


def a_cam(at: Place) -> Words:
    return ["cam", pictures(at), "-o", at.out / "run", "--model", saved(POOLED, at.given), *DRAWN]


def names(at: Place) -> Words:
    first(*a_run(replace(at, out=at.before)))
    said = at.given / "labels.json"
    said.write_text('{"dff-onnx": "labels/1", "concepts": {"0": ["wing"], "1": []}}')
    return ["label", at.out / "run", "--from", said]


def masks(at: Place) -> Words:
    formats = [word for name in ("coco", "voc", "png") for word in ("--format", name)]
    return ["masks", plain_run(at), "-o", at.out / "masks", *formats]


def masks_over_others(at: Place) -> Words:
    first(*masks(replace(at, out=at.before))[:5], "png")
    return ["masks", at.given / "first", "-o", at.out / "masks", "--overwrite"]


def a_compiled_file(at: Place) -> Words:
    return ["compile", plain_run(at) / "bank.npz", "-o", at.out / "concepts.onnx"]


def features(at: Place) -> Words:
    return ["features", pictures(at), "-o", at.out / "features.npz", *SMALL]


def a_whitening(at: Place) -> Words:
    return ["whiten", pictures(at), "-o", at.out / "whitening.npz", "--descriptor", "rmac", *SMALL]


def an_index(at: Place) -> Words:
    return ["index", pictures(at), "-o", at.out / "index.db", "--descriptor", "fs-egm", *SMALL]


def an_index_of_more(at: Place) -> Words:
    first(*an_index(replace(at, out=at.before)))
    words = an_index(at)
    (pictures(at, 3, 4) / "0.png").unlink()
    return words


def an_augmented_index(at: Place) -> Words:
    first(*an_index(replace(at, out=at.given)))
    return ["index-augment", at.given / "index.db", "-o", at.out / "augmented.db"]


def a_graph(at: Place) -> Words:
    first(*an_index(replace(at, out=at.before)))
    return ["index-graph", at.out / "index.db", "--rank", "2", "--offline"]


def a_search(at: Place) -> Words:
    first(*an_index(replace(at, out=at.given)))
    return ["search", at.given / "index.db", at.given / "pictures" / "0.png", "-o", at.out / "found"]


def objects(at: Place) -> Words:
    first(*an_index(replace(at, out=at.given)))
    return ["objects", at.given / "index.db", "-o", at.out / "objects", "--index", at.out / "new.db"]


def squares(at: Place) -> Path:
    for name, corner in (("cats", 16), ("dogs", 0)):
        write_group(at.given / "set", name, [square(corner)] * 2, corner)
    return at.given / "set"


def coseg(at: Place) -> Words:
    return ["eval", "coseg", squares(at), *colours(at), "-o", at.out / "figures"]


def coseg_over_another(at: Place) -> Words:
    first(*coseg(replace(at, out=at.before)), "--systems", "otsu")
    return [*coseg(at), "--overwrite"]


def corloc(at: Place) -> Words:
    return ["eval", "corloc", squares(at), *colours(at), "-o", at.out / "figures"]


def parts(at: Place) -> Words:
    figures.make_figures(at.given / "set", 2)
    shown = ["--masks", at.given / "set" / "masks", "--parts", at.given / "set" / "parts", "-k", "4", "--seeds", "1"]
    for name in ("000", "001"):
        whole = 255 * figures.read_parts(at.given / "set", name).any(axis=0)
        write_mask(at.given / "set" / "masks" / f"{name}.png", whole)
    return ["eval", "parts", at.given / "set" / "pictures", *shown, *colours(at), "-o", at.out / "figures"]


def finegrained(at: Place) -> Words:
    birds = bird_scenes.write_scenes(at.given / "birds", 2)
    return ["eval", "finegrained", birds, *colours(at), "-o", at.out / "figures"]


def retrieval(at: Place) -> Words:
    scenes, others = (retrieval_scenes.write_scenes(at.given / name, 2, seed=1) for name in ("scenes", "others"))
    how = ["--systems", "rmac", "--whiten", others, *colours(at)]
    return ["eval", "retrieval", scenes, *how, "-o", at.out / "figures"]


def where(at: Place) -> Words:
    return ["eval", "where", squares(at), "-k", "3", *colours(at), "-o", at.out / "figures"]


COMMANDS: tuple[Callable[[Place], Words], ...] = (
    *(a_run, a_run_over_another, a_large_run, a_tree, an_apply, a_cam, names, masks, masks_over_others),
    *(a_compiled_file, features, a_whitening, an_index, an_index_of_more, an_augmented_index, a_graph, a_search),
    *(objects, coseg, coseg_over_another, corloc, parts, finegrained, retrieval, where),
)
FEW, MOST = 4, 5000
# A part of the long tier is every so many calls: how many a command makes is not known here.
CASES = [
    pytest.param(range(FEW), marks=pytest.mark.slow, id="few"),
    pytest.param(range(FEW + PART - 1, MOST, PARTS), marks=pytest.mark.torture, id=f"{PART} of {PARTS}"),
]


def place(tmp_path: Path) -> Place:
    found = Place(*(tmp_path / name for name in ("given", "before", "out")))
    for folder in (found.given, found.before):
        folder.mkdir()
    return found


def judge(words: Words, at: Place, cases: range, shim: Path, record: Record) -> None:
    """Kills a command before some of its calls, and expects what an undisturbed one leaves."""
    plan = at.given / "plan.json"
    known = {"arguments": list(map(str, words)), "folder": str(at.out), "before": str(at.before)}
    plan.write_text(json.dumps(known | {"cases": [cases.start, cases.stop, cases.step]}))
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": path, "no_proxy": "*"}
    program = [sys.executable, str(HERE / "killed_calls.py"), str(plan)]
    longest = 600 + 60 * min(len(cases), 500)
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=False, timeout=longest)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["whole"]["code"] == 0 and found["whole"]["calls"] >= 5 and found["files"], found["whole"]
    record("row", [ROW, len(found["trials"])])
    for trial in found["trials"]:
        assert trial["code"] == 0 and not trial["differing"], trial
    # Where threads write there are now more calls, now less, and one that is not reached kills nobody.
    assert 2 * sum(trial["died"] for trial in found["trials"]) >= len(found["trials"]), found["trials"]


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("command", COMMANDS)
def test_wherever_a_command_is_killed_the_same_command_completes_it(
    command: Callable[[Place], Words],
    cases: range,
    shim: Path,
    tmp_path: Path,
    record_property: Record,
) -> None:
    at = place(tmp_path)
    judge(command(at), at, cases, shim, record_property)


@pytest.mark.parametrize("cases", CASES)
def test_wherever_a_download_is_killed_the_same_command_completes_it(
    cases: range,
    shim: Path,
    tmp_path: Path,
    record_property: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = place(tmp_path)
    data = write(tmp_path / "weights", "safetensors", weights("vgg11", "relu2_1")).read_bytes()
    monkeypatch.setenv("DFF_ONNX_CACHE", str(at.out))
    with serving(data) as server:
        card = tmp_path / "card.toml"
        card.write_text(
            f'name = "mine"\narchitecture = "vgg11"\nlayer = "relu2_1"\n[weights]\nurl = "{server.url}"\n'
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n[preprocessing]\nscale = 1\n'
        )
        judge(["models", "get", "--card", card], at, cases, shim, record_property)
