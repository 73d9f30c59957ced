"""Which trials of a trunk go on beyond a horizon, where a search stops the others."""

import math
from collections.abc import Sequence

import numpy as np

from transfer.training.group import TrialSpec


def surviving(
    trials: Sequence[TrialSpec], losses: np.ndarray, going: np.ndarray, share: float
) -> np.ndarray:
    """Return which trials (trial,) go on: the best `share` of each recipe's points, rounded up.

    A point is the hyperparameters that several seeds share; points are ranked by their mean loss,
    and one of which a seed diverged comes last.

    Arguments:
      losses: of every trial at the horizon (trial,).
      going: which trials have come there (trial,).

    Example:
      >>> from transfer.scaling import Hyperparameters
      >>> rates = (0.1, 0.2, 0.4)
      >>> trials = [TrialSpec(Hyperparameters(learning_rate=rate), 0, "mup") for rate in rates]
      >>> surviving(trials, np.array([2.0, 1.0, np.nan]), np.ones(3, bool), 0.5).tolist()
      [True, True, False]
    """
    kept = np.zeros(len(trials), dtype=bool)
    for recipe in dict.fromkeys(trial.recipe for trial in trials):
        points: dict[object, list[int]] = {}
        for place, trial in enumerate(trials):
            if trial.recipe == recipe and going[place]:
                points.setdefault(trial.hyperparameters, []).append(place)
        ranked = sorted(points.values(), key=lambda places: _mean(losses[places]))
        for places in ranked[: math.ceil(share * len(ranked))]:
            kept[places] = True
    return kept


def _mean(losses: np.ndarray) -> float:
    mean = float(np.mean(losses))
    return mean if math.isfinite(mean) else math.inf
