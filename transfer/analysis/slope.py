"""Slopes over log width, and how the optimal learning rate moves."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.estimate import Estimate
from transfer.analysis.optimum import WidthSweep, fit_widths
from transfer.analysis.plane import plane
from transfer.errors import TransferError
from transfer.run_directory import TrialResult


def least_squares_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the slope of the least-squares line, sum (x - mean x) y / sum (x - mean x)^2.

    Example:
      >>> least_squares_slope(np.array([5.0, 6.0, 7.0]), np.array([1.0, 1.5, 2.0]))
      0.5
    """
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred))


def slope_over_seeds(logs: Mapping[int, Mapping[int, float]]) -> Estimate:
    """Return the slope over log2 width of log2 values by width and seed, at two or more widths.

    The line goes through the means over seeds. Its interval resamples the seeds that all widths
    have, jointly for all widths. Any other size may stand for the width, such as a duration.

    Example:
      >>> slope_over_seeds({64: {0: 1.0, 1: 1.5}, 128: {0: 1.0, 1: 2.0}})
      Estimate(value=0.25, interval=(0.0, 0.5), reason=None)
    """
    widths = np.log2(sorted(logs))
    value = least_squares_slope(
        widths, np.array([np.mean(list(logs[width].values())) for width in sorted(logs)])
    )
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in logs.values())))
    paired = np.array([[logs[width][seed] for seed in seeds] for width in sorted(logs)])
    interval, reason = bootstrap(
        lambda weights: least_squares_slope(widths, paired @ weights), len(seeds)
    )
    return Estimate(value, interval, reason)


def optimum_slope(sweeps: Sequence[WidthSweep]) -> Estimate:
    """Return the slope of log2 optimal learning rate over log2 width; 0 is perfect transfer.

    Each joint draw of the widths' optima has a least-squares slope, in which a width counts by how
    well its optimum is known; the value is their median and the interval their middle 95 %. Widths
    whose optimum is undecided are left out.

    Example:
      >>> optimum_slope(sweeps_by_recipe(trials)["mup+sqrt"])  # doctest: +SKIP
      Estimate(value=-0.14, interval=(-0.2, -0.1), reason=None)
    """
    optima = {sweep.optimum.width: sweep.optimum.log2_learning_rate for sweep in sweeps}
    draws = {sweep.optimum.width: sweep.surface.bottom for sweep in sweeps if is_known(sweep)}
    return slope_of_draws(optima, draws)


def is_known(sweep: WidthSweep) -> bool:
    """Whether the best learning rate of a width is decided."""
    return sweep.optimum.log2_learning_rate.value is not None


def slope_of_draws(optima: Mapping[int, Estimate], draws: Mapping[int, np.ndarray]) -> Estimate:
    """Return the slope over log2 width of optima by width, from their joint draws.

    The weight of a width is 1 / (variance of its optimum + 0.1^2), so that the line is not that of
    the width known worst; a tenth of an octave stands for how far optima lie from a line. Where an
    optimum is open at one end, so is the slope, which then has no interval.

    Args:
      optima: by width.
      draws: of the decided ones, by width, shape [draw] each.

    Example:
      >>> draws = {32: np.array([1.0, 1.0, 1.0]), 64: np.array([1.5, 1.6, 1.7])}
      >>> optima = {width: Estimate.of_draws(each) for width, each in draws.items()}
      >>> round(slope_of_draws(optima, draws).value, 9)
      0.6
    """
    if len(draws) < 2:
        return Estimate(None, reason="a slope needs the optimum at two or more widths")
    slope = Estimate.of_draws(line(draws).slope)
    gaps = [optima[width].reason for width in draws if optima[width].interval is None]
    return Estimate(slope.value, None, gaps[0]) if gaps else slope


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """Weighted least-squares lines over log2 width, one per draw: `at(w) = middle + slope * ...`.

    Fields:
      center: log2 of the width around which the line is given.
      middle: value there, shape [draw].
      slope: per doubling of width, shape [draw].
      squares: sum of squares of what the line leaves over, shape [draw].
    """

    center: float
    middle: np.ndarray
    slope: np.ndarray
    squares: np.ndarray

    def at(self, width: int) -> np.ndarray:
        """The value at a width, shape [draw]."""
        return self.middle + self.slope * (math.log2(width) - self.center)


def line(draws: Mapping[int, np.ndarray]) -> Line:
    """Return the lines through draws by width, as `slope_of_draws` weighs them.

    Example:
      >>> found = line({32: np.array([1.0]), 64: np.array([1.5]), 128: np.array([2.0])})
      >>> found.at(256).tolist()
      [2.5]
    """
    found = plane(np.log2(list(draws))[:, None], np.stack(list(draws.values())))
    return Line(float(found.center[0]), found.middle, found.slopes[0], found.squares)


def extrapolate_optimum(trials: Iterable[TrialResult], recipe: str, width: int) -> float:
    """Return log2 of the learning rate where the line through the known optima meets a width.

    A guess where to look, for a recipe that transfers and for one that does not. Raises
    `TransferError` when no width's optimum is decided.

    Example:
      >>> extrapolate_optimum(trials, "standard", 128)  # doctest: +SKIP
      -7.6
    """
    trials = [trial for trial in trials if trial.recipe == recipe and trial.origin == "sweep"]
    optima = {
        sweep.optimum.width: value
        for sweep in fit_widths(trials, recipe, sorted({trial.width for trial in trials}))
        if (value := sweep.optimum.log2_learning_rate.value) is not None
    }
    if not optima:
        raise TransferError(
            f"No width of {recipe} has a decided optimum; expected one to look from: add learning "
            "rates to the sweep."
        )
    widths, values = np.log2(list(optima)), np.array(list(optima.values()))
    slope = least_squares_slope(widths, values) if len(optima) > 1 else 0.0
    return float(values.mean() + slope * (math.log2(width) - widths.mean()))
