"""What more machines gain: the same run on a cluster of 1, 2 and 4 simulated machines with links of limited bandwidth.

    sudo DFF_ONNX_DATA=... python benchmarks/cluster_workers.py

Each machine is a network namespace behind a limited link and a control group with a share of a core, and runs one
worker of one thread; scheduler and driver run beside them on what is left of the cores. Pictures are read from, and
overlays written to, this machine's disk, past the links. A machine slowed to a quarter of a core behind 1 Gbit/s has as
many bits for each step of work as a full core behind 4 Gbit/s: `--rates` says what is tried. Needs root and Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cluster_machines import HERE, CannotError, Machine, machines, seconds_of
from distributed import Client

from dff_onnx.files import walk_pictures

ADDRESS = f"tcp://{HERE}:8786"
WARM = 64  # pictures for each worker, before anything is measured


@dataclass(frozen=True, slots=True)
class Measured:
    """A run: seconds by the clock; seconds of a core of driver, scheduler and each worker; bytes of each worker."""

    seconds: float
    driver: float
    scheduler: float
    workers: list[float]
    sent: list[int]
    received: list[int]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A scheduler here, and a worker on each machine."""

    machines: Sequence[Machine]
    scheduler: subprocess.Popen[bytes]
    workers: Sequence[subprocess.Popen[bytes]]

    def measured(self, folder: Path, out: Path) -> Measured:
        """The command, from its start to its end."""
        processes = [self.scheduler.pid, *(worker.pid for worker in self.workers)]
        taken, traffic = list(map(seconds_of, processes)), [one.traffic() for one in self.machines]
        children, begun = _children(), time.perf_counter()
        run(folder, out, "--cluster", ADDRESS)
        seconds, driver = time.perf_counter() - begun, _children() - children
        scheduler, *workers = (now - before for now, before in zip(map(seconds_of, processes), taken, strict=True))
        now = [one.traffic() for one in self.machines]
        sent, received = ([b[i] - a[i] for a, b in zip(traffic, now, strict=True)] for i in (0, 1))
        return Measured(seconds, driver, scheduler, workers, sent, received)


def main() -> int:
    """Measures, and prints a table for each bandwidth."""
    asked = _arguments()
    named = os.environ.get("DFF_ONNX_DATA")
    if named is None:
        print("set DFF_ONNX_DATA to a folder that has photographs in photos/", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _all(asked, Path(named, "photos"), Path(scratch))
    except CannotError as error:
        print(f"benchmarks/cluster_workers.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument(
        "--rates", nargs="+", default=["1gbit", "100mbit"], help="of each link, each way, as tc says it"
    )
    parser.add_argument("--cores", type=float, default=0.25, help="of each machine")
    parser.add_argument("--photographs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1, help="of which the fastest counts")
    return parser.parse_args()


def _all(asked: argparse.Namespace, photographs: Path, scratch: Path) -> None:
    found: dict[tuple[str, int], Measured] = {}
    with machines(max(asked.workers)) as made:
        folder = linked(photographs, scratch / "pictures", asked.photographs)
        begun = time.perf_counter()
        run(folder, scratch / "one")
        print(f"{asked.photographs} photographs, one process without a limit: {time.perf_counter() - begun:.1f} s")
        for count in asked.workers:
            warm = linked(photographs, scratch / f"warm{count}", WARM * count)
            with cluster(made[:count], warm, scratch / f"warm-out{count}", asked.cores) as workers:
                for rate in asked.rates:
                    found[rate, count] = _fastest(workers, folder, scratch, rate, asked.rounds)
    for rate in asked.rates:
        _table(rate, asked.cores, {count: found[rate, count] for count in asked.workers})


def _fastest(workers: Cluster, folder: Path, scratch: Path, rate: str, rounds: int) -> Measured:
    for machine in workers.machines:
        machine.limit(rate)
    every = list[Measured]()
    for _ in range(rounds):
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(dir=scratch) as out:
            every.append(workers.measured(folder, Path(out)))
            same(scratch / "one", Path(out))
        _told(rate, every[-1], load)
    return min(every, key=lambda one: one.seconds)


def run(folder: Path, out: Path, *more: str) -> None:
    """The command as a person gives it."""
    command = [sys.executable, "-m", "dff_onnx", "run", str(folder), "-o", str(out), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise CannotError(f"`{' '.join(command[2:])}` ended with {done.returncode}: {said[-1]}")


def same(one: Path, other: Path) -> None:
    """Sees that two folders have the same files, byte for byte.

    Raises:
        CannotError: when they have not.
    """
    here, there = (
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (one, other)
    )
    if other_files := sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name)):
        raise CannotError(f"the cluster's files are not those of one machine: {', '.join(other_files)}")


def linked(photographs: Path, folder: Path, count: int) -> Path:
    """A folder of links to the first photographs."""
    folder.mkdir()
    for path in islice(walk_pictures(photographs), count):
        (folder / path.name).symlink_to((photographs / path).resolve())
    return folder


@contextlib.contextmanager
def cluster(made: Sequence[Machine], warm: Path, out: Path, cores: float) -> Iterator[Cluster]:
    """Workers that have done a run already, slowed from then on."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        scheduler = stack.enter_context(_ended(_scheduler(scratch)))
        for machine in made:
            machine.slow(None)
        workers = [stack.enter_context(_ended(machine.start(_worker(machine, scratch)))) for machine in made]
        _wait_for(len(made))
        run(warm, out, "--cluster", ADDRESS)
        for machine in made:
            machine.slow(cores)
        yield Cluster(made, scheduler, workers)


def _scheduler(scratch: str) -> subprocess.Popen[bytes]:
    words = ["-m", "distributed.cli.dask_scheduler", "--host", HERE, "--no-dashboard"]
    environment = os.environ | {"DASK_TEMPORARY_DIRECTORY": scratch}
    return subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.DEVNULL)


def _wait_for(workers: int) -> None:
    try:
        with Client(ADDRESS, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
    except OSError as error:  # TimeoutError is one
        raise CannotError(f"no scheduler with {workers} workers at {ADDRESS} within a minute ({error})") from error


def _worker(machine: Machine, scratch: str) -> list[str]:
    own = ["--host", machine.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "2GB"]
    return [sys.executable, "-m", "distributed.cli.dask_worker", ADDRESS, *own, "--local-directory", scratch]


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _children() -> float:
    """Seconds of a core that commands which have ended took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _told(rate: str, one: Measured, load: float) -> None:
    """A line as soon as there is something to say."""
    print(
        f"{rate}, {len(one.workers)} workers: {one.seconds:.1f} s, every file equal to one machine's; "
        f"seconds of a core: driver {one.driver:.1f}, scheduler {one.scheduler:.1f}, workers {sum(one.workers):.1f}; "
        f"MB of each worker: sent {_megabytes(one.sent)}, received {_megabytes(one.received)}; load before {load:.1f}",
        flush=True,
    )


def _table(rate: str, cores: float, runs: dict[int, Measured]) -> None:
    print(f"\nlinks of {rate}, machines of {cores:g} cores\nworkers  seconds  speed-up  efficiency")
    first, alone = next(iter(runs.items()))
    for count, one in runs.items():
        gain = alone.seconds * first / one.seconds
        print(f"{count:7}  {one.seconds:7.1f}  {gain:8.2f}  {gain / count:10.2f}")


def _megabytes(each: Sequence[int]) -> str:
    low, high = min(each) / 1e6, max(each) / 1e6
    return f"{low:.1f}" if len(each) == 1 else f"{low:.1f}-{high:.1f}"


if __name__ == "__main__":
    sys.exit(main())
