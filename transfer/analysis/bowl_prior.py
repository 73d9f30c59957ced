"""What the bowls of a recipe share, and what is assumed of it before the losses are read.

Shared by all widths are the noise of a trial, the mean bowl (curvature C, skewness K, quartic F and
kink Q) and how much widths differ from it. A width departs from the mean bowl by a random function
of u = x - mu, whose standard deviations are

  curvature  0.4 t C u^2
  form       0.08 t' C u^3,  0.03 t' C u^4,  0.1 t' C u |u|
  misfit     0.1 t' height, in every point on its own: what the polynomial misses

with unknown factors t and t' between 0 and 1, so that the data say how alike widths are. At 1 a
bowl that is none, without curvature, is 2.5 standard deviations from the mean: as much as there can
be. What the polynomial misses was a tenth of the height in sweeps under `experiments/`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transfer.analysis.points import Points, around_lowest

MISFIT = 0.1
"""Standard error of a bowl's form where t' = 1, as a share of the height above the bottom."""
CURVATURE_SPREAD = 0.4
"""Standard deviation over widths of c where t = 1, over C."""
FORM_SPREADS = (0.08, 0.03, 0.1)
"""Standard deviations over widths of e, f and g where t' = 1, over C."""
RATE_FORM = (0.05, 0.1)
"""Prior means of K and Q for learning rates; those of other axes are 0."""
MEAN_FORM_SPREADS = (0.15, 0.07, 0.25)
"""Prior standard deviations of K, F and Q."""
CURVATURE_KNOWN = 1.0
"""Prior standard deviation of log C around the log of a parabola's curvature."""
NOISE_MEDIAN, NOISE_SPREAD = 0.2, 1.0
"""Prior median of the noise over C, and the standard deviation of its log."""
DIFFERENCE_SPREAD = 1.4
"""Prior standard deviation of logit t = log (t / (1 - t)) around 0: t is 0.5, from 0.06 to 0.94."""
FORM_AS_CURVATURE = 1.0
"""Prior s.d. of logit t' - logit t: form differs about as much as curvature does."""

LEAST_NOISE = 1e-4  # over the curvature; below it the normal equations lose their digits
_NOISE_POOLING = 6.0  # seeds' degrees of freedom that the pooled noise counts for at each width


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """The points of one bowl that are read; all bowls of a fit share one mean bowl.

    Fields:
      x, y: of the points, the lowest loss being zero, shape [point].
      variance: of y, as multiples of that of a trial's noise in the whole fit, shape [point].
      squares, freedom: what seeds say of the noise.
      allowed: where the bottom may lie.
      lowest: the lowest loss, which was taken off y.
      points: (x, loss) of all points between divergences.
      scale: noise of this bowl's trials over that of the whole fit; `variance` has its square.
    """

    x: np.ndarray
    y: np.ndarray
    variance: np.ndarray
    squares: float
    freedom: float
    allowed: tuple[float, float]
    lowest: float
    points: tuple[np.ndarray, np.ndarray]
    scale: float = 1.0

    @classmethod
    def of(cls, points: Points) -> "Group":
        """Take what is read of the points."""
        near, whole = points.near, around_lowest(points.x, points.y, np.inf)
        y = points.y[near]
        return cls(
            points.x[near],
            y - y.min(),
            points.variance[near],
            points.squares,
            points.freedom,
            points.allowed,
            float(y.min()),
            (points.x[whole], points.y[whole]),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Shared:
    """Values of what bowls share, shape [sample] each.

    Fields:
      noise: standard deviation of one trial.
      curvature: C.
      curvature_difference, form_difference: t and t'.
      form: K, F and Q, shape [3, sample].
      least: variance below which nothing is resolved.
    """

    noise: np.ndarray
    curvature: np.ndarray
    curvature_difference: np.ndarray
    form_difference: np.ndarray
    form: np.ndarray
    least: float

    @property
    def mean(self) -> np.ndarray:
        """Means over widths of c, e, f and g, shape [4, sample]."""
        return self.curvature * np.concatenate([np.ones_like(self.curvature)[None], self.form])

    @property
    def spread(self) -> np.ndarray:
        """Standard deviations over widths of c, e, f and g, shape [4, sample]."""
        form = np.array(FORM_SPREADS)[:, None] * self.form_difference
        curvature = CURVATURE_SPREAD * self.curvature_difference
        return self.curvature * np.concatenate([curvature[None], form])

    @property
    def misfit(self) -> np.ndarray:
        """Standard error of the bowl's form as a share of the height, shape [sample]."""
        return MISFIT * self.form_difference

    def take(self, chosen: slice) -> "Shared":
        """Return the chosen samples."""
        return Shared(
            self.noise[chosen],
            self.curvature[chosen],
            self.curvature_difference[chosen],
            self.form_difference[chosen],
            self.form[:, chosen],
            self.least,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class SharedPrior:
    """The prior of the coordinates of what is shared, and what seeds say of the noise.

    The coordinates are log noise, log C, logit t, logit t' - logit t, K, F and Q: independent and
    normal beforehand.

    Fields:
      mean, spread: of the coordinates beforehand, shape [7].
      squares, freedom: of trials around the means of their point and seed.
      least: variance below which nothing is resolved.
    """

    mean: np.ndarray
    spread: np.ndarray
    squares: float
    freedom: float
    least: float

    @classmethod
    def of(cls, groups: Sequence[Group], form: tuple[float, float]) -> "SharedPrior":
        """Return it in the units of the groups' losses."""
        curvature = typical_curvature(groups)
        least = (LEAST_NOISE * curvature) ** 2
        freedom = sum(group.freedom for group in groups)
        squares = sum(group.squares for group in groups) + least * freedom
        mean = [
            np.log(NOISE_MEDIAN * curvature),
            np.log(curvature),
            0.0,
            0.0,
            form[0],
            0.0,
            form[1],
        ]
        spread = [
            NOISE_SPREAD,
            CURVATURE_KNOWN,
            DIFFERENCE_SPREAD,
            FORM_AS_CURVATURE,
            *MEAN_FORM_SPREADS,
        ]
        return cls(np.array(mean), np.array(spread), squares, freedom, least)

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the coordinates once seeds are read, [7] each."""
        mean, spread = self.mean.copy(), self.spread.copy()
        if self.freedom:
            mean[0] = 0.5 * np.log(self.squares / self.freedom)
            spread[0] = min(1.5 / np.sqrt(2 * self.freedom), 1.5)
        return mean, spread

    def log_density(self, coordinates: np.ndarray) -> np.ndarray:
        """Of coordinates [sample, 7] given the scatter of seeds, up to a constant."""
        log_noise = coordinates[:, 0]
        prior = -0.5 * (((coordinates - self.mean) / self.spread) ** 2).sum(axis=1)
        likelihood = -self.freedom * log_noise - self.squares * np.exp(-2 * log_noise) / 2
        return np.asarray(prior + likelihood)

    def shared(self, coordinates: np.ndarray) -> Shared:
        """Return the values at coordinates [sample, 7]."""
        noise, curvature = np.exp(coordinates[:, :2]).T
        difference = _logistic(coordinates[:, 2])
        form_difference = _logistic(coordinates[:, 2] + coordinates[:, 3])
        return Shared(
            noise, curvature, difference, form_difference, coordinates[:, 4:].T, self.least
        )


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def typical_curvature(groups: Sequence[Group]) -> float:
    """The median over groups of a parabola's curvature, the scale of all priors."""
    found = []
    for group in groups:
        if len(group.x) < 3:
            continue
        u = group.x - group.x[int(np.argmin(group.y))]
        error = (MISFIT * group.y) ** 2 + (0.1 * np.ptp(group.y)) ** 2
        found.append(float(np.polyfit(u, group.y, 2, w=1 / np.sqrt(error + 1e-300))[0]))
    positive = [each for each in found if each > 0]
    if positive:
        return float(np.median(positive))
    rise = max(float(np.ptp(group.y)) for group in groups)
    return rise or 1.0


def with_own_noise(groups: Sequence[Group]) -> list[Group]:
    """Return groups whose variances follow their own seeds, shrunk to the pooled noise."""
    freedom = sum(group.freedom for group in groups)
    squares = sum(group.squares for group in groups)
    if not freedom or not squares:
        return list(groups)
    pooled = squares / freedom
    found = []
    for group in groups:
        ratio = (group.squares / pooled + _NOISE_POOLING) / (group.freedom + _NOISE_POOLING)
        variance, scale = ratio * group.variance, float(np.sqrt(ratio))
        found.append(dataclasses.replace(group, variance=variance, scale=scale))
    return found
