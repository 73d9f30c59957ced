"""Whatever ends a process of several, its parent says so in a sentence; children of no JAX here."""

import os
import signal
import subprocess
import sys
import time

import pytest
from refusals import require_complaint

from transfer import termination
from transfer.distributed import timeouts

PARENT = """
import os, signal, sys, time
from transfer.distributed import supervisor

if not supervisor.is_supervised():
    sys.exit(supervisor.supervise())
print("at work", flush=True)
"""
# What JAX says as it ends a process whose first one has died, shortened.
LAST_WORDS = """
print("of its own", file=sys.stderr, flush=True)
sys.stderr.write('''F1122 00:00:00.000000 7 client.h:80] Terminating process because \\
the JAX distributed service detected fatal errors.
*** Check failure stack trace: ***
    @ 0x7f absl::SendToLog()
''')
sys.stderr.flush()
os.abort()
"""


def start(child: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT + child],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("status", [0, 1, 75])
def test_a_status_of_the_childs_own_is_passed_on(status):
    process = start(f"print('oh', file=sys.stderr); sys.exit({status})")
    assert process.communicate() == ("at work\n", "oh\n")
    assert process.returncode == status


def test_an_end_by_the_loss_of_another_process_is_one_sentence():
    process = start(LAST_WORDS)
    _, said = process.communicate()

    first, sentence = said.splitlines()
    assert first == "of its own"
    require_complaint(sentence)
    assert process.returncode == timeouts.PEER_LOST


def test_another_abort_is_passed_on_with_all_it_says():
    process = start(LAST_WORDS.replace("JAX distributed service", "compiler"))
    _, said = process.communicate()

    assert "detected fatal errors" in said
    assert "absl::SendToLog" in said
    require_complaint(said.splitlines()[-1], "SIGABRT")
    assert process.returncode == 128 + signal.SIGABRT


def test_a_killed_child_is_told_by_its_signal():
    process = start("os.kill(os.getpid(), signal.SIGKILL)")
    _, said = process.communicate()

    require_complaint(said, "SIGKILL", "memory")
    assert process.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("at", ["child", "parent"])
def test_a_child_that_does_not_listen_yet_was_asked_to_stop_all_the_same(at):
    process = start("print(os.getpid(), flush=True); time.sleep(60)")
    _, child = (process.stdout.readline() for _ in range(2))
    os.kill(int(child) if at == "child" else process.pid, signal.SIGTERM)
    _, said = process.communicate()

    require_complaint(said, "SIGTERM")
    assert "memory" not in said
    assert process.returncode == termination.STATUS


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_a_child_that_was_asked_to_end_and_was_killed_had_memory_enough(first):
    deaf = f"signal.signal({int(first)}, lambda *_: print('heard', flush=True));"
    process = start(f"{deaf} print(os.getpid(), flush=True)\nwhile True: time.sleep(60)")
    _, child = (process.stdout.readline() for _ in range(2))
    process.send_signal(first)
    assert process.stdout.readline() == "heard\n"
    os.kill(int(child), signal.SIGKILL)
    _, said = process.communicate()

    require_complaint(said, "SIGKILL")
    assert "memory" not in said
    assert process.returncode == 128 + signal.SIGKILL


def test_a_hangup_is_told_by_its_name():
    # Under nohup, which tests may run under too, it would not be heard.
    heard = "signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    process = start(f"{heard}; print('ready', flush=True); time.sleep(60)")
    for _ in range(2):
        process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate()
    require_complaint(said, "SIGHUP")
    assert process.returncode == 128 + signal.SIGHUP


def test_a_signal_to_the_parent_reaches_the_child():
    process = start(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    assert [process.stdout.readline() for _ in range(2)] == ["at work\n", "ready\n"]
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 75


def test_a_child_does_not_outlive_its_parent():
    process = start("print(os.getpid(), flush=True); time.sleep(60)")
    process.stdout.readline()
    child = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()  # ends when the child, which holds the other end of the pipe, has ended

    for _ in range(1000):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if _state(child) == "Z":  # ended, and nobody asks
            return
        time.sleep(0.01)
    raise AssertionError("the child lives")


def _state(process: int) -> str:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
