"""How long processes wait for each other, and the status they exit with when it was too long."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from transfer.errors import TransferError

# The exit status when another process is gone or stuck; unlike with 75, nothing has been saved.
PEER_LOST = 76
_VARIABLE = "TRANSFER_PEER_TIMEOUT"
_DEFAULT = 100.0


def heartbeat_seconds() -> float:
    """Seconds without a heartbeat after which a process counts as dead: 100.

    The environment variable `TRANSFER_PEER_TIMEOUT` sets another number.
    """
    text = os.environ.get(_VARIABLE, "")
    try:
        seconds = float(text or _DEFAULT)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < float("inf"):
        raise TransferError(
            f'{_VARIABLE} is "{text}"; expected after how many seconds, at least 1, a process that '
            "gives no sign of life is taken for dead."
        )
    return seconds


def collective_seconds() -> float:
    """Seconds that a short collective may take: 6 times `heartbeat_seconds`.

    A process that lives but never reaches the collective counts as stuck after them.
    """
    return 6 * heartbeat_seconds()


@contextlib.contextmanager
def collective_timeout() -> Iterator[None]:
    """Abort this process if the short collectives in the block exceed `collective_seconds()`.

    The process prints the reason and exits with the status `PEER_LOST`, because it hangs inside a
    collective, from which no exception can be raised.
    """
    import jax  # here, because the command line reads the status above before JAX is needed

    if jax.process_count() == 1:
        yield
        return
    who = f"process {jax.process_index()} of {jax.process_count()}"
    timer = threading.Timer(collective_seconds(), _abort, [who])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _abort(who: str) -> None:
    print(
        f"transfer: {who} has waited for the others for {collective_seconds():g} s, so one of "
        "them, or this one, is stuck; the same command, for all, goes on from the last checkpoint.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(PEER_LOST)
