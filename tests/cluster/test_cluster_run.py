"""Runs on a cluster inside this process: the bytes of a run on one machine, wherever pictures and results are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason="needs Dask: pip install 'dff-onnx[cluster]'")
import fsspec
from distributed import Client, LocalCluster
from fake_backbone import Colours
from PIL import Image
from workers_networks import Fake, OpensTimes, Times, row_source

from dff_onnx.cluster.connect import connected
from dff_onnx.cluster.rows import DaskRows
from dff_onnx.cluster.run import run_on_cluster
from dff_onnx.cluster.storage import put
from dff_onnx.errors import NetworkError, NoImagesError, OutputError, UsageError
from dff_onnx.factorization import Part
from dff_onnx.files import RUN_MARKER
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, Threshold
from dff_onnx.progress import Silent
from dff_onnx.runs import chunks
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.workplace import RESUME, Workplace

SMALL = Settings(k=3, resize=Resize("square", 64))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LEAST", 4)


@pytest.fixture
def memory() -> Iterator[str]:
    system = fsspec.filesystem("memory")
    yield "memory://tests"
    if system.exists("/tests"):
        system.rm("/tests", recursive=True)


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def uploaded(address: str) -> dict[str, bytes]:
    system, root = fsspec.core.url_to_fs(address)
    return {name.removeprefix(root).lstrip("/"): system.cat_file(name) for name in sorted(system.find(root))}


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        replace(SMALL, k=1, solver="hals", threshold=Threshold("otsu"), overlays=5),
        replace(SMALL, threshold=Threshold("fraction"), overlays="none", report="none"),
    ],
    ids=["usual", "otsu", "fraction"],
)
def test_a_cluster_writes_the_bytes_of_one_machine(
    many: Path, tmp_path: Path, client: Client, settings: Settings
) -> None:
    run(many, tmp_path / "one", Colours(), settings)
    found = run_on_cluster(client, str(many), str(tmp_path / "all"), Colours(), Fake(), settings)
    assert contents(tmp_path / "all") == contents(tmp_path / "one")
    assert [failure.path for failure in found.failures] == ["05a.png", "99.png"]


def test_thumbnails_that_must_be_smaller_than_usual_are_those_of_one_machine(
    many: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    Image.fromarray(noise).save(many / "noise.png")
    monkeypatch.setattr("dff_onnx.report.page.data.LIMIT", 300_000)  # no room for 320 pixels of it
    run(many, tmp_path / "one", Colours(), SMALL)
    run_on_cluster(client, str(many), str(tmp_path / "all"), Colours(), Fake(), SMALL)
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


@pytest.mark.parametrize("factor", [2.0**22, 2.0**-40], ids=["large", "small"])
@pytest.mark.parametrize("k", [1, 3])
def test_activations_whose_squares_leave_float32_give_the_bytes_of_one_machine(
    many: Path, tmp_path: Path, client: Client, factor: float, k: int
) -> None:
    settings = replace(SMALL, k=k)
    run(many, tmp_path / "one", Times(factor), settings)
    run_on_cluster(client, str(many), str(tmp_path / "all"), Times(factor), OpensTimes(factor), settings)
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


def test_the_same_call_writes_the_same_again_and_another_is_refused(many: Path, tmp_path: Path, client: Client) -> None:
    out = tmp_path / "out"
    run_on_cluster(client, str(many), str(out), Colours(), Fake(), SMALL)
    first = contents(out)
    other = replace(SMALL, k=2)
    with pytest.raises(UsageError, match="other settings"):
        run_on_cluster(client, str(many), str(out), Colours(), Fake(), other)
    run_on_cluster(client, str(many), str(out), Colours(), Fake(), SMALL)
    assert contents(out) == first
    (many / "17.png").unlink()
    run_on_cluster(client, str(many), str(out), Colours(), Fake(), SMALL)
    assert first.keys() - contents(out).keys() == {"overlays/17.png"}


def test_pictures_and_results_may_be_at_addresses(many: Path, tmp_path: Path, client: Client, memory: str) -> None:
    system = fsspec.filesystem("memory")
    for name, data in contents(many).items():
        system.pipe_file(f"/tests/in/{name}", data)
    system.pipe_file("/tests/in/.hidden/a.png", b"")
    system.pipe_file("/tests/in/run/run.toml", b"# dff-onnx run\n")
    system.pipe_file("/tests/in/run/overlays/a.png", b"")
    run_on_cluster(client, f"{memory}/in", f"{memory}/out", Colours(), Fake(), SMALL)
    run(many, tmp_path / "one", Colours(), SMALL)
    there, here = uploaded(f"{memory}/out"), contents(tmp_path / "one")
    assert there.keys() == here.keys()
    other = {name for name in here if there[name] != here[name]}
    assert other <= {"run.toml", "report.html"}  # they name the folder
    assert f'folder = "{memory}/in"' in there["run.toml"].decode()


def test_an_earlier_run_at_an_address_is_refused_or_replaced(many: Path, client: Client, memory: str) -> None:
    out = f"{memory}/out"
    run_on_cluster(client, str(many), out, Colours(), Fake(), SMALL)
    fewer = replace(SMALL, overlays=2)
    with pytest.raises(UsageError, match="other settings"):
        run_on_cluster(client, str(many), out, Colours(), Fake(), fewer)
    run_on_cluster(client, str(many), out, Colours(), Fake(), fewer, overwrite=True)
    assert [name for name in uploaded(out) if name.startswith("overlays/")] == ["overlays/00.png", "overlays/01.png"]
    fsspec.filesystem("memory").pipe_file("/tests/other/notes.txt", b"mine")
    with pytest.raises(UsageError, match="holds no run"):
        run_on_cluster(client, str(many), f"{memory}/other", Colours(), Fake(), SMALL)


def put_there(where: str, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        put(where, name, data)


def names_in(where: str) -> set[str]:
    return set(uploaded(where) if "://" in where else contents(Path(where)))


MINE = {"labels.json": b"mine", "label/labels.json": b"mine", "notes.txt": b"mine", "overlays/notes.txt": b"mine"}
OF_OTHERS = {
    "objects.json": b"",
    "objects/a.png": b"",
    "report-2.html": b"",
    "k3/run.toml": f"{RUN_MARKER}\n".encode(),
    "k3/results.json": b"",
    "k4/mine.txt": b"",
    "report-mine.html": b"",
}


@pytest.mark.parametrize("kind", ["path", "address"])
def test_a_rerun_keeps_what_a_person_added_and_a_run_of_other_settings_leaves_none_of_the_earlier(
    many: Path, tmp_path: Path, client: Client, memory: str, kind: str
) -> None:
    out = str(tmp_path / "out") if kind == "path" else f"{memory}/out"
    run_on_cluster(client, str(many), out, Colours(), Fake(), SMALL)
    first = names_in(out)
    put_there(out, MINE | {"report-2.html": b"", "overlays/gone.png": b""})
    run_on_cluster(client, str(many), out, Colours(), Fake(), SMALL)
    assert names_in(out) == first | MINE.keys()
    put_there(out, OF_OTHERS)
    run_on_cluster(client, str(many), out, Colours(), Fake(), replace(SMALL, k=2), overwrite=True)
    assert names_in(out) == first | {"notes.txt", "k4/mine.txt", "report-mine.html"}


def test_an_address_whose_driver_was_killed_takes_the_same_command_again(
    many: Path, client: Client, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = f"{memory}/out", replace(SMALL, k=2)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def ended(settings: Settings, overwrite: bool) -> dict[str, bytes]:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("dff_onnx.cluster.home.Home.finish", killed)
            run_on_cluster(client, str(many), out, Colours(), Fake(), settings, overwrite=overwrite)
        return uploaded(out)

    assert {"run.toml", "overlays/00.png"} < ended(SMALL, False).keys()
    run_on_cluster(client, str(many), out, Colours(), Fake(), SMALL)
    whole = uploaded(out)
    assert "results.json" in whole
    left = ended(other, True)
    assert left["run.toml"] != whole["run.toml"] and "results.json" not in left
    run_on_cluster(client, str(many), out, Colours(), Fake(), other)
    run_on_cluster(client, str(many), f"{memory}/new", Colours(), Fake(), other)
    assert uploaded(out) == uploaded(f"{memory}/new")


def test_an_address_that_holds_another_run_is_named_as_it_was_given(many: Path, client: Client, memory: str) -> None:
    put_there(f"{memory}/out", {"run.toml": b"not ours"})
    with pytest.raises(UsageError, match=r"^memory://tests/out: is not empty and holds no run"):
        run_on_cluster(client, str(many), f"{memory}/out", Colours(), Fake(), SMALL)


def test_one_picture_is_titled_as_on_one_machine(many: Path, tmp_path: Path, client: Client) -> None:
    run(many / "03.png", tmp_path / "one", Colours(), SMALL)
    run_on_cluster(client, str(many / "03.png"), str(tmp_path / "all"), Colours(), Fake(), SMALL)
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


def test_an_output_address_is_looked_at_itself_for_whether_it_lies_among_the_pictures(
    many: Path, tmp_path: Path, client: Client, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, out in ((many, f"file://{many}/out"), (f"file://{many}", many / "out"), (many, f"file://{many}")):
        with pytest.raises(UsageError, match="lies inside the folder of pictures"):
            run_on_cluster(client, str(folder), str(out), Colours(), Fake(), SMALL)
    monkeypatch.setattr(tempfile, "tempdir", str(many))  # what the driver keeps for an address may lie anywhere
    run_on_cluster(client, str(many), f"{memory}/out", Colours(), Fake(), SMALL)
    run(many, tmp_path / "one", Colours(), SMALL)
    assert uploaded(f"{memory}/out") == contents(tmp_path / "one")


class Failing(Colours):
    """Has no room for the third batch."""

    workers = 1

    def __init__(self) -> None:
        self._left = 2

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        if not self._left:
            raise OutputError("no room")
        self._left -= 1
        return super().__call__(pixels)


def test_a_cluster_ends_what_one_machine_began_and_leaves_nothing_of_it(
    many: Path, tmp_path: Path, client: Client
) -> None:
    run(many, tmp_path / "one", Colours(), SMALL)
    out = tmp_path / "out"
    with pytest.raises(OutputError):
        run(many, out, Failing(), SMALL)
    assert list((out / RESUME).glob("*.rows"))
    run_on_cluster(client, str(many), str(out), Colours(), Fake(), SMALL)
    assert contents(out) == contents(tmp_path / "one")


def test_a_folder_that_another_process_works_in_is_refused(many: Path, tmp_path: Path, client: Client) -> None:
    other = Workplace(tmp_path / "out")
    with pytest.raises(UsageError, match=r"process \d+ is at work there"):
        run_on_cluster(client, str(many), str(tmp_path / "out"), Colours(), Fake(), SMALL)
    other.leave()
    run_on_cluster(client, str(many), str(tmp_path / "out"), Colours(), Fake(), SMALL)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(k="auto"),
        Settings(per_image=True),
        Settings(foreground=True),
        Settings(solver="mu"),
        Settings(sample=3),
        Settings(crf=Crf()),
    ],
    ids=["auto", "per image", "foreground", "mu", "sample", "crf"],
)
def test_settings_that_a_cluster_has_not_are_refused(settings: Settings, tmp_path: Path, client: Client) -> None:
    with pytest.raises(UsageError, match="--cluster"):
        run_on_cluster(client, str(tmp_path), str(tmp_path / "out"), Colours(), Fake(), settings)


def test_what_a_cluster_cannot_do_is_said_before_anything_is_read(tmp_path: Path, client: Client) -> None:
    with pytest.raises(UsageError, match="inside"):
        run_on_cluster(client, "memory://a", "memory://a/out", Colours(), Fake(), SMALL)
    with pytest.raises(UsageError, match="fsspec cannot open"):
        run_on_cluster(client, "nosuch://a", str(tmp_path / "out"), Colours(), Fake(), SMALL)
    with pytest.raises(UsageError, match="no such folder"):
        run_on_cluster(client, "memory://none", str(tmp_path / "out"), Colours(), Fake(), SMALL)


def test_a_folder_without_a_usable_picture_says_so(tmp_path: Path, client: Client) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match="not one of 1"):
        run_on_cluster(client, str(tmp_path / "in"), str(tmp_path / "out"), Colours(), Fake(), SMALL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["nonsense", "", "host:8786", "tcp://host", "tcp://host:x", "http://host:80"])
def test_what_is_no_address_is_refused_before_a_client_hangs_on_it(address: str) -> None:
    with pytest.raises(UsageError, match="is no address; give that of a Dask scheduler"), connected(address):
        pass


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dff_onnx.cluster.connect.PATIENCE", 0.2)
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:1"), connected("tcp://127.0.0.1:1"):
        pass


class ForeignError(Exception):
    """As a library of some storage raises it: no OSError."""


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        ("find", OutputError, r"tests/out: cannot be listed \(no credentials\)"),
        ("find of pictures", NetworkError, r"tests/in: cannot be listed \(no credentials\)"),
        ("cat_file", NetworkError, r"tests/in/.*\.png: cannot be read \(no credentials\)"),
        ("pipe_file", OutputError, r"tests/out/run\.toml: cannot be written \(no credentials\)"),
        ("rm_file", OutputError, r"tests/out/overlays/0\.png: the earlier run's file cannot be removed"),
    ],
)
def test_what_storage_refuses_is_said_in_a_sentence(
    many: Path,
    client: Client,
    memory: str,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    kind: type[Exception],
    said: str,
) -> None:
    put_there(f"{memory}/in", contents(many))
    if call == "rm_file":
        put_there(f"{memory}/out", {"run.toml": f"{RUN_MARKER}\n".encode(), "overlays/0.png": b""})
    method, kept = call.split()[0], "/out" if call == "find of pictures" else "nowhere"
    system = type(fsspec.filesystem("memory"))
    real = getattr(system, method)

    def refusing(self: Any, path: str, *rest: Any, **options: Any) -> Any:
        if path.endswith(kept):
            return real(self, path, *rest, **options)
        raise ForeignError("no credentials")

    with monkeypatch.context() as patched, pytest.raises(kind, match=said):
        patched.setattr(system, method, refusing)
        run_on_cluster(client, f"{memory}/in", f"{memory}/out", Colours(), Fake(), SMALL, overwrite=True)


def test_a_scheduler_that_drops_the_work_is_named(client: Client) -> None:
    rows = DaskRows.opened(client, [partial(row_source, number) for number in range(2)])
    client.cancel(list(rows.loaded), force=True)
    with pytest.raises(NetworkError, match=r"^\w+://.*: the scheduler is gone, or has dropped the work"):
        list(rows.each(size_of))


def test_a_cluster_that_is_gone_in_mid_run_is_named(many: Path, tmp_path: Path, client: Client) -> None:
    own, gone = Client(client.scheduler.address, set_as_default=False), "the scheduler is gone"
    with own, pytest.raises(NetworkError, match=gone):
        run_on_cluster(own, str(many), str(tmp_path / "out"), Colours(), Fake(), SMALL, progress=Closing(own))
    assert not (tmp_path / "out" / "results.json").exists()


class Closing(Silent):
    """Closes a client before anything is factorized."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def start(self, stage: str, total: int | None = None) -> None:
        super().start(stage, total)
        if stage == "factorizing":
            self._client.close()


def size_of(part: Part) -> int:
    return part.size
