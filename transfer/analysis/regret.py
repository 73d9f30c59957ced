"""What transferring instead of tuning costs at a larger width."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from transfer.analysis.bootstrap import bootstrap_jointly
from transfer.analysis.estimate import Estimate, Interval, interval_from_json, interval_json
from transfer.analysis.losses import LossTable, common_seeds, setting_of
from transfer.analysis.optimum import Place, WidthSweep
from transfer.analysis.quadratic import power
from transfer.errors import TransferError
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters

Source = Literal["trained", "interpolated"]
# (loss at the transferred hyperparameters, best loss of the sweep) under weights of the seeds.
Losses = Callable[[np.ndarray | None], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Regret:
    """By how much the loss at transferred hyperparameters is above the best found by tuning.

    regret = loss - best_loss, relative_regret = regret / best_loss, averaged over seeds, with
    paired bootstrap intervals. It is negative when the transferred setting beats the whole sweep
    of that width. `loss` is `trained` where trials with origin "predicted" exist, else
    `interpolated` in log2 learning rate between the neighbours on that width's grid, which
    overstates a convex loss. Losses are in nats per token; what is unknown is None, with a reason.
    """

    width: int
    from_width: int
    source: Source
    log2_learning_rate: float | None
    loss: float | None = None
    best_loss: float | None = None
    regret: float | None = None
    interval: Interval | None = None
    relative_regret: float | None = None
    relative_interval: Interval | None = None
    diverged: bool = False
    reason: str | None = None

    @property
    def relative(self) -> Estimate:
        """The relative regret with its interval, and the reason where either is unknown."""
        return Estimate(self.relative_regret, self.relative_interval, self.reason)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, with a `reason` only where something is null."""
        content = dataclasses.asdict(self)
        content["interval"] = interval_json(self.interval)
        content["relative_interval"] = interval_json(self.relative_interval)
        if self.reason is None:
            del content["reason"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Regret":
        """Read what `to_json` wrote."""
        intervals = {
            name: interval_from_json(content[name]) for name in ("interval", "relative_interval")
        }
        return cls(**{**content, **intervals})


def find_regret(
    trials: Iterable[TrialResult], recipe: str, width: int, proxy: WidthSweep
) -> Regret:
    """Return the regret at `width` of the hyperparameters tuned at a narrower proxy.

    Raises:
      TransferError: the proxy is not narrower, or losses at this width do not compare.

    Example:
      >>> proxy = WidthSweep.of(trials, "mup+sqrt", 128)  # doctest: +SKIP
      >>> find_regret(trials, "mup+sqrt", 256, proxy).relative_regret  # doctest: +SKIP
      0.006
    """
    from_width, transferred = proxy.optimum.width, proxy.optimum.log2_learning_rate.value
    if from_width >= width:
        raise TransferError(
            f"The proxy of width {from_width} is not narrower than the target width {width}; "
            "regret is that of transferring to a larger width."
        )
    here = [trial for trial in trials if trial.recipe == recipe and trial.width == width]
    swept = LossTable.of(here, recipe, width)
    if transferred is None:
        reason = f"the optimum at the proxy width {from_width} is undecided"
        return Regret(width, from_width, "interpolated", None, reason=reason)
    predicted = _nearest_predicted(here, transferred)
    if predicted is not None:
        place = math.log2(predicted.settings[0].learning_rate)
        return _trained(Regret(width, from_width, "trained", place), predicted, swept)
    return _interpolated(Regret(width, from_width, "interpolated", transferred), proxy, swept)


def _nearest_predicted(trials: list[TrialResult], log2_learning_rate: float) -> LossTable | None:
    predicted = [t for t in trials if t.origin == "predicted" and t.status != "failed"]
    if not predicted:
        return None
    nearest = min(
        map(setting_of, predicted),
        key=lambda setting: abs(math.log2(setting.learning_rate) - log2_learning_rate),
    )
    return LossTable.of_trials([t for t in predicted if setting_of(t) == nearest])


def _trained(regret: Regret, predicted: LossTable, swept: LossTable) -> Regret:
    seeds = common_seeds(predicted, swept)
    if not seeds:
        loss = float(predicted.mean()[0])
        return dataclasses.replace(
            regret,
            loss=loss if math.isfinite(loss) else None,
            diverged=math.isinf(loss),
            reason=f"width {regret.width} was not tuned with these seeds, so its best loss is "
            "unknown",
        )
    at_prediction, on_grid = predicted.at_seeds(seeds), swept.at_seeds(seeds)
    return _compare(
        regret,
        lambda weights: (
            float(at_prediction.mean(weights)[0]),
            float(on_grid.mean(weights).min()),
        ),
        len(seeds),
    )


def _interpolated(regret: Regret, proxy: WidthSweep, swept: LossTable) -> Regret:
    seeds = common_seeds(proxy.landscape.table, swept)
    if not seeds:
        reason = f"widths {proxy.optimum.width} and {regret.width} were swept with different seeds"
        return dataclasses.replace(regret, reason=reason)
    landscape, on_grid = proxy.landscape.at_seeds(seeds), swept.at_seeds(seeds)

    def losses(weights: np.ndarray | None) -> tuple[float, float]:
        # The proxy is tuned anew in every resample: its uncertainty is part of the regret's.
        mean, place = on_grid.mean(weights), landscape.locate(weights)
        return _interpolate(on_grid, mean, place, proxy.optimum.best), float(mean.min())

    return _compare(regret, losses, len(seeds))


def _compare(regret: Regret, losses: Losses, seeds: int) -> Regret:
    loss, best = losses(None)
    known = dataclasses.replace(regret, best_loss=best if math.isfinite(best) else None)
    if math.isinf(best):
        return dataclasses.replace(known, reason=f"every trial of width {known.width} diverged")
    if math.isinf(loss):
        reason = "training diverges at the transferred hyperparameters"
        return dataclasses.replace(known, diverged=True, reason=reason)
    if math.isnan(loss):
        assert known.log2_learning_rate is not None
        reason = (
            f"{power(known.log2_learning_rate)} does not lie between two learning rates that "
            f"trained without divergence at width {known.width}"
        )
        return dataclasses.replace(known, reason=reason)

    def regrets(weights: np.ndarray) -> tuple[float, float]:
        loss, best = losses(weights)
        return loss - best, (loss - best) / best

    (interval, no_interval), (relative_interval, _) = bootstrap_jointly(regrets, seeds, count=2)
    return dataclasses.replace(
        known,
        loss=loss,
        regret=loss - best,
        interval=interval,
        relative_regret=(loss - best) / best,
        relative_interval=relative_interval,
        reason=no_interval,
    )


def _interpolate(
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
