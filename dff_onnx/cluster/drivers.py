"""One driver at a time for each OUT, as far as one scheduler knows of them.

Locks of files keep the processes of one machine apart (`dff_onnx.runs.workplace`); an address has none, and on storage
that machines share they may hold nothing. What all drivers of a cluster share is its scheduler: a lease there says that
an OUT is taken. Dask's client renews it from a thread of its own. A driver that is killed renews nothing, and its lease
runs out: Dask does not end it when the connection breaks. A process that stood still for so long loses it the same way,
so it asks once more who has it before it writes.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dask
from distributed import Client, Semaphore

from dff_onnx.cluster.connect import reached
from dff_onnx.cluster.storage import place_of
from dff_onnx.errors import OutputError, UsageError

# Seconds. Dask's scheduler looks every ten seconds which leases have run out: half a minute in all.
LEASE = 20.0
_SETTING = "distributed.scheduler.locks.lease-timeout"


@dataclass(frozen=True, slots=True)
class Hold:
    """An OUT that is ours.

    Attributes:
        client: of the cluster.
        out: as it was given.
        name: of the lease.
        token: of whoever has it: host, process, and a word that no other hold has.
    """

    client: Client
    out: str
    name: str
    token: tuple[str, int, str]

    def confirm(self) -> None:
        """Sees that no other driver has taken it meanwhile.

        Raises:
            OutputError: when one has.
            NetworkError: when the scheduler is gone.
        """
        with reached(self.client):
            if (holder := _holder(self.client, self.name)) != self.token:
                raise OutputError(
                    f"{self.out}: {_said(holder)} has taken it over, as this process stood still for longer than "
                    f"{LEASE:g} s; nothing more is written from here; run the command again once the other is done"
                )


@contextmanager
def held(client: Client, out: str) -> Iterator[Hold]:
    """Takes an OUT until the end of the block.

    Args:
        client: of the cluster.
        out: a path or an address.

    Raises:
        UsageError: when another driver of the same scheduler has it, naming that.
        NetworkError: when the scheduler is gone.
    """
    kind, place = place_of(out)
    name = f"dff-onnx {kind} {place}"
    with reached(client):
        lease = _lease(client, name)
        if lease is None:
            raise UsageError(
                f"{out}: {_said(_holder(client, name))} is at work there with the same cluster; wait until it is "
                "done, or end it, and run the command again, or choose another folder with -o; if it was killed, the "
                "place is free half a minute later at most"
            )
        hold = Hold(client, out, name, (platform.node(), os.getpid(), lease.id))
        client.set_metadata([name], list(hold.token))
    try:
        yield hold
    finally:
        lease.refresh_leases = False
        if client.status == "running":  # else there is no scheduler to be told
            lease.release()


def _lease(client: Client, name: str) -> Semaphore | None:
    """A lease of one, renewed until it is released; None where another has it.

    Not `distributed.Lock`, whose arguments have changed with versions; it is the same within.
    """
    with dask.config.set({_SETTING: f"{LEASE} s"}):  # no argument says it; "inf" there would outlive who is killed
        lease = Semaphore(1, name, scheduler_rpc=client.scheduler, loop=client.loop)
        lease.register()
    return lease if lease.acquire(timeout=0) else None


def _holder(client: Client, name: str) -> tuple[str, int, str] | None:
    found = client.get_metadata([name], None)
    return None if found is None else tuple(found)


def _said(holder: tuple[str, int, str] | None) -> str:
    return "another process" if holder is None else f"process {holder[1]} on {holder[0]}"
