"""What is best at each horizon of a sweep of trunks, in lines."""

from collections.abc import Iterator

from transfer.analysis import Optimum, sweeps_by_recipe
from transfer.notation import learning_rate
from transfer.run_directory import HorizonKind, RunDirectory, found_horizons

_KINDS: tuple[HorizonKind, ...] = ("average", "branch")


def horizon_optima(run: RunDirectory) -> Iterator[str]:
    """Yield a line for every recipe, width and way of reading off: the best rate by horizon.

    Example:
      >>> list(horizon_optima(run))  # doctest: +SKIP
      ['mup+sqrt at width 32, average: best learning rate 0.031 (2^-5) after 100 steps, ...']
    """
    found: dict[tuple[str, int, str], list[str]] = {}
    for horizon in found_horizons(run.rows()):
        for recipe, sweeps in sweeps_by_recipe(run.trials(horizon)).items():
            for sweep in sweeps:
                key = (recipe, sweep.optimum.width, horizon.kind)
                told = f"{_best(sweep.optimum)} after {horizon.steps} steps"
                found.setdefault(key, []).append(told)
    for kind in _KINDS:
        for (recipe, width, of), lines in found.items():
            if of == kind:
                yield f"{recipe} at width {width}, {kind}: best learning rate {', '.join(lines)}."


def _best(optimum: Optimum) -> str:
    rate = optimum.log2_learning_rate.value
    return "undecided" if rate is None else learning_rate(2**rate)
