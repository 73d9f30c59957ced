"""A parent for a process of several, so that it ends with a sentence whatever ends it.

When the first process of a job dies, JAX ends the others where they stand, with a page of C++ and
an abort. So a process of several does its work in a child: what the child says passes through, but
for its last words, which the parent puts into one sentence. A parent that is killed takes its child
along.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from typing import IO

from transfer.processes import timeouts

# Names the pipe that closes when the parent is gone.
_LIFELINE = "TRANSFER_LIFELINE"
_LAST_WORDS = re.compile(rb"F\d{4} |\*\*\* Check failure|terminate called")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_supervised() -> bool:
    """Whether this is the child; it then sees to it that it does not outlive its parent."""
    lifeline = os.environ.pop(_LIFELINE, "")
    if lifeline:
        threading.Thread(target=_die_with_parent, args=(int(lifeline),), daemon=True).start()
    return bool(lifeline)


def supervise() -> int:
    """Run this command again as a child and return the status to exit with."""
    lifeline, ours = os.pipe()
    child = subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        # Less than fatal of JAX's own words is about other processes, and ends in the sentence.
        env={"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ | {_LIFELINE: str(lifeline)},
        pass_fds=(lifeline,),
        stderr=subprocess.PIPE,
        # What a terminal sends to all processes in front would reach the child twice.
        process_group=0,
    )
    os.close(lifeline)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _: child.send_signal(received))
    assert child.stderr is not None
    last_words = _relay(child.stderr)
    status = child.wait()
    os.close(ours)
    if status == -signal.SIGABRT and b"JAX distributed service" in last_words:
        print(
            "transfer: another process of the job is gone, or gives no sign of life; the same "
            "command, for all, goes on from the last checkpoint.",
            file=sys.stderr,
        )
        return timeouts.ALONE
    sys.stderr.buffer.write(last_words)
    if status >= 0:
        return status
    print(
        f"transfer: ended by {signal.Signals(-status).name}, which often means too little memory; "
        "the same command, for all, goes on from the last checkpoint.",
        file=sys.stderr,
    )
    return 128 - status


def _relay(stream: IO[bytes]) -> bytes:
    """Pass on what is said until the last words begin; returns those."""
    for line in stream:
        if _LAST_WORDS.match(line):
            return line + stream.read()
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    return b""


def _die_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(timeouts.ALONE)
