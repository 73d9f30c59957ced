"""The loss over hyperparameters and width: a Gaussian process whose mean is a moving bowl.

With x the hyperparameters in octaves from the expected path of the bottom, u = log2(width /
narrowest), and s the curvature of the bowl along the learning rate,

    log loss = offset(width) + offset(width, seed) + s (x'Ax / 2 + a'x + u b'x + u x'Bx / 2)
               + residual(x, u) + noise.

Every coefficient is Gaussian (`prior.py`), so that the bowl and what it leaves over are one
Gaussian process, which extrapolates the bowl's path to a width that has no trials. The scale s, the
noise and the size of the residual are averaged over a grid, by their marginal likelihoods.
"""

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

from transfer.sweeps.search.box import Box
from transfer.sweeps.search.prior import Prior

# Curvature in log loss per square octave: 0.02 is 1 % for an octave. All are as likely.
SCALES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# Standard deviation of log loss between runs that differ by chance alone, seeds' offsets apart.
NOISES = (0.0005, 0.0015, 0.005, 0.015, 0.05)
# Standard deviation of the residual over s.
RESIDUALS = (0.05, 0.2)
# The noise is expected within a factor of e of this.
_EXPECTED_NOISE = 0.005
# A bowl is a second-order expansion: what lies far above the bottom deviates by a share of it.
MISFIT = 0.3
# The residual changes over so many octaves, and stays much the same over so many doublings.
_OCTAVES, _DOUBLINGS = 1.5, 3.0
# Log losses count from the lowest of their width, which lies this near the bottom's; seeds differ
# less.
_OF_WIDTH, _OF_SEED = 0.5, 0.05
# A diverged trial counts as this much above the worst one of its width, within about as much.
_DIVERGED = 0.3
# At most so many grid points are kept, and none of less weight than this over the largest.
_MOST_KEPT, _LEAST_WEIGHT = 8, 0.02
_NO_SEED = -1.0


@dataclasses.dataclass(frozen=True)
class Observations:
    """Trials that have ended.

    Arguments:
      widths (trial): of their models.
      points (trial, axis): log2 of the searched hyperparameters.
      seeds (trial): of each.
      losses (trial): what is compared, infinite for a trial that diverged.
    """

    widths: np.ndarray
    points: np.ndarray
    seeds: np.ndarray
    losses: np.ndarray

    @classmethod
    def of(
        cls, rows: Sequence[tuple[float, Sequence[float], int, float]], axes: int
    ) -> "Observations":
        """Gather rows of width, point, seed and loss."""
        widths, points, seeds, losses = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(
            np.array(widths, dtype=float),
            np.array(points, dtype=float).reshape(len(rows), axes),
            np.array(seeds, dtype=float),
            np.array(losses, dtype=float),
        )

    def at(self, width: float) -> "Observations":
        """Those of one width."""
        chosen = self.widths == width
        return Observations(
            self.widths[chosen], self.points[chosen], self.seeds[chosen], self.losses[chosen]
        )

    @functools.cached_property
    def means(self) -> np.ndarray:
        """For each trial, the mean log loss of its point over the seeds at its width (trial)."""
        logs = np.log(self.losses)
        rows = np.column_stack([self.widths, self.points])
        _, which = np.unique(rows, axis=0, return_inverse=True)
        sums = np.bincount(which.ravel(), weights=logs) / np.bincount(which.ravel())
        return np.asarray(sums[which.ravel()])


class MovingBowl(Kernel):
    """Covariance of a bowl whose bottom moves with width, of its residual, and of offsets.

    Rows are (u, seed, x...); a seed of -1 stands for the mean over seeds.
    """

    def __init__(self, prior: Prior, half: tuple[float, ...], scale: float, residual: float):
        self.prior, self.half, self.scale, self.residual = prior, half, scale, residual

    def __call__(
        self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return the covariance (row of X, row of Y), which has no parameters to differentiate."""
        other = X if Y is None else Y
        same_width = np.equal.outer(X[:, 0], other[:, 0])
        same_seed = np.equal.outer(X[:, 1], other[:, 1]) & (X[:, 1:2] != _NO_SEED)
        lengths = np.array([_DOUBLINGS] + [_OCTAVES] * (X.shape[1] - 2))
        columns = [0, *range(2, X.shape[1])]
        apart = cdist(X[:, columns] / lengths, other[:, columns] / lengths, "sqeuclidean")
        covariance = (
            self._features(X) @ self._features(other).T
            + (self.residual * self.scale) ** 2 * np.exp(-apart / 2)
            + same_width * (_OF_WIDTH**2 + _OF_SEED**2 * same_seed)
        )
        return (covariance, np.empty((*covariance.shape, 0))) if eval_gradient else covariance

    def diag(self, X: np.ndarray) -> np.ndarray:
        """Return the variance of each row."""
        own = np.square(self._features(X)).sum(axis=1)
        seeds = _OF_SEED**2 * (X[:, 1] != _NO_SEED)
        return np.asarray(own + (self.residual * self.scale) ** 2 + _OF_WIDTH**2 + seeds)

    def is_stationary(self) -> bool:
        """A bowl has a place."""
        return False

    def _features(self, X: np.ndarray) -> np.ndarray:
        """Terms of the bowl times the standard deviations of their coefficients."""
        u, x = X[:, :1], X[:, 2:]
        curvature = np.array(self.prior.curvature)
        pairs = list(itertools.combinations(range(x.shape[1]), 2))
        mixed = [x[:, i] * x[:, j] for i, j in pairs]
        return self.scale * np.column_stack(
            [
                x * curvature * np.array(self.half) / np.sqrt(3),
                np.square(x) / 2 * np.array(self.prior.curvature_sd),
                *(self.prior.mixed_sd * each for each in mixed),
                u * x * curvature * np.array(self.prior.slope_sd),
                u * np.square(x) / 2 * curvature * self.prior.bending_sd,
            ]
        )


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """The posterior of the loss over hyperparameters and width, given trials.

    Arguments:
      box, prior: what was searched, and what was expected of it.
      narrowest: the width from which doublings are counted.
      processes: fitted Gaussian processes, each with its scale, its noise and its weight.
    """

    box: Box
    prior: Prior
    narrowest: float
    processes: tuple[tuple[GaussianProcessRegressor, float, float, float], ...]
    _at: dict[float, list[tuple[np.ndarray, np.ndarray, float]]] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def fit(
        cls, observations: Observations, box: Box, prior: Prior, narrowest: float
    ) -> "Surrogate":
        """Return the posterior given at least one trial that has not diverged."""
        observed = _without_divergence(observations)
        logs = np.log(observed.losses)
        means = observed.means
        levels = {w: means[observed.widths == w].min() for w in set(observed.widths.tolist())}
        level = np.array([levels[w] for w in observed.widths])
        excess = means - level
        rows = _rows(observed.widths, observed.seeds, observed.points, box, prior, narrowest)
        diverged = np.where(np.isfinite(observations.losses), 0.0, _DIVERGED)

        found = []
        for scale, noise, residual in itertools.product(SCALES, NOISES, RESIDUALS):
            misfit = MISFIT * np.maximum(0.0, excess - 2 * noise)
            process = GaussianProcessRegressor(
                MovingBowl(prior, tuple(box.half.tolist()), scale, residual),
                alpha=noise**2 + misfit**2 + diverged**2,
                optimizer=None,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                process.fit(rows, logs - level - _bowl(rows, prior, scale))
            belief = -((np.log(noise / _EXPECTED_NOISE)) ** 2) / 2
            likelihood = process.log_marginal_likelihood_value_ + belief
            found.append((process, scale, noise, likelihood))
        found = sorted(found, key=lambda each: -each[-1])[:_MOST_KEPT]
        top = found[0][-1]
        kept = [
            (process, scale, noise, float(np.exp(likelihood - top)))
            for process, scale, noise, likelihood in found
            if likelihood - top > np.log(_LEAST_WEIGHT)
        ]
        total = sum(weight for *_, weight in kept)
        return cls(
            box,
            prior,
            narrowest,
            tuple(
                (process, scale, noise, weight / total) for process, scale, noise, weight in kept
            ),
        )

    @property
    def noise(self) -> float:
        """Standard deviation of a trial's log loss by chance, averaged over what is likely."""
        variance = sum(weight * noise**2 for _, _, noise, weight in self.processes)
        return float(np.sqrt(variance))

    def posteriors(
        self, widths: np.ndarray, points: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Return mean (point) and covariance (point, point) of log loss, and the weight of each."""
        seeds = np.full(len(points), _NO_SEED)
        rows = _rows(widths, seeds, points, self.box, self.prior, self.narrowest)
        found = []
        for process, scale, _, weight in self.processes:
            mean, covariance = process.predict(rows, return_cov=True)
            found.append((mean + _bowl(rows, self.prior, scale), covariance, weight))
        return found

    def at(self, width: float) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Return the posteriors over the points of the box at a width."""
        if width not in self._at:
            points = self.box.points
            self._at[width] = self.posteriors(np.full(len(points), width), points)
        return self._at[width]

    def best(self, width: float) -> np.ndarray:
        """Return the point (axis) of least expected loss at a width."""
        return np.asarray(self.box.points[_least(moments(self.at(width))[0])])

    def regrets(self, width: float, draws: int, seed: int) -> np.ndarray:
        """Draw what the best point would lose against the true bottom at a width (draw).

        Relative to the loss: 0.01 is 1 %.
        """
        found = self.at(width)
        chosen = _least(moments(found)[0])
        generator = np.random.default_rng(seed)
        regrets = []
        for mean, covariance, weight in found:
            # The offset of the width is common to all points, and large: it is left out.
            factor = _root(_without_offset(covariance))
            normal = generator.standard_normal((len(mean), max(1, round(draws * weight))))
            drawn = mean[:, None] + factor @ normal
            regrets.append(np.expm1(drawn[chosen] - drawn.min(axis=0)))
        return np.concatenate(regrets)


def moments(
    posteriors: Sequence[tuple[np.ndarray, np.ndarray, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (point) and covariance (point, point) of weighted posteriors together."""
    mean = np.sum([weight * own for own, _, weight in posteriors], axis=0)
    covariance = np.zeros((len(mean), len(mean)))
    for own, between, weight in posteriors:
        covariance += weight * (between + np.outer(own - mean, own - mean))
    return mean, covariance


def _least(mean: np.ndarray) -> int:
    """The first of the points of least mean; rounding makes it the same on all machines."""
    return int(np.argmin(np.round(mean, 9)))


def _without_offset(covariance: np.ndarray) -> np.ndarray:
    """The covariance of differences from the mean over all points."""
    centered = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None]
    return np.asarray(centered + covariance.mean())


def _root(covariance: np.ndarray) -> np.ndarray:
    """The Cholesky factor, of a matrix that rounding may have made indefinite.

    What is added to its diagonal is the least of those that suffice; the largest is a standard
    deviation of 0.03 % of the loss.
    """
    for added in (1e-12, 1e-11, 1e-10, 1e-9, 1e-8):
        try:
            return np.linalg.cholesky(covariance + added * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
    return np.linalg.cholesky(covariance + 1e-7 * np.eye(len(covariance)))


def _without_divergence(observations: Observations) -> Observations:
    """Trials that diverged, with a loss above the worst of their width."""
    logs = np.where(np.isfinite(observations.losses), np.log(observations.losses), -np.inf)
    losses = observations.losses.copy()
    for at in np.flatnonzero(~np.isfinite(observations.losses)):
        worst = logs[observations.widths == observations.widths[at]].max()
        # Where all of a width diverged, nothing is known of its level.
        losses[at] = np.exp((worst if np.isfinite(worst) else logs.max()) + _DIVERGED)
    return dataclasses.replace(observations, losses=losses)


def _rows(
    widths: np.ndarray,
    seeds: np.ndarray,
    points: np.ndarray,
    box: Box,
    prior: Prior,
    narrowest: float,
) -> np.ndarray:
    """Rows of the kernel: doublings, seed, and octaves from the expected path."""
    u = np.log2(widths / narrowest)
    return np.column_stack([u, seeds, points - box.center - u[:, None] * np.array(prior.slope)])


def _bowl(rows: np.ndarray, prior: Prior, scale: float) -> np.ndarray:
    """The expected bowl at each row."""
    return np.asarray(scale / 2 * np.square(rows[:, 2:]) @ np.array(prior.curvature))
