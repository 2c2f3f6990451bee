"""A folder's pictures become an index, and the index follows the folder."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from made_pictures import picture

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import ModelError, NoImagesError, OutputError, RefusedError, StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.report.whitening_file import read_whitening, whitening_bytes
from dff_onnx.runs import index as module
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.index import Indexed, index_folder, plan_index
from dff_onnx.runs.index_info import index_info
from dff_onnx.runs.opened_index import open_index
from dff_onnx.runs.opening import Opening
from dff_onnx.runs.whiten import write_whitening
from dff_onnx.store import Identity, Stamp, open_store, stored_identity, write_store

SETTINGS = DescriptorSettings(size=64, k=3)
WANTED = {"size": 64, "k": 3}


class Seeing(Colours):
    """Counts pictures, and may be told to break at one."""

    def __init__(self, workers: int = 2, breaks_at: int | None = None) -> None:
        self.workers = workers
        self.seen = 0
        self.breaks_at = breaks_at

    def __call__(self, pixels: Any) -> Any:
        if self.seen == self.breaks_at:
            raise KeyboardInterrupt
        self.seen += 1
        return super().__call__(pixels)


def indexed(folder: Path, where: Path, network: Seeing | None = None, **options: Any) -> Indexed:
    plan = plan_index(where, options.pop("wanted", WANTED), options.pop("whitening", None), options.pop("dtype", None))
    return index_folder(folder, where, network or Seeing(), plan, **options)


def held(where: Path) -> dict[str, Any]:
    """All that an index says, but for ids."""
    found: dict[str, Any] = {}
    with open_store(where) as store:
        assert store.check() == ()
        for block in store.blocks("images"):
            for record, vector in zip(store.images(block.ids.tolist()), block.vectors, strict=True):
                regions = store.regions_of(record.id)
                parts = store.vectors("regions", [region.id for region in regions]).tobytes() if regions else b""
                boxes = [(region.box, region.score) for region in regions]
                assert record.path not in found
                found[record.path] = (record.stamp, record.label, vector.tobytes(), boxes, parts)
    return found


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "made" / "index.db"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)


def test_each_picture_is_held_as_the_describer_describes_it(folder: Path, where: Path) -> None:
    done = indexed(folder, where, dtype="float32")
    assert (done.added, done.changed, done.removed, done.unchanged, done.failures) == (7, 0, 0, 0, ())
    assert (done.images, done.device) == (7, "cpu")
    describer = Describer(Colours(), SETTINGS)
    stored = held(where)
    assert list(stored) == ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "deep/6.png"]
    for path, (stamp, label, vector, boxes, parts) in stored.items():
        found = describer.describe(describer.read(folder / path))
        assert (vector, parts) == (found.vector.tobytes(), found.parts.tobytes())
        assert boxes == list(zip(found.boxes, found.scores, strict=True))
        assert stamp == Stamp.of_file(folder / path) and label == ("deep" if "/" in path else None)
    with open_store(where) as store:
        assert store.identity == Identity(Colours.fingerprint, "dff", 4, SETTINGS.to_dict(), "float32")


def test_nothing_is_described_twice_and_what_changed_is_described_again(folder: Path, where: Path) -> None:
    indexed(folder, where)
    network = Seeing()
    again = indexed(folder, where, network, wanted=None)
    assert (again.unchanged, again.added, network.seen) == (7, 0, 0)
    before = held(where)
    picture(50).save(folder / "2.png")
    picture(51).save(folder / "deep" / "new.png")
    (folder / "4.png").unlink()
    network = Seeing()
    done = indexed(folder, where, network, wanted=None)
    assert (done.added, done.changed, done.removed, done.unchanged, network.seen) == (1, 1, 1, 5, 2)
    assert done.state != again.state
    after = held(where)
    assert set(after) == set(before) - {"4.png"} | {"deep/new.png"}
    assert {path for path in before if after.get(path) != before[path]} == {"2.png", "4.png"}
    fresh = where.with_name("fresh.db")
    indexed(folder, fresh)
    assert held(fresh) == after


def test_pictures_that_are_gone_may_be_left_in_the_index(folder: Path, where: Path) -> None:
    indexed(folder, where)
    (folder / "4.png").unlink()
    assert indexed(folder, where, keep_missing=True).removed == 0
    assert "4.png" in held(where)
    assert indexed(folder, where).removed == 1
    assert "4.png" not in held(where)


def test_one_picture_is_brought_up_to_date_alone(folder: Path, where: Path) -> None:
    indexed(folder, where)
    picture(50).save(folder / "2.png")
    done = indexed(folder / "2.png", where)
    assert (done.changed, done.removed, done.images) == (1, 0, 7)


def test_another_folder_is_not_taken_for_the_one_that_was_indexed(folder: Path, where: Path, tmp_path: Path) -> None:
    indexed(folder, where)
    (tmp_path / "other").mkdir()
    picture(9).save(tmp_path / "other" / "x.png")
    with pytest.raises(UsageError, match=r"other: holds none of the 7 pictures of .*index\.db; .*--keep-missing"):
        indexed(tmp_path / "other", where)
    assert len(held(where)) == 7
    assert indexed(tmp_path / "other", where, keep_missing=True).images == 8


def test_times_or_contents_tell_what_changed(folder: Path, where: Path) -> None:
    indexed(folder, where)
    os.utime(folder / "0.png", ns=(1, 1))
    assert indexed(folder, where).changed == 1
    by_content = where.with_name("content.db")
    indexed(folder, by_content, by_content=True)
    os.utime(folder / "1.png", ns=(1, 1))
    network = Seeing()
    assert indexed(folder, by_content, network, wanted=None).unchanged == 7 and network.seen == 0  # it stays so
    stat = (folder / "1.png").stat()
    data = bytearray((folder / "1.png").read_bytes())
    picture(77).save(folder / "1.png")
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes().ljust(len(data), b"\0"))
    os.utime(folder / "1.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert indexed(folder, by_content).changed == 1
    assert all(stamp.mark.startswith("sha256:") for stamp, *_ in held(by_content).values())


@pytest.mark.usefixtures("small_batches")
def test_any_number_of_workers_writes_the_same_index(folder: Path, where: Path) -> None:
    states = []
    for workers in (0, 1, 5):
        one = where.with_name(f"{workers}.db")
        states.append((indexed(folder, one, Seeing(workers)).state, held(one)))
    assert states[0] == states[1] == states[2]


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_call_is_taken_up_where_it_was(folder: Path, where: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        indexed(folder, where, Seeing(0, breaks_at=6))  # one look says how long vectors are
    assert list(held(where)) == ["0.png", "1.png", "2.png", "3.png"]
    network = Seeing(0)
    done = indexed(folder, where, network)
    assert (done.added, done.unchanged, network.seen) == (3, 4, 3)
    whole = where.with_name("whole.db")
    indexed(folder, whole)
    assert held(where) == held(whole)


def test_pictures_that_cannot_be_used_are_listed_and_nothing_else_is_lost(folder: Path, where: Path) -> None:
    (folder / "2.png").write_bytes(b"nothing")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    done = indexed(folder, where)
    assert [one.path for one in done.failures] == ["2.png", "gone.png"] and (done.added, done.images) == (6, 6)
    assert "No such file" in done.failures[1].reason
    (folder / "3.png").write_bytes(b"nothing")  # its vectors say what is no longer there
    done = indexed(folder, where)
    assert [one.path for one in done.failures] == ["2.png", "3.png", "gone.png"]
    assert (done.removed, done.unchanged, done.images) == (1, 5, 5) and "3.png" not in held(where)


def test_an_index_of_nothing_is_an_error(folder: Path, where: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match="not one of 7 pictures can be used"):
        indexed(folder, where)
    with pytest.raises(UsageError, match="there is no such folder"):
        indexed(tmp_path / "nowhere", where)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImagesError, match="holds no pictures"):
        indexed(tmp_path / "empty", where)


def test_a_second_writer_is_told_of_the_first(folder: Path, where: Path) -> None:
    indexed(folder, where)
    with write_store(where, stored_identity(where) or pytest.fail()):
        with pytest.raises(OutputError, match=f"is being written by process {os.getpid()}"):
            indexed(folder, where)
        assert index_info(where).counts.images == 7  # readers go on


def test_what_is_no_index_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("my notes, which are long enough to be taken for something " * 3)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    for name in ("text.db", "other.db"):
        before = (tmp_path / name).read_bytes()
        for call in (lambda path: indexed(folder, path), index_info, open_index):
            with pytest.raises(StoreError, match=rf"{name}: "):
                call(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    for call in (lambda path: indexed(folder, path), index_info, open_index):
        with pytest.raises(UsageError, match="is a folder"):
            call(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        open_index(tmp_path / "nothing.db")
    (tmp_path / "begun.db").touch()  # a kill can leave it so
    assert stored_identity(tmp_path / "begun.db") is None and indexed(folder, tmp_path / "begun.db").added == 7


@pytest.mark.parametrize(
    "changes",
    [{"wanted": {"k": 4}}, {"wanted": {"size": 96}}, {"wanted": {"kind": "rmac"}}, {"dtype": "float32"},
     {"wanted": {"scales": (1.0, 0.5)}}, {"wanted": {"weights": "equal"}}],
)  # fmt: skip
def test_other_settings_than_those_of_the_index_are_refused(folder: Path, where: Path, changes: Any) -> None:
    indexed(folder, where)
    before, changed = held(where), next(iter(changes.get("wanted", changes))).replace("kind", "descriptor")
    with pytest.raises(StoreError, match=rf"vectors of other settings \(.*{changed}: .*cannot be"):
        indexed(folder, where, **changes)
    other = Seeing()
    other.fingerprint = replace(Colours.fingerprint, layer="other")
    with pytest.raises(StoreError, match=r"settings \(fingerprint\.layer: 'colours' there, 'other' now\); they"):
        indexed(folder, where, other, wanted=None)
    assert held(where) == before


def test_vectors_are_whitened_and_the_whitening_is_kept(folder: Path, where: Path, tmp_path: Path) -> None:
    describer = Describer(Colours(), SETTINGS)
    file = write_whitening(folder, tmp_path / "w.npz", describer, 2).file
    indexed(folder, where, whitening=tmp_path / "w.npz", wanted=None, dtype="float32")  # settings are the whitening's
    whitened = replace(describer, whitening=file.whitening)
    for path, (_, _, vector, _, _) in held(where).items():
        assert vector == whitened.describe(describer.read(folder / path)).vector.tobytes()
    with open_store(where) as store:
        assert store.attachment("whitening") == (tmp_path / "w.npz").read_bytes() and store.identity.dimensions == 2
    picture(60).save(folder / "deep" / "7.png")
    assert indexed(folder, where, wanted=None).added == 1
    assert indexed(folder, where, whitening=tmp_path / "w.npz", wanted=None).unchanged == 8
    write_whitening(folder, tmp_path / "v.npz", describer, 3)
    with pytest.raises(StoreError, match=r"whitening: '\w{12}\.\.\.' there, '\w{12}\.\.\.' now"):
        indexed(folder, where, whitening=tmp_path / "v.npz", wanted=None)
    found = index_info(where)
    with write_store(where, found.identity) as store:
        store.attach("whitening", (tmp_path / "v.npz").read_bytes())
    with pytest.raises(StoreError, match="keeps another whitening than that of its vectors"):
        index_info(where)
    assert found.whitening is not None and whitening_bytes(found.whitening) == whitening_bytes(file)


def test_a_whitening_of_other_descriptors_makes_no_index(folder: Path, where: Path, tmp_path: Path) -> None:
    write_whitening(folder, tmp_path / "w.npz", Describer(Colours(), SETTINGS))
    with pytest.raises(
        RefusedError, match=r"w\.npz: is a whitening of other descriptors \(settings\.k: 3 there, 5 now\)"
    ):
        indexed(folder, where, whitening=tmp_path / "w.npz", wanted={"k": 5})
    other = Seeing()
    other.fingerprint = replace(Colours.fingerprint, layer="other")
    with pytest.raises(RefusedError, match=r"w\.npz: is a whitening of .*layer: 'colours' there, 'other' now"):
        indexed(folder, where, other, whitening=tmp_path / "w.npz", wanted=None)
    with pytest.raises(UsageError, match="there is no such file"):
        indexed(folder, where, whitening=tmp_path / "none.npz")
    assert not where.exists()


def test_a_whitening_that_a_kill_left_out_is_kept_by_the_next_call(folder: Path, where: Path, tmp_path: Path) -> None:
    network = Backbone.open(threads=1, device="cpu")
    write_whitening(folder, tmp_path / "w.npz", Describer(network, SETTINGS), 2)
    plan = plan_index(where, None, tmp_path / "w.npz")
    whitened = Describer(network, SETTINGS, read_whitening(tmp_path / "w.npz").whitening)
    write_store(where, module._identity(whitened, plan)).close()
    with pytest.raises(StoreError, match="does not keep the whitening of its vectors"):
        open_index(where)
    with pytest.raises(StoreError, match="with --whitening"):
        plan_index(where)
    index_folder(folder, where, network, plan_index(where, None, tmp_path / "w.npz"))
    with open_index(where, opening=Opening("cpu")) as opened:
        assert opened.describer.whitening is not None


def test_an_opened_index_describes_pictures_as_its_own(folder: Path, where: Path, tmp_path: Path) -> None:
    network = Backbone.open(threads=1, device="cpu", layer="fire5")
    write_whitening(folder, tmp_path / "w.npz", Describer(network, SETTINGS), 3)
    index_folder(folder, where, network, plan_index(where, None, tmp_path / "w.npz", "float32"))
    with open_index(where, opening=Opening("cpu")) as opened:
        describer = opened.describer
        assert describer.activations.fingerprint == network.fingerprint and describer.settings == SETTINGS
        record = opened.store.find("deep/6.png")
        assert record is not None
        vector = opened.store.vectors("images", [record.id])[0]
        found = describer.describe(describer.read(folder / "deep" / "6.png"))
        assert vector.tobytes() == found.vector.tobytes()
        part = describer.describe(describer.read(folder / "deep" / "6.png", Box(0, 0, 60, 60)))
        assert part.vector.shape == (3,)
    with open_index(where, embedded_model(), Opening("cpu")) as opened:
        assert opened.describer.settings == SETTINGS


def test_an_opened_index_refuses_what_does_not_belong_to_it(folder: Path, where: Path, tmp_path: Path) -> None:
    indexed(folder, where)
    with pytest.raises(ModelError, match=r"its network \(sha256 000000000000\.\.\.\) is neither the embedded one"):
        open_index(where)
    with pytest.raises(
        StoreError, match=r"its vectors come from network 000000000000.*compact\.onnx has .*of the index"
    ):
        open_index(where, embedded_model())
    network = Backbone.open(threads=1, device="cpu").fingerprint
    strange = [
        (Identity(network, "vlad", 384, SETTINGS.to_dict()), "none that `dff-onnx index` makes"),
        (Identity(network, "dff", 384, {"size": 64}), "none that `dff-onnx index` makes"),
        (Identity(network, "dff", 383, SETTINGS.to_dict()), "383 dimensions, and its network makes 384"),
    ]
    for number, (identity, why) in enumerate(strange):
        write_store(tmp_path / f"{number}.db", identity).close()
        with pytest.raises(StoreError, match=why):
            open_index(tmp_path / f"{number}.db", opening=Opening("cpu"))


def test_what_an_index_holds_is_told(folder: Path, where: Path) -> None:
    for number in range(2):
        (folder / "far").mkdir(exist_ok=True)
        picture(30 + number).save(folder / "far" / f"{number}.png")
    done = indexed(folder, where)
    found = index_info(where)
    assert (found.counts.images, found.counts.regions, found.state) == (9, done.regions, done.state)
    assert found.groups == {None: 6, "far": 2, "deep": 1} and list(found.groups) == [None, "far", "deep"]
    assert found.file_bytes == where.stat().st_size and found.problems is None and found.whitening is None
    assert index_info(where, check=True).problems == ()
    with sqlite3.connect(where) as connection:
        connection.execute("UPDATE images SET mark = 'other' WHERE id = 3")
    connection.close()
    problems = index_info(where, check=True).problems
    assert problems is not None and any("id 3" in problem for problem in problems)


def test_a_servers_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from dff_onnx.store import shown_address

    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert "secret" not in shown_address("postgresql://ann:secret@db.example/pictures")
    assert shown_address(Path("a/b.db")) == "a/b.db"


def test_vectors_are_stored_in_halves_by_default(folder: Path, where: Path) -> None:
    indexed(folder, where)
    with open_store(where) as store:
        assert store.identity.dtype == "float16"
        assert all(block.vectors.dtype == np.float16 for block in store.blocks("regions"))


def test_an_index_says_where_its_pictures_are(folder: Path, where: Path, tmp_path: Path) -> None:
    """One picture alone changes nothing of that, nor does a folder that is refused."""
    other = tmp_path / "other"
    other.mkdir()
    picture(9).save(other / "9.png")

    def said() -> Path:
        with open_store(where) as store:
            return Path(os.fsdecode(store.attachment("folder") or b""))

    indexed(folder, where)
    assert said() == folder.resolve()
    indexed(folder / "deep" / "6.png", where)
    with pytest.raises(UsageError):
        indexed(other, where)
    assert said() == folder.resolve()
    indexed(other, where, keep_missing=True)
    assert said() == other.resolve()
