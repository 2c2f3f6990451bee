"""Runs on a cluster of processes: workers that are lost, pictures that end them, object storage."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("distributed", reason="needs Dask: pip install 'dff-onnx[cluster]'")
import dask
import fsspec
from distributed import Client, LocalCluster, get_worker
from fake_backbone import Colours
from workers_networks import Fake, OpensDeadly, OpensSlow, row_source

from dff_onnx.backbone.session import Backbone
from dff_onnx.cli import app
from dff_onnx.cluster.connect import connected
from dff_onnx.cluster.pictures import KILLER, NetworkFile
from dff_onnx.cluster.rows import DaskRows
from dff_onnx.cluster.run import run_on_cluster
from dff_onnx.errors import NetworkError, OutputError, UsageError
from dff_onnx.factorization import Part, factorize
from dff_onnx.images import Resize
from dff_onnx.progress import Silent
from dff_onnx.runs import chunks
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

SMALL = Settings(k=3, resize=Resize("square", 64))


@contextmanager
def processes(workers: int = 2, **options: Any) -> Iterator[Client]:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL, **options
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LEAST", 4)


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def kill(client: Client, number: int = 0) -> None:
    os.kill(sorted(client.run(os.getpid).values())[number], signal.SIGKILL)


def coefficients(part: Part) -> Any:
    return part.Ht


def where(part: Part) -> str:
    """Which worker works on a part."""
    time.sleep(0.02 * (part.block % 3))
    return str(get_worker().address)


def test_work_goes_where_the_rows_are_and_elsewhere_once_their_worker_is_gone() -> None:
    with processes() as client:
        rows = DaskRows.opened(client, [partial(row_source, number) for number in range(8)])
        held = [holders[0] for holders in rows.holders]
        assert len(set(held)) == 2
        assert [list(rows.each(where)) for _ in range(3)] == [held] * 3
        kill(client)
        assert len(list(rows.each(where))) == 8


@pytest.mark.parametrize("keep", [True, False], ids=["rows kept", "rows made anew"])
def test_a_factorization_whose_workers_are_killed_gives_the_same_bits(keep: bool) -> None:
    sources = [partial(row_source, number) for number in range(6)]
    A = np.concatenate([source().A for source in sources])
    theirs = factorize(A, 4, solver="hals", cuts=[2048, 952] * 6, blocks=[2] * 6)
    with processes() as client:
        rows, killed = DaskRows.opened(client, sources, keep=keep), list[bool]()

        class Fragile(DaskRows):
            """Loses a worker in the middle of the second pass, and one in the middle of the fourth."""

            def update(self, work: Any, cold: bool = False) -> Any:
                killed.append(cold)
                begun = DaskRows.update(self, work, cold)
                if len(killed) in (2, 4):
                    kill(client)
                return begun

        fragile = Fragile(client, rows.loaded, rows.extents, rows.coefficients, holders=rows.holders)
        found = factorize(fragile, 4, solver="hals")
        H = np.concatenate(list(fragile.each(coefficients)), axis=1).T
    assert len(killed) >= 4
    assert np.array_equal(found.W, theirs.W) and np.array_equal(H, theirs.H)
    assert (found.loss, found.history, found.energy) == (theirs.loss, theirs.history, theirs.energy)


def test_a_run_that_loses_a_worker_while_pictures_are_read_writes_the_same_bytes(many: Path, tmp_path: Path) -> None:
    run(many, tmp_path / "one", Colours(), SMALL)
    with processes() as client:
        threading.Timer(0.4, kill, (client,)).start()
        before = set(client.run(os.getpid).values())
        run_on_cluster(client, str(many), str(tmp_path / "all"), Colours(), OpensSlow(), SMALL)
        client.wait_for_workers(2)
        assert set(client.run(os.getpid).values()) != before
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


def test_a_picture_that_ends_its_process_is_listed_and_the_rest_is_as_without_it(many: Path, tmp_path: Path) -> None:
    deadly = many / "07a.png"
    Image.new("RGB", (120, 90), "white").save(deadly)
    with processes() as client:
        found = run_on_cluster(client, str(many), str(tmp_path / "all"), Colours(), OpensDeadly(), SMALL)
    assert {one.path: one.reason for one in found.failures}["07a.png"] == KILLER
    deadly.write_bytes(b"no picture")
    run(many, tmp_path / "one", Colours(), SMALL)
    here, there = contents(tmp_path / "one"), contents(tmp_path / "all")
    other = {name for name in here if here[name] != there[name]}
    assert here.keys() == there.keys() and other <= {"failures.json", "results.json", "report.html"}
    reasons = [json.loads(one["results.json"])["failures"] for one in (here, there)]
    assert [one["path"] for one in reasons[0]] == [one["path"] for one in reasons[1]]


def ends(part: Part) -> Any:
    """Ends the process that does it."""
    os._exit(part.size and 1)


def test_workers_that_end_over_and_over_in_a_pass_are_said_in_a_sentence() -> None:
    with processes() as client:
        rows = DaskRows.opened(client, [partial(row_source, number) for number in range(2)])
        with pytest.raises(NetworkError, match=r"^tcp://.*: worker after worker ended .*, the last at tcp://"):
            list(rows.each(ends))


def started(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "distributed.cli." + words[0], *words[1:]])


def test_a_scheduler_that_is_killed_in_mid_run_is_said_in_a_sentence(many: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = started("dask_scheduler", "--port", address.rpartition(":")[2], "--host", "127.0.0.1", "--no-dashboard")
    worker = started("dask_worker", address, "--no-dashboard", "--nthreads", "1")

    class Killing(Silent):
        def start(self, stage: str, total: int | None = None) -> None:
            super().start(stage, total)
            if stage == "drawing":
                scheduler.kill()

    try:
        with pytest.raises(NetworkError, match=rf"^{address}: the scheduler is gone"), connected(address) as client:
            run_on_cluster(client, str(many), str(tmp_path / "out"), Colours(), Fake(), SMALL, progress=Killing())
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def without_credentials() -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def test_credentials_that_are_missing_are_said_in_a_sentence(
    many: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    for name, data in contents(many).items():
        system.pipe_file(f"pictures/in/{name}", data)
    with processes() as client:
        client.run(without_credentials)
        with pytest.raises(NetworkError, match=r"^s3://pictures/in/.*png: cannot be read \(.*credentials"):
            run_on_cluster(client, f"{bucket}/in", f"{bucket}/out", Colours(), Fake(), SMALL)
        with pytest.raises(OutputError, match=r"^s3://pictures/out/overlays/.*: cannot be written \(.*credentials"):
            run_on_cluster(client, str(many), f"{bucket}/out", Colours(), Fake(), SMALL)
        assert system.find("pictures/out") == ["pictures/out/run.toml"]
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        without_credentials()
        type(system).clear_instance_cache()
        with pytest.raises(OutputError, match=r"^s3://elsewhere/out: cannot be listed \(.*credentials"):
            run_on_cluster(client, str(many), "s3://elsewhere/out", Colours(), Fake(), SMALL)


def test_workers_of_different_speed_share_the_work_and_change_nothing(many: Path, tmp_path: Path) -> None:
    run(many, tmp_path / "one", Colours(), SMALL)
    with processes() as client:
        client.run(busy, workers=[next(iter(client.nthreads()))])
        run_on_cluster(client, str(many), str(tmp_path / "all"), Colours(), Fake(), SMALL)
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


def busy() -> None:
    """Takes half of a worker's time from it."""

    def work() -> None:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            sum(range(20_000))

    threading.Thread(target=work, daemon=True).start()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on an S3 server of this machine, that worker processes reach, too."""
    for package in ("moto", "s3fs"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'dff-onnx[server]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    type(system).clear_instance_cache()  # one that another test left knows another server
    system.mkdir("pictures")
    yield "s3://pictures"
    system.invalidate_cache()
    system.rm("pictures", recursive=True)
    server.stop()


def test_pictures_come_from_object_storage_and_results_go_there(many: Path, tmp_path: Path, bucket: str) -> None:
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    for name, data in contents(many).items():
        system.pipe_file(f"pictures/in/{name}", data)
    with processes() as client:
        run_on_cluster(client, f"{bucket}/in", f"{bucket}/out", Colours(), Fake(), SMALL)
        run_on_cluster(client, f"{bucket}/in", str(tmp_path / "down"), Colours(), Fake(), SMALL)
    run(many, tmp_path / "one", Colours(), SMALL)
    here, down = contents(tmp_path / "one"), contents(tmp_path / "down")
    system.invalidate_cache()
    there = {name.removeprefix("pictures/out/"): system.cat_file(name) for name in system.find("pictures/out")}
    assert there.keys() == here.keys()
    for stored in (there, down):
        assert {name for name in here if stored[name] != here[name]} <= {"run.toml", "report.html"}


def test_the_command_runs_on_a_cluster_with_a_real_network(many: Path, tmp_path: Path) -> None:
    def command(out: str, *words: str) -> Any:
        return CliRunner().invoke(app, ["run", str(many), "-k", "2", "-o", str(tmp_path / out), *words])

    with processes() as client:
        cluster = ("--cluster", client.scheduler.address)
        assert (command("one").exit_code, command("all", *cluster).exit_code) == (3, 3)
        with pytest.raises(UsageError, match="--cluster"):
            raise command("no", *cluster, "--faithfulness").exception
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


def test_a_network_that_a_worker_has_not_is_named(tmp_path: Path) -> None:
    here = Backbone.open()
    there = NetworkFile(tmp_path / "gone.onnx", here.fingerprint.model_sha256)
    assert there().fingerprint == here.fingerprint  # the embedded one, whatever the path
    with pytest.raises(Exception, match=r"on a worker: .*gone\.onnx"):
        NetworkFile(tmp_path / "gone.onnx", "f" * 64)()
