"""Whether the training curves of all widths are one curve, once each is normalized."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transfer.analysis.losses import setting_of
from transfer.analysis.scaling_law import ScalingLaw
from transfer.analysis.width_losses import WidthLoss
from transfer.run_directory import TrialResult

# Shares of a run: where curves are compared, and over how much of it a loss is averaged. The first
# steps differ by the init, and the last tenth is 1 by the normalization.
_SHARES = np.linspace(0.15, 0.85, 29)
_WINDOW = 0.04


@dataclasses.dataclass(frozen=True)
class Collapse:
    """How far normalized curves of one recipe lie from each other.

    Fields:
      over_widths, over_seeds: standard deviation over widths of the curves of one seed, and over
        the seeds of one width, relative to the mean; root mean square over time and over seeds or
        widths. The second is None with one seed.
      floor: L0, that of the law of the training loss.
      widths: which were compared.
    """

    over_widths: float
    over_seeds: float | None
    floor: float
    widths: tuple[int, ...]

    @property
    def score(self) -> float | None:
        """Spread over widths in units of that over seeds; about 1 or below is a collapse."""
        return self.over_widths / self.over_seeds if self.over_seeds else None

    def __str__(self) -> str:
        """Say it in a sentence."""
        shown = f"{100 * self.over_widths:.1f} % over {len(self.widths)} widths"
        if self.over_seeds is None:
            return f"Normalized training curves spread by {shown}; one seed shows no noise."
        word = "collapse" if self.over_widths <= self.over_seeds else "do not collapse"
        return (
            f"Normalized training curves {word}: they spread by {shown} and by "
            f"{100 * self.over_seeds:.1f} % over seeds."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return dataclasses.asdict(self) | {"widths": list(self.widths)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Collapse":
        """Read what `to_json` wrote."""
        return cls(**{**content, "widths": tuple(content["widths"])})


def collapse_of(curves: np.ndarray, ends: np.ndarray, floor: float) -> tuple[float, float | None]:
    """Return the spread over widths and over seeds of (L(t) - L0) / (L_end - L0).

    Arguments:
      curves: losses at equal shares of each run, shape [width, seed, time].
      ends: losses at the end, shape [width, seed].
      floor: L0.

    Example:
      >>> time = np.linspace(0.2, 0.8, 4)
      >>> shape = 1 + 1 / time  # the same for all, from floors and heights of their own
      >>> heights = np.array([[0.5], [0.3]])
      >>> over_widths, over_seeds = collapse_of(
      ...     1.5 + heights[..., None] * shape, 1.5 + heights, floor=1.5
      ... )
      >>> over_widths < 1e-12, over_seeds
      (True, None)
    """
    normalized = (curves - floor) / (ends - floor)[..., None]
    relative = normalized / normalized.mean(axis=(0, 1))
    over_widths = _spread(relative, axis=0)
    over_seeds = _spread(relative, axis=1) if curves.shape[1] > 1 else None
    return over_widths, over_seeds


def collapse(
    trials: Sequence[TrialResult], metrics: pa.Table, losses: Sequence[WidthLoss], recipe: str
) -> Collapse | None:
    """Return the collapse of a recipe's training curves, each at the best setting of its width.

    None without the curves of all widths, or where the law of the training loss has no points
    enough, or a floor that curves do not stay above.

    Arguments:
      trials, metrics: of the run.
      losses: the widths that are compared, from `width_losses`.
    """
    if len(losses) < 4:
        return None
    chosen = {found.width: _trials_at(trials, recipe, found) for found in losses}
    seeds = sorted(set.intersection(*({t.seed for t in each} for each in chosen.values())))
    if not seeds:
        return None
    table = [[_trial(each, seed) for seed in seeds] for each in chosen.values()]
    curves = [[_curve(metrics, trial) for trial in row] for row in table]
    if any(curve is None for row in curves for curve in row):
        return None
    ends = np.array([[trial.loss for trial in row] for row in table])
    points = [
        dataclasses.replace(found, losses=tuple(row)).point(found.parameters)
        for found, row in zip(losses, ends, strict=True)
    ]
    floor = ScalingLaw.fit(points).floor
    stacked = np.array(curves, float)
    if (stacked <= floor).any() or (ends <= floor).any():
        return None
    over_widths, over_seeds = collapse_of(stacked, ends, floor)
    return Collapse(over_widths, over_seeds, floor, tuple(chosen))


def _spread(relative: np.ndarray, axis: int) -> float:
    return float(np.sqrt(relative.var(axis=axis, ddof=1).mean()))


def _trials_at(trials: Sequence[TrialResult], recipe: str, found: WidthLoss) -> list[TrialResult]:
    return [
        trial
        for trial in trials
        if (trial.recipe, trial.width, trial.origin) == (recipe, found.width, "sweep")
        and setting_of(trial) == found.best
        and trial.status == "completed"
    ]


def _trial(trials: Sequence[TrialResult], seed: int) -> TrialResult:
    return next(trial for trial in trials if trial.seed == seed)


def _curve(metrics: pa.Table, trial: TrialResult) -> np.ndarray | None:
    rows = metrics.filter(pc.equal(metrics["trial"], trial.trial)).sort_by("step")
    loss = rows["loss"].to_numpy()
    if len(loss) < trial.steps or not np.isfinite(loss).all():
        return None
    window = max(round(_WINDOW * trial.steps), 1)
    smooth = np.convolve(loss, np.full(window, 1 / window), mode="valid")
    middles = (np.arange(len(smooth)) + (window + 1) / 2) / trial.steps
    return np.interp(_SHARES, middles, smooth)
