"""Whole commands and their wall time, with caches that are cold or warm."""

import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self


class CommandError(Exception):
    """A command failed; holds the last lines that it printed."""


def seconds(argv: Sequence[str], environment: Mapping[str, str], folder: pathlib.Path) -> float:
    """Run a command in a folder and return its wall time; its output goes to a file."""
    with tempfile.TemporaryFile("w+") as log:
        began = time.perf_counter()
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
        taken = time.perf_counter() - began
        if done.returncode:
            log.seek(0)
            said = "".join(log.readlines()[-20:])
            raise CommandError(f"{' '.join(argv)} ended with {done.returncode}:\n{said}")
    return taken


class ColdAndWarm:
    """A command that is given a folder for its cache: first an empty one, then that one again.

    Arguments:
      run: runs the command with the cache in a folder, and returns its seconds.

    Use it as a context manager, which removes the folders.
    """

    def __init__(self, run: Callable[[pathlib.Path], float]):
        self._run = run
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def cold(self) -> float:
        """Seconds with an empty cache."""
        self._drop()
        self._folder = tempfile.TemporaryDirectory()
        return self._run(pathlib.Path(self._folder.name))

    def warm(self) -> float:
        """Seconds with the cache that the last run left; without one, there is one run more."""
        if self._folder is None:
            self.cold()
        return self._run(pathlib.Path(self._folder.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def transfer_command(verb: str, *arguments: str) -> list[str]:
    """The command line of this library, of whichever checkout is on the path."""
    return [sys.executable, "-c", "from transfer.cli.main import run; run()", verb, *arguments]
