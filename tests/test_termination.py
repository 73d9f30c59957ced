"""SIGTERM and Ctrl-C at the worst of moments."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from transfer.termination import TerminatedError, listening


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_both_signals_ask_to_stop_and_are_told_apart_by_the_status(number, status):
    before = signal.getsignal(number)
    with listening() as asked_to_stop:
        assert not asked_to_stop()
        os.kill(os.getpid(), number)
        assert asked_to_stop()
        assert TerminatedError("It was asked to stop.").status == status
    assert signal.getsignal(number) is before
    with listening() as asked_to_stop:
        assert not asked_to_stop()


WORK = """
import hashlib, signal, sys, time
from transfer.termination import listening
with listening() as asked_to_stop:
    print("at work", flush=True)
    {work}
print("saved")
"""
# Native code that runs for minutes and lets no handler of Python run, as a compiler does.
NATIVE = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
PATIENT = "while not asked_to_stop(): time.sleep(0.01)"


@pytest.fixture
def start():
    processes = []

    def start(work, before=""):
        process = subprocess.Popen(
            [sys.executable, "-c", before + WORK.format(work=work)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "at work\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_ctrl_c_says_what_it_does_and_lets_work_save(start):
    process = start(PATIENT)
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "saved\n")
    assert "Ctrl-C again ends at once" in error


def test_a_second_ctrl_c_ends_at_once_even_in_native_code(start):
    process = start(NATIVE)
    process.send_signal(signal.SIGINT)
    assert "Ctrl-C again" in process.stderr.readline() + process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert process.stdout.read() == ""


def test_an_ignored_ctrl_c_stays_ignored(start):
    """As in the background jobs of a shell."""
    process = start(PATIENT, before="import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=30)
    assert (process.returncode, output, error) == (0, "saved\n", "")
