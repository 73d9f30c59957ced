"""A parent process for each process of a job, which explains in one sentence why its child ended.

When the first process of a job dies, JAX aborts the others with a page of C++ messages. So each
process of a job works in a child. The parent passes on what the child prints, except for the C++
messages about other processes, which it replaces by one sentence. A killed parent ends its child.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from typing import IO

from transfer import termination
from transfer.distributed import timeouts

# The environment variable that names the pipe which closes when the parent is gone.
_LIFELINE = "TRANSFER_LIFELINE"
# The beginning of a C++ message, and of one from the parts of JAX that watch other processes.
_NATIVE = rb"[IWEF]\d{4} [\d:.]+ +\d+ "
_OF_OTHERS = re.compile(_NATIVE + rb"(coordination_service|preemption|client\.h)")
_OF_SOMETHING_ELSE = re.compile(_NATIVE + rb"|transfer|Traceback")
_GONE = b"another process of the job is gone"
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_supervised() -> bool:
    """Return whether this is the child, which from then on ends when its parent does."""
    lifeline = os.environ.pop(_LIFELINE, "")
    if lifeline:
        threading.Thread(target=_die_with_parent, args=(int(lifeline),), daemon=True).start()
    return bool(lifeline)


def supervise() -> int:
    """Run this command again as a child and return the status to exit with."""
    lifeline, ours = os.pipe()
    child = subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env=os.environ | {_LIFELINE: str(lifeline)},
        pass_fds=(lifeline,),
        stderr=subprocess.PIPE,
        # A terminal signals its whole foreground group, so the child would get signals twice.
        process_group=0,
    )
    os.close(lifeline)
    asked: set[int] = set()

    def forward(received: int, _: object) -> None:
        asked.add(received)
        child.send_signal(received)

    for number in _FORWARDED:
        signal.signal(number, forward)
    assert child.stderr is not None
    of_others, told = _relay(child.stderr)
    status = child.wait()
    os.close(ours)
    if status == timeouts.PEER_LOST:
        return status
    if status == -signal.SIGABRT and b"JAX distributed service" in of_others:
        if not told:
            _say(
                f"{_GONE.decode()}, gives no sign of life or never came; the same command, for "
                "all, goes on from the last checkpoint."
            )
        return timeouts.PEER_LOST
    if status:
        sys.stderr.buffer.write(of_others)
        sys.stderr.flush()
    if status >= 0:
        return status
    ended = f"ended by {signal.Signals(-status).name}"
    if status == -signal.SIGTERM:
        # A child at work handles SIGTERM and ends by itself.
        ended += " before it was at work, or after"
    elif status == -signal.SIGKILL and not asked:
        ended += ", which often means too little memory"
    _say(f"{ended}; the same command, for all, goes on from the last checkpoint.")
    return termination.STATUS if status == -signal.SIGTERM else 128 - status


def _relay(stream: IO[bytes]) -> tuple[bytes, bool]:
    """Pass on a child's messages, except for C++ messages about other processes.

    Returns these, and whether a sentence of the child said that another process is gone.
    """
    kept, keeping, told = b"", False, False
    for line in stream:
        keeping = bool(_OF_OTHERS.match(line) or (keeping and not _OF_SOMETHING_ELSE.match(line)))
        if keeping:
            kept += line
            continue
        told = told or _GONE in line
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    return kept, told


def _say(sentence: str) -> None:
    sys.stderr.flush()
    print(f"transfer: {sentence}", file=sys.stderr, flush=True)


def _die_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(timeouts.PEER_LOST)
