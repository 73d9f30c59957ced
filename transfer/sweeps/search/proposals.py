"""The points whose losses are expected to improve the recommendation most."""

import numpy as np
from scipy.special import ndtri

from transfer.sweeps.search.surface import MISFIT, Observations, Surface, moments

# The middles of so many equally likely ranges of a standard normal stand for it.
_NORMAL = ndtri((np.arange(15) + 0.5) / 15)


def propose(
    surface: Surface,
    tried: Observations,
    width: float,
    goal: float,
    count: int,
    seeds: int,
    candidates: np.ndarray | None = None,
) -> np.ndarray:
    """Return `count` points (point, axis) to try at `width` for the sake of the width `goal`.

    Each maximizes the knowledge gradient: by how much its loss, the mean over `seeds`, is expected
    to lower the loss at `goal` of the point that will be recommended there. The points before it
    count as tried, with the losses that are expected of them, so that the points of a round differ.

    Points that were tried are left out, and so are those no smaller in any hyperparameter than one
    that diverged. Fewer points are returned where fewer are left.
    """
    points = surface.box.points if candidates is None else candidates
    free = np.array([not _is_out(point, tried.at(width)) for point in points])
    return points[_chosen(surface, points, free, width, goal, count, seeds)]


def _chosen(
    surface: Surface,
    points: np.ndarray,
    free: np.ndarray,
    width: float,
    goal: float,
    count: int,
    seeds: int,
) -> list[int]:
    own = len(points)
    if width == goal and points is surface.box.points:
        at, (mean, covariance) = slice(0, own), moments(surface.at(width))
    else:
        goals = surface.box.points
        widths = np.concatenate([np.full(own, width), np.full(len(goals), goal)])
        found = surface.posteriors(widths, np.concatenate([points, goals]))
        at, (mean, covariance) = slice(own, None), moments(found)
    means, noise = mean[at], surface.noise**2 / seeds
    # Losses of a width are known but for an offset of their own, against what was tried there.
    apart = mean[:own] - mean[:own].min()
    noises = noise + np.square(MISFIT * np.maximum(0.0, apart - 2 * np.sqrt(noise)))

    chosen: list[int] = []
    for _ in range(min(count, int(free.sum()))):
        variance = np.maximum(np.diag(covariance)[:own], 0.0) + noises
        # Change of each expectation at the goal for a loss one standard deviation off.
        change = covariance[at, :own] / np.sqrt(variance)
        gain = means.min() - np.mean(
            [(means[:, None] + change * z).min(axis=0) for z in _NORMAL], axis=0
        )
        # Where nothing is expected to change, what is known least comes next.
        score = np.round(gain, 12) + 1e-9 * np.sqrt(variance)
        best = int(np.argmax(np.where(free, score, -np.inf)))
        free[best] = False
        chosen.append(best)
        covariance = covariance - np.outer(covariance[:, best], covariance[best]) / variance[best]
    return chosen


def _is_out(point: np.ndarray, tried: Observations) -> bool:
    """Whether a point was tried, or is expected to diverge as one did that is no larger."""
    diverged = tried.points[~np.isfinite(tried.losses)]
    same = np.isclose(tried.points, point).all(axis=1).any()
    return bool(same or (diverged <= point).all(axis=1).any())
