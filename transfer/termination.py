"""SIGTERM, with which schedulers announce that a machine is taken away: work saves and ends."""

import contextlib
import signal
from collections.abc import Callable, Iterator

# EX_TEMPFAIL: what a command that was asked to stop exits with. The same command goes on.
STATUS = 75


class TerminatedError(Exception):
    """Ends work that was asked to stop, and says how far it has come."""


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM ends nothing by itself; what is yielded says whether there was one.

    Example:
      >>> import os
      >>> with listening() as asked_to_stop:
      ...     before = asked_to_stop()
      ...     os.kill(os.getpid(), signal.SIGTERM)
      ...     before, asked_to_stop()
      (False, True)
    """
    # No event with a lock: a second signal, within the first one's handler, would wait for ever.
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)
