"""How sure a slope over log width is: from seeds, and from the bend that narrow widths give it."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from transfer.analysis.estimate import Interval
from transfer.analysis.slope import least_squares_slope

CONFIDENCE = 0.95
# Slopes that theory tells apart are 1/2 from each other, so that each has 1/4 to either side.
HALF_STEP = 0.25


@dataclasses.dataclass(frozen=True)
class SlopeInterval:
    """A slope of log2 size over log2 width, and where its limit at large widths lies.

    `interval` holds the limit with 95 % confidence, `strict` with the confidence that a finding
    asks for.
    """

    slope: float
    interval: Interval
    strict: Interval


def slope_interval(
    widths: Sequence[int], logs: np.ndarray, terms: int, rows: int = 1
) -> SlopeInterval:
    """Return the least-squares slope with its interval.

    Seeds: log2 size = line(width) + seed + noise, because what all widths share, such as the
    residual of the loss, moves a seed's sizes together. The residuals of means over seeds and over
    widths have the variance s^2 at (widths - 1) (seeds - 1) degrees of freedom, and the slope the
    standard error s / sqrt(seeds * sum (x - mean x)^2). Student's t gives the interval.

    Width: a sum of n terms is off from its limit by a share of order n^-1/2, which bends the line.
    If three or more widths show a bend that noise does not explain, the interval also holds the
    slope b of the fit y = a + b log2 n + c n^-1/2. Where sums have fewer than 64 terms, n^-1/2 is
    more than half of 1/4, and the excess n^-1/2 - 1/8 is added.

    Arguments:
      widths: K widths, ascending.
      logs: log2 sizes, shape [K, seeds].
      terms: how many terms sums over the width have, in the middle of the widths.
      rows: how many slopes are judged together: a finding is to be wrong in one of 20 checks.

    Example:
      >>> found = slope_interval([64, 128, 256], np.array([[6.0, 6.0], [7.0, 7.0], [8.0, 8.0]]), 64)
      >>> round(found.slope, 3), [round(end, 3) for end in found.interval]
      (1.0, [1.0, 1.0])
    """
    count, seeds = logs.shape
    x, means = np.log2(widths), logs.mean(axis=1)
    slope = least_squares_slope(x, means)
    freedom = (count - 1) * (seeds - 1)
    residuals = logs - means[:, None] - logs.mean(axis=0) + logs.mean()
    variance = float(np.square(residuals).sum()) / freedom
    error = math.sqrt(variance / seeds / float(np.square(x - x.mean()).sum()))
    # Among many slopes some are far off by chance, which a finding must not be.
    chances = {level: stats.t.ppf(0.5 + level / 2, freedom) for level in _levels(rows)}
    ends = [slope]
    if count > 2:
        columns = np.stack([np.ones(count), x, np.asarray(widths, float) ** -0.5], axis=1)
        inverse = np.linalg.pinv(columns)
        _, limit, bend = inverse @ means
        # The variance of a fitted coefficient is that of a mean times its row's squared length.
        noise = math.sqrt(variance / seeds * float(np.square(inverse[2]).sum()))
        if abs(bend) > noise * max(chances.values()):
            ends.append(float(limit))
    excess = max(terms**-0.5 - HALF_STEP / 2, 0.0)
    interval, strict = (
        (
            min(*ends, slope - chance * error) - excess,
            max(*ends, slope + chance * error) + excess,
        )
        for chance in (chances[level] for level in _levels(rows))
    )
    return SlopeInterval(slope, interval, strict)


def _levels(rows: int) -> tuple[float, float]:
    return CONFIDENCE, 1 - (1 - CONFIDENCE) / max(rows, 1)
