"""SIGTERM and Ctrl-C, so that work can save and end.

Schedulers send SIGTERM before they take a machine away, and a terminal sends SIGINT for Ctrl-C.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

# EX_TEMPFAIL, the exit status of a command that SIGTERM asked to stop; the same command resumes.
STATUS = 75
# The exit status of a command that Ctrl-C has ended, whether it saved or not.
INTERRUPTED = 128 + signal.SIGINT
_SAVING = (
    b"\ntransfer: stopping, which saves first: after the next step, or once the program is "
    b"compiled. Ctrl-C again ends at once and saves nothing.\n"
)


class TerminatedError(Exception):
    """Raised by work that was asked to stop and has saved; the message says how far it has come.

    Attributes:
      status: what the command exits with: 75 after SIGTERM, 130 after Ctrl-C.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.status = INTERRUPTED if signal.SIGINT in _received else STATUS


# Which signals have asked the present block of `listening` to stop.
_received: set[int] = set()


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Catch SIGTERM and Ctrl-C in the block; yields a function that says whether one has come.

    A second Ctrl-C ends the process at once, also while it compiles or waits for a device. SIGINT
    stays ignored where it is, as in a shell's background jobs.

    Example:
      >>> with listening() as asked_to_stop:
      ...     before = asked_to_stop()
      ...     os.kill(os.getpid(), signal.SIGTERM)
      ...     before, asked_to_stop()
      (False, True)
    """
    _received.clear()
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        numbers.append(signal.SIGINT)
    with contextlib.ExitStack() as handled:
        handled.enter_context(_second_interrupt_ends())
        for number in numbers:
            handled.callback(signal.signal, number, signal.signal(number, _ask))
        yield lambda: bool(_received)


def _ask(number: int, _: Any) -> None:
    # A plain set instead of threading.Event, because a second signal inside the first one's
    # handler would wait for the event's lock forever.
    _received.add(number)


@contextlib.contextmanager
def _second_interrupt_ends() -> Iterator[None]:
    """End the process at its second SIGINT.

    A thread does so, because a handler runs in the main thread alone and only between two
    instructions of Python, of which none comes while XLA compiles.
    """
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    before = signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    watching = threading.Thread(target=_watch, args=(receiving,), daemon=True)
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(sending)  # which ends the thread
        watching.join()
        os.close(receiving)


def _watch(receiving: int) -> None:
    """Read the numbers of the signals that arrive, until the other end is closed."""
    interrupts = 0
    while number := os.read(receiving, 1):
        if number[0] != signal.SIGINT or signal.getsignal(signal.SIGINT) is not _ask:
            continue
        interrupts += 1
        if interrupts > 1:
            os._exit(INTERRUPTED)
        os.write(2, _SAVING)
