"""The points whose losses are expected to improve the recommendation most."""

import dataclasses
import math

import numpy as np
from scipy.special import ndtri

from transfer.sweeps.search.surrogate import MISFIT, Observations, Surrogate

# The middles of so many equally likely ranges of a standard normal stand for it.
_NORMAL = ndtri((np.arange(9) + 0.5) / 9)
# The likeliest of a surrogate's processes decide where to look.
_MOST_VIEWS = 3


def propose(
    surrogate: Surrogate,
    tried: Observations,
    width: float,
    goal: float,
    count: int,
    seeds: int,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """Return `count` points (point, axis) to try at `width` for the sake of the width `goal`.

    Each maximizes the knowledge gradient: by how much its loss, the mean over `seeds`, is expected
    to lower the loss at `goal` of the point that will be recommended there. The points before it
    count as tried, with the losses that are expected of them, so that the points of a round differ.
    The first one of a width is where the bottom is expected: a loss says something of the surrogate
    only beside another one of its width.

    Points that were tried are left out, and so are those no smaller in any hyperparameter than one
    that diverged. Fewer points are returned where fewer are left. `first` (point) may say among
    which the first one is to be, if any of them is left.
    """
    points = surrogate.box.points
    here = tried.at(width)
    free = untried(points, here)
    views = _views(surrogate, width, goal, seeds)
    chosen: list[int] = []
    for _ in range(min(count, int(free.sum()))):
        if chosen or len(here.losses):
            score = sum(view.weight * view.gain() for view in views)
        else:
            score = np.zeros(len(points))
        # Where nothing is expected to change, what is expected to be lowest comes next.
        score = np.round(score, 12) - 1e-9 * sum(view.weight * view.expected for view in views)
        allowed = free
        if first is not None and not chosen and len(here.losses) and (free & first).any():
            allowed = free & first
        best = int(np.argmax(np.where(allowed, score, -np.inf)))
        free[best] = False
        chosen.append(best)
        for view in views:
            view.condition(best)
    return points[chosen]


@dataclasses.dataclass
class _View:
    """What one of a surrogate's processes believes of the points, and of those at the goal.

    Fields:
      expected, noises (point): log loss above the lowest, and variances of a trial's log loss.
      means (goal point), change (goal point, point): expectations at the goal, and their
        covariances with the points.
      covariance (point, point): of the points.
    """

    weight: float
    expected: np.ndarray
    noises: np.ndarray
    means: np.ndarray
    change: np.ndarray
    covariance: np.ndarray

    def gain(self) -> np.ndarray:
        """The knowledge gradient of each point."""
        shift = self.change / np.sqrt(np.maximum(np.diag(self.covariance), 0.0) + self.noises)
        lowest = [(self.means[:, None] + shift * z).min(axis=0) for z in _NORMAL]
        return np.asarray(self.means.min() - np.mean(lowest, axis=0))

    def condition(self, index: int) -> None:
        """Count a point as tried, with the loss that is expected of it."""
        variance = max(self.covariance[index, index], 0.0) + self.noises[index]
        row = self.covariance[index] / variance
        self.change = self.change - np.outer(self.change[:, index], row)
        self.covariance = self.covariance - np.outer(self.covariance[:, index], row)


def _views(surrogate: Surrogate, width: float, goal: float, seeds: int) -> list[_View]:
    points = surrogate.box.points
    own = len(points)
    if width == goal:
        at, posteriors = slice(0, own), surrogate.at(width)
    else:
        widths = np.repeat([width, goal], own)
        posteriors = surrogate.posteriors(widths, np.concatenate([points, points]))
        at = slice(own, None)
    views = []
    found = list(zip(posteriors, surrogate.processes, strict=True))[:_MOST_VIEWS]
    total = sum(weight for (_, _, weight), _ in found)
    for (mean, covariance, weight), (_, _, noise, _) in found:
        expected = mean[:own] - mean[:own].min()
        variance = noise**2 / seeds
        misfit = MISFIT * np.maximum(0.0, expected - 2 * math.sqrt(variance))
        views.append(
            _View(
                weight=weight / total,
                expected=expected,
                noises=variance + misfit**2,
                means=mean[at],
                change=covariance[at, :own],
                covariance=covariance[:own, :own],
            )
        )
    return views


def untried(points: np.ndarray, tried: Observations) -> np.ndarray:
    """Which points (point) were not tried, and are not expected to diverge as a smaller one did."""
    diverged = tried.points[~np.isfinite(tried.losses)]
    same = np.isclose(tried.points[None], points[:, None]).all(axis=2).any(axis=1)
    above = (diverged[None] <= points[:, None]).all(axis=2).any(axis=1)
    return np.asarray(~(same | above))
