"""The lowest loss of every width of a sweep: what a law of the loss is fitted to."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transfer.analysis.losses import LossTable
from transfer.analysis.scaling_law import SizeLoss
from transfer.run_directory import TrialResult
from transfer.scaling import Hyperparameters

# Octaves to the neighbors of the best learning rate: of nearer ones noise decides the curvature.
_APART = 0.49


@dataclasses.dataclass(frozen=True)
class WidthLoss:
    """The loss at the best learning rate of one width.

    Fields:
      width, parameters, flops: of one run there.
      losses: one for each seed.
      best: the setting with the lowest mean loss of those that were run.
      note: why `losses` are those of that setting and not the bottom of a bowl, or None.
    """

    width: int
    parameters: int
    flops: float
    losses: tuple[float, ...]
    best: Hyperparameters
    note: str | None = None

    @property
    def loss(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.losses))

    def point(self, size: float) -> SizeLoss:
        """The same as a point of a law over some size."""
        runs = len(self.losses)
        variance = float(np.var(self.losses, ddof=1)) / self.loss**2 if runs > 1 else None
        return SizeLoss(size, self.loss, runs, variance)


def width_losses(trials: Sequence[TrialResult], recipe: str) -> list[WidthLoss]:
    """Return the lowest loss at every width of a recipe's sweep, narrow ones first.

    That is the bottom of the parabola in log2 learning rate through the best point and its nearest
    neighbors at least half an octave away, at the best decay and multipliers, and of every seed the
    value of its own parabola there. Where the best point has no neighbor on one side, its own
    losses stand. Widths at which no setting completed are left out.

    Raises:
      TransferError: trials of one width do not compare.

    Example:
      >>> [found.loss for found in width_losses(trials, "mup+sqrt")]  # doctest: +SKIP
      [2.209, 2.125, 2.043]
    """
    mine = [
        trial
        for trial in trials
        if (trial.recipe, trial.origin, trial.trunk) == (recipe, "sweep", "") and trial.is_finished
    ]
    found = []
    for width in sorted({trial.width for trial in mine}):
        table = LossTable.of(mine, recipe, width)
        if table.seeds and np.isfinite(table.mean()).any():
            here = next(trial for trial in mine if trial.width == width)
            found.append(_width_loss(here, table))
    return found


def _width_loss(trial: TrialResult, table: LossTable) -> WidthLoss:
    means = table.mean()
    best = table.settings[int(means.argmin())]
    curve = table.where(lambda s: dataclasses.replace(s, learning_rate=best.learning_rate) == best)
    bottom, note = _bottom(curve, best)
    return WidthLoss(
        width=trial.width,
        parameters=trial.parameters,
        flops=trial.flops,
        losses=tuple(map(float, bottom)),
        best=best,
        note=note,
    )


def _bottom(curve: LossTable, best: Hyperparameters) -> tuple[np.ndarray, str | None]:
    """Return the losses [seed] at the bottom, or those of the best setting and the reason."""
    place = curve.settings.index(best)
    rates = np.log2([setting.learning_rate for setting in curve.settings])
    rates -= rates[place]
    below, above = np.flatnonzero(rates <= -_APART), np.flatnonzero(rates >= _APART)
    if not len(below) or not len(above):
        return curve.losses[place], "the best learning rate is at the edge of what was run"
    near = [below[-1], place, above[0]]
    if not np.isfinite(curve.losses[near]).all():
        return curve.losses[place], "a neighbor of the best learning rate diverged"
    parabolas = np.polyfit(rates[near], curve.losses[near], 2)  # [coefficient, seed]
    curvature, slope, _ = parabolas.mean(axis=1)
    vertex = -slope / (2 * curvature) if curvature > 0 else 0.0
    return np.array([vertex**2, vertex, 1.0]) @ parabolas, None
