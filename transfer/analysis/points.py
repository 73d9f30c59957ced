"""Losses over one axis at one width, and what their seeds say of the noise."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

REACH = 2.0
"""Octaves on either side of the lowest point that are read, at least two points."""

_RISES = (0.06, 0.12, 0.25, 0.5)
_SIGNIFICANT = 3.84  # the 95 % quantile of chi-square with one degree of freedom


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Losses over one axis at one width.

    Fields:
      x: log2 of the values, increasing, shape [point].
      y: losses averaged over seeds, +inf where training diverged, shape [point].
      variance: of `y`, as multiples of the variance of one trial's noise, shape [point].
      squares: sum of squares of trials around `y` and around their seed's mean.
      freedom: degrees of freedom of `squares`.
      losses: of every trial, shape [point, seed], where they are known.
    """

    x: np.ndarray
    y: np.ndarray
    variance: np.ndarray
    squares: float = 0.0
    freedom: float = 0.0
    losses: np.ndarray | None = None

    @classmethod
    def of(cls, x: np.ndarray, losses: np.ndarray) -> "Points":
        """Make them of losses [point, seed], +inf where training diverged.

        Example:
          >>> points = Points.of(np.arange(3.0), np.array([[2.0, 3.0], [1.0, 2.2], [2.0, 3.0]]))
          >>> points.y.tolist(), points.freedom, round(points.squares, 6)
          ([2.5, 1.6, 2.5], 2.0, 0.013333)
        """
        bare = cls(x, losses.mean(axis=1), np.full(len(x), 1 / losses.shape[1]), losses=losses)
        return bare.with_noise(np.ones(len(x)))

    @functools.cached_property
    def near(self) -> slice:
        """The points that are read: those within two octaves of the lowest, or two on each side."""
        return around_lowest(self.x, self.y)

    @property
    def height(self) -> np.ndarray:
        """Losses above the lowest, shape [point]."""
        return self.y - self.y.min()

    def with_noise(self, variance: np.ndarray) -> "Points":
        """Return the same points where a trial's noise has these relative variances, [point]."""
        if self.losses is None:
            return self
        seeds = self.losses.shape[1]
        read = self.losses[self.near]
        weight = 1 / variance[self.near]
        rest = read - read.mean(axis=1, keepdims=True)
        rest = rest - (weight @ rest) / weight.sum()
        return dataclasses.replace(
            self,
            variance=variance / seeds,
            squares=float((weight[:, None] * rest**2).sum()),
            freedom=float(max(len(read) - 1, 0) * (seeds - 1)),
        )

    @property
    def allowed(self) -> tuple[float, float]:
        """Where the bottom may lie: up to two steps outside the points, and not in divergence."""
        whole = around_lowest(self.x, self.y, np.inf)
        step = float(np.median(np.diff(self.x))) if len(self.x) > 1 else 1.0
        low = self.x[whole.start - 1] if whole.start else self.x[0] - 2 * step
        above = self.x[whole.stop] if whole.stop < len(self.x) else self.x[-1] + 2 * step
        return float(low), float(above)


def around_lowest(x: np.ndarray, y: np.ndarray, reach: float = REACH) -> slice:
    """Return the points within `reach` of the lowest, at least two a side; divergence ends them."""
    best = int(np.argmin(y))
    near = np.abs(x - x[best]) <= reach
    near[max(best - 2, 0) : best + 3] = True
    ends = np.flatnonzero(~(near & np.isfinite(y)))
    first = ends[ends < best].max(initial=-1) + 1
    last = ends[ends > best].min(initial=len(y))
    return slice(int(first), int(last))


def with_rising_noise(groups: Sequence[Points]) -> list[Points]:
    """Return points with the noise rising with the height above the lowest, as seeds show it.

    The variance of a trial is s^2 + (r height)^2, with the most likely s and r for all groups; r is
    0 unless a likelihood-ratio test says otherwise at 95 %. Far above the best learning rate seeds
    may part, and their scatter would else be taken for noise at the bottom too.

    Example:
      >>> x, seeds = np.arange(-2.0, 3.0), np.array([-1.0, 1.0, 0.5, -0.5])
      >>> losses = (x**2)[:, None] * (1 + 0.25 * seeds) + 0.01 * np.roll(seeds, 1)
      >>> points, = with_rising_noise([Points.of(x, losses + 0.01 * np.outer(x, seeds))])
      >>> bool(points.variance[0] > 100 * points.variance[2])
      True
    """
    free = sum(points.freedom for points in groups)
    squares = sum(points.squares for points in groups)
    if not free or not squares:
        return list(groups)
    pooled = float(np.sqrt(squares / free))
    best, least = list(groups), _deviance(groups, pooled) - _SIGNIFICANT
    for rise in _RISES:
        for noise in pooled * 2.0 ** np.arange(-5, 0.1, 0.5):
            tried = [points.with_noise(_relative(points, rise, float(noise))) for points in groups]
            deviance = _deviance(tried, float(noise))
            if deviance < least:
                best, least = tried, deviance
    return best


def _deviance(groups: Sequence[Points], noise: float) -> float:
    """Minus twice the log likelihood, with every seed's and point's mean projected out."""
    return sum(
        points.squares / noise**2 + points.freedom * 2 * np.log(noise) + _log_det(points)
        for points in groups
    )


def _relative(points: Points, rise: float, noise: float) -> np.ndarray:
    height = np.where(np.isfinite(points.y), points.height, 0.0)
    return np.asarray(1 + (rise * height / noise) ** 2)


def _log_det(points: Points) -> float:
    """Of the relative variances of all trials that are read, with each seed's mean projected out.

    Without the projection one point of little noise would take every seed's mean for itself.
    """
    if points.losses is None:
        return 0.0
    seeds = points.losses.shape[1]
    relative = points.variance[points.near] * seeds
    return float((seeds - 1) * (np.log(relative).sum() + np.log((1 / relative).sum())))
