"""How the optimal learning rate moves with width."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.estimate import Estimate
from transfer.analysis.losses import common_seeds
from transfer.analysis.optimum import Optimum, find_optimum
from transfer.errors import TransferError
from transfer.runs import Trial


def least_squares_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the slope of the least-squares line, sum (x - mean x) y / sum (x - mean x)^2.

    Example:
      >>> least_squares_slope(np.array([5.0, 6.0, 7.0]), np.array([1.0, 1.5, 2.0]))
      0.5
    """
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred))


def optimum_slope(optima: Sequence[Optimum]) -> Estimate:
    """Return the slope of log2 optimal learning rate over log2 width; 0 is perfect transfer.

    Seeds are resampled jointly for all widths, which share them. Widths whose optimum is undecided
    are left out.

    Example:
      >>> optimum_slope(optima)  # doctest: +SKIP
      Estimate(value=-0.14, interval=(-0.2, -0.1), reason=None)
    """
    decided = [optimum for optimum in optima if optimum.log2_learning_rate.value is not None]
    if len(decided) < 2:
        return Estimate(None, reason="a slope needs the optimum at two or more widths")
    widths = np.log2([optimum.width for optimum in decided])
    value = least_squares_slope(
        widths, np.array([optimum.log2_learning_rate.value for optimum in decided])
    )
    seeds = common_seeds(*(optimum.landscape.table for optimum in decided))
    landscapes = [optimum.landscape.at_seeds(seeds) for optimum in decided]
    interval, reason = bootstrap(
        lambda weights: least_squares_slope(
            widths, np.array([landscape.locate(weights)[0] for landscape in landscapes])
        ),
        len(seeds),
    )
    return Estimate(value, interval, reason)


def extrapolate_optimum(trials: Iterable[Trial], recipe: str, width: int) -> float:
    """Return log2 of the learning rate where the line through the known optima meets a width.

    A guess where to look, for a recipe that transfers and for one that does not. Raises
    `TransferError` when no width's optimum is decided.

    Example:
      >>> extrapolate_optimum(trials, "standard", 128)  # doctest: +SKIP
      -7.6
    """
    trials = [trial for trial in trials if trial.recipe == recipe and trial.origin == "sweep"]
    optima = {
        each: value
        for each in sorted({trial.width for trial in trials})
        if (value := find_optimum(trials, recipe, each).log2_learning_rate.value) is not None
    }
    if not optima:
        raise TransferError(
            f"No width of {recipe} has a decided optimum; expected one to look from: add learning "
            "rates to the sweep."
        )
    widths, values = np.log2(list(optima)), np.array(list(optima.values()))
    slope = least_squares_slope(widths, values) if len(optima) > 1 else 0.0
    return float(values.mean() + slope * (math.log2(width) - widths.mean()))
