"""Samples from a posterior of a few unknowns: importance sampling that adapts its proposal."""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Sequence

import numpy as np

LogDensity = Callable[[np.ndarray], np.ndarray]

_ROUNDS = 12
_ENOUGH = 0.3  # of the samples of a round must count, or the posterior is flattened
_WIDER = 1.2  # than the posterior: a proposal with thinner tails would have unbounded weights


@dataclasses.dataclass(frozen=True, eq=False)
class Weighted:
    """Samples [sample, unknown] with weights that sum to one.

    `effective` is the number of samples of equal weight that would say as much.
    """

    samples: np.ndarray
    weights: np.ndarray

    @property
    def effective(self) -> float:
        """1 / sum of squared weights."""
        return float(1 / (self.weights**2).sum())

    def resampled(self, number: int) -> np.ndarray:
        """Return places of samples, as often as their weights say; always the same."""
        strata = (np.arange(number) + 0.5) / number
        chosen = np.searchsorted(np.cumsum(self.weights), strata * (1 - 1e-12))
        return np.minimum(chosen, len(self.weights) - 1)


def importance_sample(
    log_density: LogDensity,
    final_log_density: LogDensity,
    mean: np.ndarray,
    spread: np.ndarray,
    number: int,
    final_number: int,
) -> Weighted:
    """Return weighted samples of a posterior, the same ones every time.

    A round draws from a normal proposal and weighs all samples so far by (density / q)^b, where q
    is the mixture of all proposals and b <= 1 the largest power with weights that are even enough.
    The next proposal has the mean and covariance of the weighted samples. Once b is 1 the samples
    are drawn that are returned.

    Args:
      log_density: of samples [sample, unknown], up to a constant; may be coarse.
      final_log_density: the same for the samples that are returned.
      mean, spread: of the first proposal, [unknown] each; it must be as wide as the posterior.
      number: of samples in a round.
      final_number: of samples that are returned.

    Example:
      >>> normal = lambda x: -0.5 * ((x[:, 0] - 2) / 0.1) ** 2
      >>> found = importance_sample(normal, normal, np.zeros(1), np.full(1, 3.0), 100, 400)
      >>> round(float(found.weights @ found.samples[:, 0]), 2)
      2.0
    """
    proposals: list[tuple[np.ndarray, np.ndarray]] = [(mean, np.diag(spread))]
    samples, log = np.empty((0, len(mean))), np.empty(0)
    for _ in range(_ROUNDS):
        drawn = _drawn(*proposals[-1], len(samples), number)
        samples = np.concatenate([samples, drawn])
        log = np.concatenate([log, log_density(drawn)])
        ratio = _finite(log - _log_mixture(samples, proposals))
        power = _even_power(ratio, _ENOUGH * number)
        weights = _weights(power * ratio)
        middle = weights @ samples
        away = samples - middle
        covariance = (away * weights[:, None]).T @ away + 1e-12 * np.diag(spread**2)
        proposals.append((middle, _WIDER * np.linalg.cholesky(covariance)))
        if power == 1:
            break
    last = proposals[-1:]
    drawn = _drawn(*last[0], len(samples), final_number)
    return Weighted(drawn, _weights(_finite(final_log_density(drawn) - _log_mixture(drawn, last))))


def _drawn(mean: np.ndarray, root: np.ndarray, start: int, number: int) -> np.ndarray:
    return np.asarray(mean + _normal_points(len(mean), start, number) @ root.T)


def _log_mixture(
    samples: np.ndarray, proposals: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Log density of samples under equal parts of normal proposals, up to a constant."""
    logs = []
    for mean, root in proposals:
        away = np.linalg.solve(root, (samples - mean).T)
        logs.append(-0.5 * (away**2).sum(axis=0) - np.log(np.diag(root)).sum())
    return np.asarray(np.logaddexp.reduce(logs, axis=0))


def _finite(log: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(log), log, -1e300)


def _weights(log: np.ndarray) -> np.ndarray:
    weights = np.exp(log - log.max())
    return np.asarray(weights / weights.sum())


def _even_power(ratio: np.ndarray, enough: float) -> float:
    """Return the largest power <= 1 of the weights at which so many samples count."""

    def counts(power: float) -> bool:
        return bool(1 / (_weights(power * ratio) ** 2).sum() >= enough)

    if counts(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if counts(middle) else (low, middle)
    return low


@functools.lru_cache(maxsize=64)
def _normal_points(dimensions: int, start: int, number: int) -> np.ndarray:
    """Points [number, dimension] that are as even as can be under a normal density.

    Those of the additive recurrence with powers of 1 / g, where g^(d + 1) = g + 1.
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    even = (0.5 + np.outer(np.arange(start, start + number) + 1, steps)) % 1
    inverse = statistics.NormalDist().inv_cdf
    points = np.array([inverse(min(max(each, 1e-9), 1 - 1e-9)) for each in even.ravel()])
    points = points.reshape(number, dimensions)
    points.flags.writeable = False
    return points
