"""Two drivers of one cluster: at one OUT the second is refused until the first has ended, or its lease has run out."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="needs Dask: pip install 'dff-onnx[cluster]'")
import dask
import fsspec
from distributed import Client, LocalCluster, Semaphore
from fake_backbone import Colours
from workers_networks import Fake

from dff_onnx.cluster.drivers import held
from dff_onnx.cluster.run import run_on_cluster
from dff_onnx.errors import OutputError, UsageError
from dff_onnx.images import Resize
from dff_onnx.progress import Silent
from dff_onnx.runs import chunks
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

SMALL = Settings(k=3, resize=Resize("square", 64))
ME = f"process {os.getpid()} on {platform.node()}"
HOLDER = """
import sys, time
from distributed import Client
from dff_onnx.cluster import drivers
drivers.LEASE = 1.0
with Client(sys.argv[1], set_as_default=False) as client, drivers.held(client, sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with (
        dask.config.set({"distributed.scheduler.locks.lease-validation-interval": "0.1 s"}),
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=None
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def clients(cluster: LocalCluster) -> Iterator[tuple[Client, Client]]:
    with Client(cluster, set_as_default=False) as first, Client(cluster, set_as_default=False) as second:
        yield first, second


@pytest.fixture(autouse=True)
def small_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LEAST", 4)
    monkeypatch.setattr("dff_onnx.cluster.drivers.LEASE", 1.0)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A path, or an address."""
    if request.param == "path":
        yield str(tmp_path / "out")
        return
    yield f"memory://drivers{tmp_path}"
    system = fsspec.filesystem("memory")
    if system.exists("/drivers"):
        system.rm("/drivers", recursive=True)


class Meanwhile(Silent):
    """Does something else once pictures are read."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def start(self, stage: str, total: int | None = None) -> None:
        super().start(stage, total)
        if stage == "factorizing":
            self._act()


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("place", ["path", "address"], indirect=True)
def test_a_second_driver_at_the_same_place_is_refused_until_the_first_has_ended(
    many: Path, clients: tuple[Client, Client], place: str
) -> None:
    first, second = clients

    def other() -> None:
        with pytest.raises(UsageError, match=rf"{place}: {ME} is at work there .* free half a minute later at most"):
            run_on_cluster(second, str(many), place, Colours(), Fake(), SMALL)

    run_on_cluster(first, str(many), place, Colours(), Fake(), SMALL, progress=Meanwhile(other))
    run_on_cluster(second, str(many), place, Colours(), Fake(), SMALL)


def test_a_driver_that_failed_leaves_its_place_free_at_once(many: Path, clients: tuple[Client, Client]) -> None:
    def fails() -> None:
        raise OutputError("no room")

    with pytest.raises(OutputError, match="no room"):
        run_on_cluster(
            clients[0], str(many), "memory://drivers/f", Colours(), Fake(), SMALL, progress=Meanwhile(fails)
        )  # fmt: skip
    with held(clients[1], "memory://drivers/f"):
        pass


def test_drivers_at_different_places_work_at_once_and_write_what_one_machine_does(
    many: Path, tmp_path: Path, clients: tuple[Client, Client]
) -> None:
    def other() -> None:
        run_on_cluster(clients[1], str(many), str(tmp_path / "two"), Colours(), Fake(), SMALL)

    run_on_cluster(
        clients[0], str(many), str(tmp_path / "one"), Colours(), Fake(), SMALL, progress=Meanwhile(other)
    )  # fmt: skip
    run(many, tmp_path / "here", Colours(), SMALL)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "here")


@pytest.mark.parametrize(
    ("one", "same"), [("{tmp}/out", "file://{tmp}/out"), ("memory://drivers/out", "memory://drivers/out/")]
)
def test_a_place_is_the_same_however_it_is_written(
    one: str, same: str, tmp_path: Path, clients: tuple[Client, Client]
) -> None:
    with (
        held(clients[0], one.format(tmp=tmp_path)),
        pytest.raises(UsageError, match="is at work there"),
        held(clients[1], same.format(tmp=tmp_path)),
    ):
        pass


def test_a_lease_is_renewed_for_as_long_as_its_driver_lives(clients: tuple[Client, Client]) -> None:
    with held(clients[0], "memory://drivers/long") as hold:
        time.sleep(2)  # two leases
        with pytest.raises(UsageError), held(clients[1], "memory://drivers/long"):
            pass
        hold.confirm()


@pytest.mark.slow
def test_the_lease_of_a_driver_that_was_killed_runs_out(clients: tuple[Client, Client]) -> None:
    place = "memory://drivers/killed"
    words = [sys.executable, "-c", HOLDER, clients[0].scheduler.address, place]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == b"held\n"
        driver.kill()
        driver.wait()
        with pytest.raises(UsageError, match=f"process {driver.pid} on {platform.node()}"), held(clients[0], place):
            pass
    _taken(clients[0], place)


def _taken(client: Client, place: str) -> None:
    """Takes a place as soon as its lease has run out."""
    until = time.monotonic() + 10
    while True:
        try:
            with held(client, place):
                return
        except UsageError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class Lame(Semaphore):
    """As in a process that stands still: it renews nothing."""

    async def _refresh_leases(self) -> None:
        return


def test_a_driver_that_stood_still_while_another_took_its_place_writes_nothing_more(
    many: Path, tmp_path: Path, clients: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dff_onnx.cluster.drivers.Semaphore", Lame)
    first, second = clients
    out = tmp_path / "out"
    with pytest.raises(OutputError, match=f"{out}: {ME} has taken it over"):
        run_on_cluster(
            first, str(many), str(out), Colours(), Fake(), SMALL,
            progress=Meanwhile(lambda: _taken(second, str(out))),
        )  # fmt: skip
    assert contents(out).keys() == {"run.toml"}
