"""Losses over learning rate and weight decay, for a figure or a page to draw."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.analysis import Optimum
from transfer.analysis.losses import LossTable
from transfer.run_directory import Trial

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class DecayMap:
    """One recipe at one width: a row per learning rate and decay, at the best multipliers.

    A row has `rate`, `decay`, the mean `loss` over seeds, by how many percent it is in `excess` of
    the lowest (both None where a run diverged), and whether it is the `lowest`.
    """

    recipe: str
    width: int
    rows: Rows


def decay_maps(trials: Sequence[Trial], optima: Mapping[str, Sequence[Optimum]]) -> list[DecayMap]:
    """Return a map for every recipe and width at which several decays were swept.

    Example:
      >>> decay_maps(trials, optima)[0].rows[0]["excess"]  # doctest: +SKIP
      0.7
    """
    return [
        DecayMap(recipe, optimum.width, rows)
        for recipe, found in optima.items()
        for optimum in found
        if (rows := _rows(trials, optimum))
    ]


def scale_end(maps: Sequence[DecayMap]) -> float:
    """Return the end of the colour scale, a round number that three cells in four are below."""
    excesses = [row["excess"] for each in maps for row in each.rows if row["excess"] is not None]
    if not excesses:
        return 1.0
    share = max(float(np.quantile(excesses, 0.75)), 0.1)
    power = 10.0 ** math.floor(math.log10(share))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= share)


def _rows(trials: Sequence[Trial], optimum: Optimum) -> Rows:
    best = optimum.best
    table = LossTable.of(trials, optimum.recipe, optimum.width).where(
        lambda s: (
            dataclasses.replace(s, learning_rate=1.0, weight_decay=1.0)
            == dataclasses.replace(best, learning_rate=1.0, weight_decay=1.0)
        )
    )
    if len({setting.weight_decay for setting in table.settings}) < 2:
        return []
    losses = table.mean()
    low = float(losses.min())
    return [
        {
            "rate": setting.learning_rate,
            "decay": setting.weight_decay,
            "loss": float(loss) if np.isfinite(loss) else None,
            "excess": 100 * float(loss - low) / low if np.isfinite(loss) else None,
            "lowest": setting == best,
        }
        for setting, loss in zip(table.settings, losses, strict=True)
    ]
