"""Machines made of one: each a network namespace behind a limited link, its processes held to a share of a core.

Linux alone, as root, with `ip` and `tc` (iproute2) and the cpu controller of cgroups v1. All links meet in a bridge,
which is this machine's own place in that network. What was made goes when the block ends, whether by an error, Ctrl-C,
SIGTERM or SIGHUP; what a killed process left goes when this is next used.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup/cpu")
NETWORK = "198.18.77"  # of the range that RFC 2544 sets aside for benchmarks
HERE = f"{NETWORK}.1"
PERIOD = 20_000  # microseconds: a machine that is slow, not one that stands still for long
SHARES = "65536"  # other work of this machine waits: what a machine may have it gets
BURST = "512kb"  # what a timer's tick lets through at 1 Gbit/s
OURS = re.compile(r"dff(\d+)(?:b|m\d+)")
TRIES = 50


class CannotError(Exception):
    """Why no machines can be made here, in a sentence."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One of them.

    Attributes:
        name: of its namespace, its control group and our end of its link.
        address: in the network that the machines share.
    """

    name: str
    address: str

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """A process on it."""
        words = ["ip", "netns", "exec", self.name, *words]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (GROUPS / self.name / "cgroup.procs").write_text(str(process.pid))
        return process

    def slow(self, cores: float | None) -> None:
        """Holds its processes to a share of a core; None to all they can get."""
        quota = -1 if cores is None else round(cores * PERIOD)
        (GROUPS / self.name / "cpu.cfs_period_us").write_text(str(PERIOD))
        (GROUPS / self.name / "cpu.cfs_quota_us").write_text(str(quota))

    def limit(self, rate: str) -> None:
        """Limits its link each way, `1gbit` say, in the words of `tc`."""
        bucket = ["root", "tbf", "rate", rate, "burst", BURST, "latency", "50ms"]
        _done(["tc", "qdisc", "replace", "dev", self.name, *bucket])
        _done(["tc", "-n", self.name, "qdisc", "replace", "dev", "eth0", *bucket])

    def traffic(self) -> tuple[int, int]:
        """Bytes that it has sent and received, with all headers."""
        said = json.loads(_done(["ip", "-j", "-s", "link", "show", "dev", self.name]))[0]["stats64"]
        return int(said["rx"]["bytes"]), int(said["tx"]["bytes"])


@contextlib.contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Makes machines, without limits yet.

    Args:
        count: of them.

    Raises:
        CannotError: when this machine cannot.
    """
    _check()
    clean(None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))  # so that the block below ends as by an error
    try:
        yield _made(count)
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        clean(os.getpid())


def clean(owner: int | None) -> None:
    """Ends what runs on machines, and removes them.

    Args:
        owner: the process whose machines they are; None for all processes that have ended.
    """
    links = [link["ifname"] for link in json.loads(_done(["ip", "-j", "link", "show"]))]
    spaces = [space["name"] for space in json.loads(_done(["ip", "-j", "netns", "list"]) or "[]")]
    groups = [group.name for group in GROUPS.iterdir() if group.is_dir()]
    for name in sorted({name for name in (*links, *spaces, *groups) if _is_of(name, owner)}):
        if name in groups:
            _emptied(GROUPS / name)
        # A link goes with its namespace, some time after it: either may be gone already.
        for what in ("netns", "link"):
            subprocess.run(["ip", what, "delete", name], capture_output=True, check=False)


def seconds_of(process: int) -> float:
    """Seconds of a core that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_of(name: str, owner: int | None) -> bool:
    found = OURS.fullmatch(name)
    if not found:
        return False
    return int(found[1]) == owner if owner else not Path("/proc", found[1]).exists()


def _emptied(group: Path) -> None:
    """Kills what runs in a control group, and removes it once that has ended."""
    for _ in range(TRIES):
        for process in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)
    print(f"{group}: cannot be removed; `rmdir` it once its processes have ended", file=sys.stderr)


def _check() -> None:
    if not sys.platform.startswith("linux"):
        raise CannotError("needs Linux: network namespaces and control groups are its own")
    if os.geteuid() != 0:
        raise CannotError("needs root, for network namespaces and control groups; run it with sudo")
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        raise CannotError(f"needs `{missing[0]}`, which is not here; install iproute2")
    if not (GROUPS / "cgroup.procs").is_file():
        raise CannotError(f"needs the cpu controller of cgroups v1 at {GROUPS}, which is not here")


def _made(count: int) -> list[Machine]:
    bridge = f"dff{os.getpid()}b"
    _done(["ip", "link", "add", bridge, "type", "bridge"])
    _done(["ip", "address", "add", f"{HERE}/24", "dev", bridge])
    _done(["ip", "link", "set", bridge, "up"])
    return [_one(f"dff{os.getpid()}m{i}", f"{NETWORK}.{i + 2}", bridge) for i in range(count)]


def _one(name: str, address: str, bridge: str) -> Machine:
    _done(["ip", "netns", "add", name])
    _done(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name])
    _done(["ip", "link", "set", name, "master", bridge, "up"])
    _done(["ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0"])
    for link in ("lo", "eth0"):
        _done(["ip", "-n", name, "link", "set", link, "up"])
    try:
        (GROUPS / name).mkdir()
        (GROUPS / name / "cpu.shares").write_text(SHARES)
    except OSError as error:
        raise CannotError(f"{GROUPS / name}: no control group can be made ({error.strerror})") from error
    return Machine(name, address)


def _done(words: list[str]) -> str:
    """What a command prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotError(f"`{' '.join(words)}` failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
