"""The regret to expect at a target before it is trained."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from transfer.analysis.estimate import Estimate
from transfer.analysis.optimum import WidthSweep
from transfer.analysis.plane import DEPARTURE
from transfer.analysis.slope import is_known, line
from transfer.analysis.surface import Surface
from transfer.errors import TransferError

_PRIOR_FREEDOM = 4.0  # that the departure of optima from a line is known with beforehand


def forecast_regret(sweeps: Sequence[WidthSweep], width: int) -> Estimate:
    """Return the relative regret to expect at a target of `width`, with a 95 % interval.

    That of training the target at the optimum of the widest proxy below it, as `predict` has it.
    Each joint draw of the proxies' bowls gives a line through their optima over log2 width; the
    target's optimum lies on it, but for a departure as large as the proxies show (a tenth of an
    octave beforehand). Its bowl is that of a proxy drawn at random, and its best loss continues
    that of the two widest. The value is the median of the regrets.

    Args:
      sweeps: of one recipe; those of the target and of wider networks are not read.

    Raises:
      TransferError: no sweep is narrower than the target.

    Example:
      >>> sweeps = sweeps_by_recipe(trials)["mup+sqrt"]  # doctest: +SKIP
      >>> forecast_regret(sweeps, 1024).text(".2%")  # doctest: +SKIP
      '0.11% [0.00%, 0.90%]'
    """
    narrower = [sweep for sweep in sweeps if sweep.optimum.width < width]
    if not narrower:
        swept = ", ".join(str(sweep.optimum.width) for sweep in sweeps)
        raise TransferError(
            f"No sweep is narrower than the target width {width} (widths {swept}); ask for a "
            "larger target or sweep a narrower width."
        )
    proxies = {sweep.optimum.width: sweep.surface for sweep in narrower if is_known(sweep)}
    if len(proxies) < 2:
        return Estimate(None, reason="a forecast needs the optimum at two or more widths")
    generator = np.random.default_rng(2)
    fitted = line({proxy: surface.bottom for proxy, surface in proxies.items()})
    draws = len(fitted.slope)
    freedom = _PRIOR_FREEDOM + len(proxies) - 2
    squares = _PRIOR_FREEDOM * DEPARTURE**2 + fitted.squares
    departure = np.sqrt(squares / generator.chisquare(freedom, draws))
    optimum = fitted.at(width) + departure * generator.standard_normal(draws)
    widest = max(proxies)
    offset = proxies[widest].bottom - optimum
    heights = np.stack([each.height_along_rate(each.bottom + offset) for each in proxies.values()])
    cost = heights[generator.integers(len(proxies), size=draws), np.arange(draws)]
    relative = Estimate.of_cost(cost / _level(proxies[widest].level, proxies, width), offset)
    gaps = [sweep.optimum.log2_learning_rate.reason for sweep in narrower if _open(sweep)]
    return Estimate(relative.value, None, gaps[0]) if gaps else relative


def _open(sweep: WidthSweep) -> bool:
    return sweep.optimum.log2_learning_rate.interval is None


def _level(widest: np.ndarray, proxies: Mapping[int, Surface], width: int) -> np.ndarray:
    """Continue the best loss of the two widest proxies as a power of width, at most one octave."""
    second, first = sorted(proxies)[-2:]
    ratio = np.median(widest) / np.median(proxies[second].level)
    if not 0 < ratio < 1:
        return widest
    exponent = min(math.log(width / first) / math.log(first / second), 1.0)
    return np.asarray(widest * ratio**exponent)
