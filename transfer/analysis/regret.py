"""What transferring instead of tuning costs at a larger width."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from transfer.analysis.estimate import Estimate, Interval, interval_from_json, interval_json
from transfer.analysis.losses import LossTable, common_seeds, setting_of
from transfer.analysis.optimum import WidthSweep, fit_widths, log2_or_nothing
from transfer.analysis.quadratic import power
from transfer.analysis.surface import apart
from transfer.errors import TransferError
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters

Source = Literal["trained", "fitted", "interpolated"]  # the last in files of earlier versions


@dataclasses.dataclass(frozen=True)
class Regret:
    """By how much the loss at transferred hyperparameters is above that at the width's own optimum.

    regret = loss - best_loss and relative_regret = regret / best_loss, where `best_loss` is that
    at the fitted optimum: the lowest loss that was run would be too low by its luck. Both losses
    are read off the bowl that was fitted to all trials of the width. The source is `trained` where
    trials with origin "predicted" were among them, at the very place. Where these cannot be part
    of the fit, for another decay or for lack of seeds, `loss` is their mean, and the regret may be
    negative. Intervals hold 95 %, and start at 0 where the two optima may be the same. Losses are
    in nats per token; what is unknown is None, with a reason.
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
    trials: Iterable[TrialResult],
    recipe: str,
    width: int,
    proxy: WidthSweep,
    target: WidthSweep | None = None,
) -> Regret:
    """Return the regret at `width` of the hyperparameters tuned at a narrower proxy.

    Args:
      proxy: the narrower width's sweep.
      target: the sweep at `width` where it is known already, else it is fitted with the others.

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
    trials = [trial for trial in trials if trial.recipe == recipe]
    here = [trial for trial in trials if trial.width == width]
    swept = LossTable.of(here, recipe, width)
    if transferred is None:
        reason = f"the optimum at the proxy width {from_width} is undecided"
        return Regret(width, from_width, "fitted", None, reason=reason)
    predicted = _nearest_predicted(here, transferred)
    if target is None and swept.settings:
        widths = sorted({t.width for t in trials if t.origin == "sweep" and t.is_finished})
        target = fit_widths(trials, recipe, widths)[widths.index(width)]
    if predicted is not None:
        place = math.log2(predicted.settings[0].learning_rate)
        return _trained(Regret(width, from_width, "trained", place), predicted, swept, target)
    found = Regret(width, from_width, "fitted", transferred)
    return _fitted(found, proxy, swept, target)


def _nearest_predicted(trials: list[TrialResult], log2_learning_rate: float) -> LossTable | None:
    predicted = [t for t in trials if t.origin == "predicted" and t.is_finished]
    if not predicted:
        return None
    nearest = min(
        map(setting_of, predicted),
        key=lambda setting: abs(math.log2(setting.learning_rate) - log2_learning_rate),
    )
    return LossTable.of_trials([t for t in predicted if setting_of(t) == nearest])


def _trained(
    regret: Regret, predicted: LossTable, swept: LossTable, target: WidthSweep | None
) -> Regret:
    seeds = common_seeds(predicted, swept)
    if not seeds or target is None:
        loss = float(predicted.mean()[0])
        return dataclasses.replace(
            regret,
            loss=loss if math.isfinite(loss) else None,
            diverged=math.isinf(loss),
            reason=f"width {regret.width} was not tuned with these seeds, so its best loss is "
            "unknown",
        )
    setting, loss = predicted.settings[0], float(predicted.at_seeds(seeds).mean()[0])
    if unknown := _unknown(regret, loss, target):
        return unknown
    assert regret.log2_learning_rate is not None
    surface, decay = target.surface, log2_or_nothing(setting.weight_decay)
    if regret.log2_learning_rate in surface.row.points[0] and decay == surface.best:
        # The fit has read these trials with the others, which tells more than they do alone.
        cost = surface.height(regret.log2_learning_rate, decay)
        offset = regret.log2_learning_rate - surface.bottom
        costs = [Estimate.of_cost(each, offset) for each in (cost, cost / surface.level)]
        return _compared(regret, surface.level, costs[0], costs[1], target)
    # The level is that of all seeds of the sweep; that of the common seeds may be another.
    finite = np.isfinite(swept.mean())
    shift = (swept.at_seeds(seeds).mean() - swept.mean())[finite].mean()
    level = surface.level + shift
    noise = surface.row.noise / math.sqrt(len(seeds))
    error = np.random.default_rng(1).standard_normal(len(noise)) * noise
    above = loss + error - level
    found, relative = Estimate.of_draws(above), Estimate.of_draws(above / level)
    return _compared(regret, level, found, relative, target)


def _fitted(
    regret: Regret, proxy: WidthSweep, swept: LossTable, target: WidthSweep | None
) -> Regret:
    if target is None:
        return dataclasses.replace(regret, reason=f"width {regret.width} was not tuned")
    assert regret.log2_learning_rate is not None
    place = regret.log2_learning_rate, float(np.median(proxy.surface.other))
    loss = _interpolate(swept, swept.mean(), place, proxy.optimum.best)
    if unknown := _unknown(regret, loss, target):
        return unknown
    surface = target.surface
    cost = surface.height(proxy.surface.bottom, proxy.surface.other)
    offset = apart(proxy.surface, surface)
    found, relative = (Estimate.of_cost(each, offset) for each in (cost, cost / surface.level))
    gap = proxy.optimum.log2_learning_rate
    if gap.interval is None:
        found, relative = (Estimate(e.value, None, gap.reason) for e in (found, relative))
    return _compared(regret, surface.level, found, relative, target)


def _unknown(regret: Regret, loss: float, target: WidthSweep) -> Regret | None:
    """Return why there is no regret, None where there is one; `loss` is that at the place."""
    best = target.optimum.best_loss
    known = dataclasses.replace(regret, best_loss=best)
    if best is None:
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
    return None


def _compared(
    regret: Regret,
    level: np.ndarray,
    found: Estimate,
    relative: Estimate,
    target: WidthSweep,
) -> Regret:
    gap = target.optimum.log2_learning_rate
    whole = gap.interval is not None
    best = float(np.median(level))
    assert found.value is not None
    return dataclasses.replace(
        regret,
        loss=best + found.value,
        best_loss=best,
        regret=found.value,
        interval=found.interval if whole else None,
        relative_regret=relative.value,
        relative_interval=relative.interval if whole else None,
        reason=found.reason if whole else gap.reason,
    )


def _interpolate(
    table: LossTable,
    losses: np.ndarray,
    place: tuple[float, float],
    multipliers_of: Hyperparameters,
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
