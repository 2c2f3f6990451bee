"""To a Dask scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client

from dff_onnx.errors import NetworkError

PATIENCE = 30  # seconds, for the scheduler and for its first worker


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of a scheduler that has a worker.

    Args:
        address: of the scheduler, `tcp://host:8786`; with `tls://` Dask's own settings say the certificates.

    Raises:
        NetworkError: when it cannot be reached, or has no worker within half a minute.
    """
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
