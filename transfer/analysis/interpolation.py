"""Losses between the points of a sweep."""

import itertools
import math

import numpy as np

from transfer.analysis.losses import LossTable
from transfer.analysis.optimum import Place
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters


def interpolate(
    table: LossTable, losses: np.ndarray, place: Place, multipliers_of: Hyperparameters
) -> float:
    """Return the loss at a place between grid points, linear in log2 lr and then in log2 decay.

    Only the settings that have the multipliers of `multipliers_of` are read. NaN where the place
    is not between two finite losses, +inf where both neighbours diverged.

    Args:
      table: the sweep of one width.
      losses: its losses, shape [setting], +inf where training diverged.
      place: (log2 learning rate, log2 decay); a decay of 0 is -inf.
      multipliers_of: hyperparameters whose multipliers are meant.
    """
    curves: dict[float, list[tuple[float, float]]] = {}
    for setting, loss in zip(table.settings, losses, strict=True):
        if all(getattr(setting, name) == getattr(multipliers_of, name) for name in MULTIPLIERS):
            decay = math.log2(setting.weight_decay) if setting.weight_decay else -math.inf
            curves.setdefault(decay, []).append((math.log2(setting.learning_rate), float(loss)))
    by_decay = sorted((decay, _between(curve, place[0])) for decay, curve in curves.items())
    return _between(by_decay, place[1])


def _between(points: list[tuple[float, float]], x: float) -> float:
    for position, value in points:
        if position == x or abs(position - x) < 1e-9:
            return value
    for (left, low), (right, high) in itertools.pairwise(points):
        if left < x < right and math.isfinite(left):
            if math.isinf(low) != math.isinf(high):
                return math.nan
            share = (x - left) / (right - left)
            return low + share * (high - low) if math.isfinite(low) else low
    return math.nan
