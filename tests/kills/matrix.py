"""Kills training, sweeps and reports at random moments and starts them again.

`-m kills.matrix FOLDER KILLS SEED` prints how many kills of which kind there were, as JSON, or
ends with the error of the first one after which something was lost, torn or different.

Commands run in forks of this process, which has imported everything and never uses JAX itself: a
fork starts in no time, and from there on it is a process like any other. They train a stand-in for
the model, of three matrices, which compiles in half the time.
"""

import collections
import json
import math
import os
import pathlib
import random
import shutil
import signal
import sys
import time
from typing import Any

import jax
from compilation import QUICK
from jax._src import xla_bridge
from training.tiny import Tiny

from transfer.cli import console, platform, report, sweep, train  # noqa: F401
from transfer.cli.main import main as transfer
from transfer.config import Experiment
from transfer.report import write_report  # noqa: F401
from transfer.run_directory import RunDirectory
from transfer.termination import STATUS

CONFIG = """
from transfer.config import template


def get_config():
    config = template()
    config.base_width = 8
    config.model.layers = 1
    config.model.width = 16
    config.model.head_dim = 8
    config.model.feed_forward_multiple = 2.0
    config.model.dtype = "float32"
    config.data.name = "synthetic"
    config.data.sequence_length = 8
    config.data.batch_size = 4
    config.data.eval_sequences = 8
    config.training.steps = 20
    config.training.warmup = 4
    config.training.log_every = 5
    config.training.checkpoint_every = 2
    config.training.schedule = "constant"
    config.training.horizons = (12, 20)
    config.training.branch_steps = 4
    config.training.spectrum_every = 5
    config.sweep.widths = (8, 16)
    config.sweep.recipes = ("standard", "mup+sqrt")
    config.sweep.space.learning_rate = (2.0**-8, 2.0**-7, 2.0**-6)
    return config
"""
# By moment, what signals there are and what each may end a command with; 0 where it came too late.
SIGNALS = {
    "at random": {
        signal.SIGKILL: (-signal.SIGKILL, 0),
        # Before anything is done, a command does not listen yet; a report never does.
        signal.SIGTERM: (STATUS, -signal.SIGTERM, 0),
    },
    "in a checkpoint": {signal.SIGKILL: (-signal.SIGKILL, 0)},
    "after a checkpoint": {signal.SIGTERM: (STATUS, 0)},
}
# The folders by which a moment is known.
SIGNS = {"in a checkpoint": "*.orbax-checkpoint-tmp*", "after a checkpoint": "state"}
# Which part of the kills each verb gets at each moment.
SHARES = (
    ("train", "in a checkpoint", 1 / 6),
    ("train", "after a checkpoint", 1 / 12),
    ("train", "at random", 1 / 6),
    ("sweep", "after a checkpoint", 1 / 12),
    ("sweep", "at random", 1 / 3),
    ("report", "at random", 1 / 6),
)
# A command that was killed this often in a row may end.
MOST = 5


class Matrix:
    """Undisturbed runs, and as many disturbed ones as it takes."""

    def __init__(self, folder: pathlib.Path, seed: int):
        self._folder = folder
        self._random = random.Random(seed)
        self._runs = 0
        # By verb, what a run ends with that is not killed, and how long it lasts.
        self._undisturbed: dict[str, tuple[dict[str, Any], float]] = {}
        self.kills: collections.Counter[str] = collections.Counter()
        self.torn = 0
        # By verb, how many were asked to stop and saved.
        self.saved: collections.Counter[str] = collections.Counter()
        (folder / "config.py").write_text(CONFIG)

    def disturb(
        self,
        verb: str,
        kills: int,
        moment: str = "at random",
        start: pathlib.Path | None = None,
    ) -> pathlib.Path:
        """Kill a verb so many times, and hold every run that ends against one that was not.

        `start` is a run directory to begin with; returned is the last.
        """
        if verb not in self._undisturbed:
            for _ in range(2):  # the second time, compiled programs are read
                run = self._new(start)
                begun = time.monotonic()
                assert self._wait(self._fork(verb, run)) == 0, self._said()
                lasts = time.monotonic() - begun
            self._undisturbed[verb] = contents(run), lasts
        expected, lasts = self._undisturbed[verb]

        done = 0
        while done < kills:
            run, in_a_row = self._new(start), 0
            while True:
                saved = _found(run, SIGNS["after a checkpoint"])
                child = self._fork(verb, run)
                if in_a_row < MOST and done < kills:
                    number = self._random.choice(list(SIGNALS[moment]))
                    self._sleep(moment, run, lasts, saved)
                    os.kill(child, number)
                    status = self._wait(child)
                    assert status in SIGNALS[moment][number], (status, self._said())
                    self.saved[verb] += status == STATUS
                else:
                    status = self._wait(child)
                    assert status == 0, self._said()
                contents(run)  # nothing that is there is half written
                if status == 0:
                    break
                done, in_a_row = done + 1, in_a_row + 1
                self.kills[f"{verb} {moment}, {number.name}"] += 1
                self.torn += any(run.rglob("*.orbax-checkpoint-tmp*"))
            assert contents(run) == expected, f"{verb} in {run} ended otherwise"
        return run

    def _sleep(
        self, moment: str, run: pathlib.Path, lasts: float, saved: set[pathlib.Path]
    ) -> None:
        """Wait for the moment to kill a run that lasts so many seconds undisturbed.

        `saved` is what it goes on from: it listens when there is more.
        """
        if moment == "at random":
            time.sleep(self._random.uniform(0, lasts))
            return
        deadline = time.monotonic() + 2 * lasts
        while not _found(run, SIGNS[moment]) - saved and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(self._random.uniform(0, 0.01))

    def _new(self, start: pathlib.Path | None) -> pathlib.Path:
        self._runs += 1
        run = self._folder / f"run{self._runs}"
        if start is not None:
            shutil.copytree(start, run)
        return run

    def _fork(self, verb: str, run: pathlib.Path) -> int:
        # Its own process, in which alone JAX is used.
        assert not xla_bridge.backends_are_initialized()
        child = os.fork()
        if child:
            return child
        said = os.open(self._folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        flags = [f"--run={run}"]
        if verb != "report":
            flags.append(f"--config={self._folder}/config.py")
        status = 1
        try:
            status = transfer(["transfer", verb, *flags])
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _wait(self, child: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _said(self) -> str:
        return (self._folder / "said").read_text()


def _found(folder: pathlib.Path, name: str) -> set[pathlib.Path]:
    try:
        return set(folder.rglob(name))
    except FileNotFoundError:  # a folder was renamed while it was looked through
        return set()


def contents(folder: pathlib.Path) -> dict[str, Any]:
    """Read all that a run directory holds, without the time that it took."""
    run = RunDirectory(folder)
    tables = {name: getattr(run, name)().to_pylist() for name in ("metrics", "spectrum", "gains")}
    trials = [vars(trial) | {"wall_seconds": 0.0, "compile_seconds": 0.0} for trial in run.rows()]
    done = {trial["group"] for trial in trials}
    for group in done:
        for name in tables:
            assert (folder / name / f"{group}.parquet").exists()
    read = {name: run.read_json(name) for name in ("config.json", "report/verdict.json")}
    # As text, where NaN equals NaN.
    return {name: repr(content) for name, content in ({"trials": trials} | tables | read).items()}


def main(folder: pathlib.Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill about so many times, each verb at each moment at least once."""
    platform.prepare()
    os.environ["XLA_FLAGS"] = QUICK
    Experiment.at = lambda self, width: Tiny(width=width)  # type: ignore[method-assign]
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    matrix = Matrix(folder, seed)
    swept = None
    for verb, moment, share in SHARES:
        start = swept if verb == "report" else None
        run = matrix.disturb(verb, math.ceil(share * kills), moment, start)
        swept = run if verb == "sweep" else swept
    return {
        "kills": dict(matrix.kills),
        "asked to stop and saved": dict(matrix.saved),
        "torn checkpoints": matrix.torn,
    }


if __name__ == "__main__":
    where, count, first = sys.argv[1:]
    print(json.dumps(main(pathlib.Path(where), int(count), int(first)), indent=2))
