"""Processes that are ready to take steps and take them when they are asked to.

Contenders that need other libraries, or another number of devices, cannot share a process. Each
starts once, compiles, and waits without using a core; then all are asked in turn, so that all meet
the same machine. Imports nothing but Python's own, because interpreters with torch run one side.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

ROOT = pathlib.Path(__file__).parents[1]
WARM_UP = 3
_ANSWER = "seconds of a worker:"


class WorkerError(Exception):
    """A worker ended before it answered; holds the last lines that it printed."""


def serve(run: Callable[[int], object]) -> None:
    """Be a worker: after a few steps say so; then run as many as each line asks for.

    `run(n)` has taken n steps when it returns.
    """
    run(WARM_UP)
    print(_ANSWER, "0.0", flush=True)
    for line in sys.stdin:
        steps = int(line)
        began = time.perf_counter()
        run(steps)
        print(_ANSWER, time.perf_counter() - began, flush=True)


class Worker:
    """A process that runs `serve`, from the side that asks.

    Use it as a context manager; it ends with the block.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]):
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def ready(self) -> None:
        """Wait until it is."""
        self.finish()

    def start(self, steps: int) -> None:
        """Ask for steps, without waiting for them."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()

    def finish(self) -> float:
        """Wait for the steps that were asked for, and return their seconds."""
        for line in self._process.stdout:
            # Libraries print too.
            if line.startswith(_ANSWER):
                return float(line.removeprefix(_ANSWER))
        self._log.seek(0)
        raise WorkerError("".join(self._log.readlines()[-20:]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._log):
            file.close()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def seconds_together(workers: Sequence[Worker], steps: int) -> float:
    """Let workers take steps at once; returns the seconds until the last has taken its own."""
    for worker in workers:
        worker.start(steps)
    return max(worker.finish() for worker in workers)
