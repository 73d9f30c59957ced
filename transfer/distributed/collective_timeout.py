"""A time limit on short collectives, so that no process waits for another forever."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

import jax

from transfer.distributed import timeouts


@contextlib.contextmanager
def collective_timeout() -> Iterator[None]:
    """Abort this process if the short collectives in the block exceed `timeouts.stuck()` seconds.

    The process says so and exits with the status `ALONE`, because it then hangs inside a
    collective, from which no exception can be raised.
    """
    if jax.process_count() == 1:
        yield
        return
    timer = threading.Timer(timeouts.stuck(), _give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up() -> None:
    print(
        f"transfer: process {jax.process_index()} of {jax.process_count()} has waited for the "
        f"others for {timeouts.stuck():g} s, so one of them, or this one, is stuck; the same "
        "command, for all, goes on from the last checkpoint.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(timeouts.ALONE)
