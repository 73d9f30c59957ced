"""A connection to a cluster: one that is there, or one of this machine alone."""

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator

import ray

from transfer.errors import TransferError

_SECONDS_TO_ANSWER = 10.0


@contextlib.contextmanager
def connected(address: str = "") -> Iterator[None]:
    """Connect to a Ray cluster; with no address start one here, which ends with the context.

    `address` is `auto` on a machine of the cluster, the head's `HOST:PORT`, or `ray://HOST:PORT`
    from outside.

    Within the context a further one uses the same connection.

    Raises `TransferError` when no cluster answers.
    """
    if ray.is_initialized():
        yield
        return
    if address not in ("", "auto"):
        _require_answer(address)
    # Ray should hide the GPUs from a task that reserves none; without this it warns instead.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        # JAX warns of a fork; what Ray forks becomes another program at once.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if address else False,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise _unreached(address or "this machine", reason) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise `TransferError` unless something listens there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise TransferError(
            f'The address "{address}" is none of a Ray cluster; expected auto, HOST:PORT or '
            "ray://HOST:PORT."
        )
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise _unreached(address, error.strerror or str(error)) from error


def _unreached(where: str, reason: str) -> TransferError:
    return TransferError(
        f"No Ray cluster was reached at {where} ({reason}); expected a running one: ray start "
        "--head on its first machine, or no --address for one of this machine alone."
    )
