"""SIGTERM, which schedulers send before they take a machine away, so that work can save and end."""

import contextlib
import signal
from collections.abc import Callable, Iterator

# EX_TEMPFAIL, the exit status of a command that was asked to stop; the same command resumes.
STATUS = 75


class TerminatedError(Exception):
    """Raised by work that was asked to stop and has saved; the message says how far it has come."""


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Catch SIGTERM in the block; yields a function that returns whether one has arrived.

    Example:
      >>> import os
      >>> with listening() as asked_to_stop:
      ...     before = asked_to_stop()
      ...     os.kill(os.getpid(), signal.SIGTERM)
      ...     before, asked_to_stop()
      (False, True)
    """
    # A plain flag instead of threading.Event, because a second signal inside the first one's
    # handler would wait for the event's lock forever.
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)
