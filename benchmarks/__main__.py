"""Measures parts and writes docs/performance.md: `python -m benchmarks [PART ...]`.

Without names every part is measured. What is measured already stays, a part that was cut off goes
on with its next block, and `page` alone writes the page anew.
"""

import argparse
import functools
import pathlib
from collections.abc import Callable, Mapping

from benchmarks import (
    convolution,
    measurement,
    optimizer,
    page,
    population,
    quickstart,
    spectrum,
    step,
    sweep,
)
from benchmarks.options import Options
from benchmarks.results import Part, Results, circumstances, code_of, revision_of
from benchmarks.workers import ROOT
from transfer.cli import platform

Measure = Callable[[Part, Options], None]

PARTS: Mapping[str, Measure] = {
    "step": step.measure,
    "ways": sweep.measure_ways,
    "sweep": functools.partial(sweep.measure, "sweep"),
    "recipes": functools.partial(sweep.measure, "recipes"),
    "quickstart": quickstart.measure,
    "optimizer": optimizer.measure,
    "convolution": convolution.measure,
    "population": population.measure,
    "measurement": measurement.measure,
    "spectrum": spectrum.measure,
}
WITH_TORCH = ("step", "ways", "sweep", "recipes")
WITH_BEFORE = ("sweep", "recipes", "quickstart")
# Sweeps run processes in the way that is the fastest.
NEEDS_WAYS = ("sweep", "recipes")


def main() -> None:
    options, names, again = _arguments()
    results = Results.read()
    for name in names:
        under = circumstances(ROOT, options.torch_version() if name in WITH_TORCH else "")
        if options.before is not None and name in WITH_BEFORE:
            under["before"] = f"{revision_of(options.before)} ({code_of(options.before)})"
        part = results.part(name, under, anew=again)
        print(f"{name}:", flush=True)
        PARTS[name](part, options)
    page.write(results)


def _arguments() -> tuple[Options, list[str], bool]:
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"page, {', '.join(PARTS)}")
    parser.add_argument("--blocks", type=int, default=default.blocks, help="measurements of each")
    parser.add_argument("--torch", default=default.torch, help="the interpreter that has torch")
    parser.add_argument(
        "--before", type=pathlib.Path, help="another checkout of this project, to compare with"
    )
    parser.add_argument("--again", action="store_true", help="forget what was measured of them")
    given = parser.parse_args()
    names = given.parts or list(PARTS)
    if not {"ways", *NEEDS_WAYS}.isdisjoint(names):
        names = ["ways", *(name for name in names if name != "ways")]
    if unknown := set(names) - {"page", *PARTS}:
        parser.error(f"{', '.join(sorted(unknown))} is no part; expected page, {', '.join(PARTS)}")
    before = given.before and given.before.resolve()
    options = Options(blocks=given.blocks, torch=given.torch, before=before)
    return options, [name for name in names if name != "page"], given.again


if __name__ == "__main__":
    platform.prepare()
    main()
