"""To a Dask scheduler, and what is said when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import CancelledError, Client, KilledWorker
from distributed.comm import CommClosedError, get_address_host_port

from dff_onnx.errors import DffError, NetworkError, UsageError

PATIENCE = 30  # seconds, for the scheduler and for its first worker


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of a scheduler that has a worker.

    Args:
        address: of the scheduler, `tcp://host:8786`; with `tls://` Dask's own settings say the certificates.

    Raises:
        UsageError: when it is no address.
        NetworkError: when it cannot be reached, or has no worker within half a minute.
    """
    _check(address)
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise NetworkError(
            f"{address}: no Dask scheduler can be reached there ({type(error).__name__}); start one with "
            "`dask scheduler`, and workers with `dask worker`"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise NetworkError(f"{address}: has no worker; start some with `dask worker {address}`") from error
        yield client


@contextmanager
def reached(client: Client) -> Iterator[None]:
    """Around what is asked of a cluster.

    Args:
        client: of the cluster.

    Raises:
        NetworkError: in place of Dask's own errors, when the scheduler is gone, or workers end over and over.
    """
    address = getattr(client.scheduler, "address", "the cluster")
    try:
        yield
    except DffError:
        raise
    except KilledWorker as error:
        raise NetworkError(
            f"{address}: worker after worker ended at the same part of the work, the last at "
            f"{error.last_worker.address}; give workers more memory, or look at their logs, and run the command again"
        ) from error
    except Exception as error:
        # A client that was closed says so by an error without a kind of its own.
        if not isinstance(error, CancelledError | CommClosedError) and client.status not in ("closing", "closed"):
            raise
        raise NetworkError(
            f"{address}: the scheduler is gone, or has dropped the work ({type(error).__name__}); see that it and its "
            "workers run, then run the same command again"
        ) from error


def _check(address: str) -> None:
    """Before there is a client: one that was given nonsense hangs when it is forgotten."""
    try:
        get_address_host_port(address, strict=True)
    except ValueError as error:
        raise UsageError(
            f"--cluster {ascii(address)[:100]}: is no address; give that of a Dask scheduler, as tcp://host:8786"
        ) from error
