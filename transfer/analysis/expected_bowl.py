"""How the loss rises about the best learning rate, and how exactly that has to be known."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transfer.analysis.losses import LossTable
from transfer.run_directory import TrialResult
from transfer.scaling import Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpectedBowl:
    """What is expected of the loss over log2 learning rate.

    Fields:
      curvature: of the relative loss; (x - best)^2 curvature / 2 is lost.
      noise: standard deviation of a run's relative loss, without what a seed has in common at all
        rates.
      drift: standard deviation, in octaves, of what the best rate moves by per doubling of width.
      shortening: the same per halving of the number of steps, where no rule follows it.
    """

    curvature: float = 0.025
    noise: float = 0.007
    drift: float = 0.10
    shortening: float = 0.30


USUAL = ExpectedBowl()
"""What transformers on text have in the committed sweeps (experiments/quickstart and campaign,
muP): curvatures of 0.011 to 0.037 and noise of 0.002 to 0.010; slopes over width there and on
digits are -0.14 to +0.14. Per halving of the steps published sweeps move by 0.15 to 0.5 octaves."""


def measured_bowl(trials: Sequence[TrialResult], recipe: str) -> ExpectedBowl:
    """Return the curvature and noise of a recipe's own sweep, the median over widths.

    Each is from the best point and its two neighbors in learning rate. What a sweep does not show
    stays as in `USUAL`: all of it without an optimum between others, and the noise with one seed.

    Example:
      >>> measured_bowl(trials, "mup+sqrt").curvature  # doctest: +SKIP
      0.03
    """
    curvatures, noises = [], []
    mine = [t for t in trials if t.recipe == recipe and t.origin == "sweep" and not t.trunk]
    for width in sorted({trial.width for trial in mine}):
        table = LossTable.of(mine, recipe, width)
        if not table.seeds or not np.isfinite(table.mean()).any():
            continue
        best = table.settings[int(table.mean().argmin())]
        curve = _curve(table, best)
        place = curve.settings.index(best)
        losses = curve.losses[max(place - 1, 0) : place + 2]
        if losses.shape[0] < 3 or place == 0 or not np.isfinite(losses).all():
            continue
        rates = np.log2([s.learning_rate for s in curve.settings[place - 1 : place + 2]])
        relative = losses / losses[1].mean()
        curvatures.append(2 * float(np.polyfit(rates, relative.mean(axis=1), 2)[0]))
        if (seeds := relative.shape[1]) > 1:
            of_rate, of_seed = relative.mean(axis=1, keepdims=True), relative.mean(axis=0)
            rest = relative - of_rate - of_seed + relative.mean()
            noises.append(float(np.sqrt((rest**2).sum() / (2 * (seeds - 1)))))
    return dataclasses.replace(
        USUAL,
        curvature=float(np.median(curvatures)) if curvatures else USUAL.curvature,
        noise=float(np.median(noises)) if noises else USUAL.noise,
    )


def _curve(table: LossTable, best: Hyperparameters) -> LossTable:
    """Return the losses over learning rate at the best decay and multipliers."""
    rate = best.learning_rate
    return table.where(lambda s: dataclasses.replace(s, learning_rate=rate) == best)
