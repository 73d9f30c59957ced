"""No process waits for another for ever."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

import jax

from transfer.distributed import timeouts


@contextlib.contextmanager
def for_others() -> Iterator[None]:
    """Inside, what should take seconds is done that no process can do alone.

    If that takes `timeouts.stuck` seconds, this process says so and ends with the status `ALONE`.
    It is waiting inside a collective then, from where no exception could come.
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
