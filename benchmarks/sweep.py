"""Seconds of whole sweeps of learning rates, from a cold start and from a warm one.

`transfer sweep` against what a user of torch would run: a process per trial, or one process that
compiles once. Beside training and the held-out loss, `transfer sweep` measures singular values and
writes tables, which the peers do not.
"""

import contextlib
import functools
import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks import commands, setting
from benchmarks.commands import ColdAndWarm
from benchmarks.options import Options, environment
from benchmarks.results import Part
from benchmarks.workers import ROOT

CONFIGS = pathlib.Path(__file__).with_name("configs")
# What each part trains: its configuration, widths and recipes.
SWEEPS: Mapping[str, tuple[str, tuple[int, ...], tuple[str, ...]]] = {
    "sweep": ("nine_rates.py", (64,), ("mup+sqrt",)),
    "recipes": ("two_recipes.py", (32, 64, 128), ("standard", "mup+sqrt")),
}

OURS = "transfer sweep"
BEFORE = "transfer sweep of the other checkout, cold"
PROCESSES = "torch, a process per trial"
IN_TURN = "torch eager, a process per trial on all cores, one after another"
COMPILED = "torch.compile in one process"
COLD, WARM = "cold", "warm"
# How a user of torch may run trials as processes: whether compiled, and whether one on each core
# or one at a time on all of them.
WAYS = {
    "eager, a core each": ("eager", True),
    "eager, all cores each": ("eager", False),
    "torch.compile, a core each": ("compiled", True),
    "torch.compile, all cores each": ("compiled", False),
}


def measure_ways(part: Part, options: Options) -> None:
    """Measure once how long the sweep at width 64 takes in each way of running processes."""
    if not part.missing("seconds", 1):
        return
    with _sweep("sweep", options) as (sweep, cached):
        contenders: dict[str, Callable[[], float]] = {}
        for way, (how, _) in WAYS.items():
            run = cached(functools.partial(sweep.processes, way))
            contenders[f"{way}, {COLD}"] = run.cold
            # Without a compiler there is nothing to keep, and a second run is like the first.
            if how == "compiled":
                contenders[f"{way}, {WARM}"] = run.warm
        part.alternate("seconds", contenders, 1)


def fastest_way(measured: Mapping[str, Sequence[float]], start: str) -> str:
    """The way that takes the fewest seconds from a cold or a warm start."""

    def seconds(way: str) -> float:
        values = measured.get(f"{way}, {start}") or measured[f"{way}, {COLD}"]
        return values[0]

    return min(WAYS, key=seconds)


def measure(name: str, part: Part, options: Options) -> None:
    """Measure what is missing of one of `SWEEPS`, with processes run in the fastest way."""
    ways = part.others["ways"]["cases"]["seconds"]
    if not part.missing("seconds", options.blocks):
        return
    with _sweep(name, options) as (sweep, cached):
        contenders: dict[str, Callable[[], float]] = {}
        for start in (COLD, WARM):
            way = fastest_way(ways, start)
            part.fact(f"{PROCESSES}, {start}", way)
            run = cached(functools.partial(sweep.processes, way))
            contenders[f"{PROCESSES}, {start}"] = getattr(run, start)
        for each, command in ((COMPILED, sweep.compiled), (OURS, sweep.ours)):
            run = cached(command)
            contenders |= {f"{each}, {COLD}": run.cold, f"{each}, {WARM}": run.warm}
        if len(sweep.widths) == 1:
            # The plainest way, which has no cache; for many trials it would take too long.
            run = cached(functools.partial(sweep.processes, "eager, all cores each"))
            contenders[IN_TURN] = run.cold
        if options.before is not None:
            contenders[BEFORE] = cached(functools.partial(sweep.ours, checkout=options.before)).cold
        part.alternate("seconds", contenders, options.blocks)


@contextlib.contextmanager
def _sweep(name: str, options: Options) -> Iterator[tuple["_Sweep", Callable[..., ColdAndWarm]]]:
    """Inside, there are the batches that a sweep reads, and caches for its commands."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        yield (
            _Sweep(name, options, pathlib.Path(folder)),
            lambda run: stack.enter_context(ColdAndWarm(run)),
        )


class _Sweep:
    """A sweep as each contender runs it; all return seconds, and take the folder of a cache."""

    def __init__(self, name: str, options: Options, folder: pathlib.Path):
        from benchmarks.project import text_batches

        self._config, self.widths, self._recipes = SWEEPS[name]
        self._options = options
        self._folder = folder
        # What `transfer sweep` reads too: reading it here, it is prepared before anyone needs it.
        train, held_out = text_batches(setting.STEPS)
        np.savez(folder / "batches.npz", train=train, held_out=held_out)

    def ours(self, cache: pathlib.Path, checkout: pathlib.Path = ROOT) -> float:
        """`transfer sweep` of a checkout."""
        settled = environment(checkout, TRANSFER_COMPILATION_CACHE=str(cache))
        with tempfile.TemporaryDirectory() as run:
            argv = commands.transfer_command(
                "sweep", f"--config={CONFIGS / self._config}", f"--run={run}/run"
            )
            return commands.seconds(argv, settled, checkout)

    def compiled(self, cache: pathlib.Path) -> float:
        """All trials in one process, one after another."""
        rates = setting.LEARNING_RATES
        return self._peer(cache, "compiled", self._options.cores, self.widths, self._recipes, rates)

    def processes(self, way: str, cache: pathlib.Path) -> float:
        """A process for each trial, the widest first."""
        how, a_core_each = WAYS[way]
        cores = self._options.cores
        at_once, threads = (cores, 1) if a_core_each else (1, cores)
        trials = itertools.product(
            sorted(self.widths, reverse=True), self._recipes, setting.LEARNING_RATES
        )
        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            running = [
                pool.submit(self._peer, cache, how, threads, [width], [recipe], [rate])
                for width, recipe, rate in trials
            ]
            for each in running:
                each.result()
        return time.perf_counter() - began

    def _peer(
        self,
        cache: pathlib.Path,
        how: str,
        threads: int,
        widths: Sequence[int],
        recipes: Sequence[str],
        rates: Sequence[float],
    ) -> float:
        flags = {"widths": widths, "recipes": recipes, "learning_rates": rates}
        lists = [
            word for name, values in flags.items() for word in (f"--{name}", *map(str, values))
        ]
        argv = self._options.peer(
            "sweep",
            *lists,
            f"--batches={self._folder / 'batches.npz'}",
            f"--how={how}",
            f"--threads={threads}",
        )
        return commands.seconds(argv, environment(TORCHINDUCTOR_CACHE_DIR=str(cache)), ROOT)
