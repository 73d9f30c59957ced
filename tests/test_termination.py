"""SIGTERM at the worst of moments."""

import signal
import sys
import threading

from transfer.termination import listening


def test_a_second_signal_within_the_first_ones_handler_waits_for_nothing():
    """A signal may come between any two lines of Python, so one comes between all of them."""
    with listening() as asked_to_stop:
        handler = signal.getsignal(signal.SIGTERM)
        interrupted = []

        def interrupt(frame, event, argument):
            if event == "line" and not interrupted:
                interrupted.append(frame.f_lineno)
                sys.settrace(None)
                handler(signal.SIGTERM, None)
                sys.settrace(interrupt)
                interrupted.pop()
            return interrupt

        def signalled():
            sys.settrace(interrupt)
            handler(signal.SIGTERM, None)
            sys.settrace(None)

        # A thread of its own, that a handler which waits for itself fails rather than hangs.
        thread = threading.Thread(target=signalled, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        assert asked_to_stop()
