"""Seconds of the quickstart, this project's main job, and what it says in the end.

With `--before=CHECKOUT`, another checkout of this project does the same job in the same sitting.
"""

import contextlib
import functools
import json
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import commands
from benchmarks.commands import ColdAndWarm
from benchmarks.options import Options, environment
from benchmarks.results import Part
from benchmarks.workers import ROOT

COLD, WARM = "this checkout, cold", "this checkout, warm"
BEFORE = "the other checkout"


def measure(part: Part, options: Options) -> None:
    """Measure the blocks that are missing, and keep what the last run of each said."""

    def run(who: str, checkout: pathlib.Path, cache: pathlib.Path) -> float:
        settled = environment(checkout, TRANSFER_COMPILATION_CACHE=str(cache))
        return _quickstart(part, who, settled, checkout)

    with contextlib.ExitStack() as stack:
        ours = ColdAndWarm(functools.partial(run, "this checkout", ROOT))
        stack.enter_context(ours)
        contenders: dict[str, Callable[[], float]] = {COLD: ours.cold, WARM: ours.warm}
        if options.before is not None:
            other = ColdAndWarm(functools.partial(run, BEFORE, options.before))
            stack.enter_context(other)
            contenders[BEFORE] = other.cold
        part.alternate("seconds", contenders, options.blocks)


def _quickstart(part: Part, who: str, settled: dict[str, str], checkout: pathlib.Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder, "run")
        argv = commands.transfer_command("quickstart", f"--run={run}")
        seconds = commands.seconds(argv, settled, checkout)
        verdict = json.loads(next(run.rglob("verdict.json")).read_text())
    said = {
        name: {"transfers": recipe["transfers"], "slope": _slope(recipe)}
        for name, recipe in verdict["recipes"].items()
    }
    part.fact(who, said)
    return seconds


def _slope(recipe: Mapping[str, Any]) -> float:
    """The learning rate's slope over width in a verdict, of this version or of an earlier one."""
    if "axes" in recipe:
        (slope,) = (a["slope"]["value"] for a in recipe["axes"] if a["axis"] == "learning_rate")
    else:
        slope = recipe["slope"]
    return float(slope)
