"""What transferring instead of tuning costs at a larger width."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.estimate import Interval, interval_json
from transfer.analysis.interpolation import interpolate
from transfer.analysis.losses import LossTable, common_seeds, setting_of
from transfer.analysis.optimum import Optimum
from transfer.analysis.quadratic import power
from transfer.errors import TransferError
from transfer.run_directory import Trial

Source = Literal["trained", "interpolated"]
# (loss at the transferred hyperparameters, best loss of the sweep) under weights of the seeds.
Losses = Callable[[np.ndarray | None], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class ZeroShot:
    """The loss at transferred hyperparameters beside the best loss found by tuning.

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

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, with a `reason` only where something is null."""
        content = dataclasses.asdict(self)
        content["interval"] = interval_json(self.interval)
        content["relative_interval"] = interval_json(self.relative_interval)
        if self.reason is None:
            del content["reason"]
        return content


def zero_shot_regret(trials: Iterable[Trial], recipe: str, width: int, proxy: Optimum) -> ZeroShot:
    """Return the regret at `width` of the hyperparameters tuned at a narrower proxy.

    Raises:
      TransferError: the proxy is not narrower, or losses at this width do not compare.

    Example:
      >>> proxy = find_optimum(trials, "mup+sqrt", 128)  # doctest: +SKIP
      >>> zero_shot_regret(trials, "mup+sqrt", 256, proxy).relative_regret  # doctest: +SKIP
      0.006
    """
    if proxy.width >= width:
        raise TransferError(
            f"The proxy of width {proxy.width} is not narrower than the target width {width}; "
            "regret is that of transferring to a larger width."
        )
    here = [trial for trial in trials if trial.recipe == recipe and trial.width == width]
    swept = LossTable.of(here, recipe, width)
    transferred = proxy.log2_learning_rate.value
    if transferred is None:
        reason = f"the optimum at the proxy width {proxy.width} is undecided"
        return ZeroShot(width, proxy.width, "interpolated", None, reason=reason)
    predicted = _nearest_predicted(here, transferred)
    if predicted is not None:
        place = math.log2(predicted.settings[0].learning_rate)
        return _trained(ZeroShot(width, proxy.width, "trained", place), predicted, swept)
    return _interpolated(ZeroShot(width, proxy.width, "interpolated", transferred), proxy, swept)


def _nearest_predicted(trials: list[Trial], log2_learning_rate: float) -> LossTable | None:
    predicted = [t for t in trials if t.origin == "predicted" and t.status != "failed"]
    if not predicted:
        return None
    nearest = min(
        map(setting_of, predicted),
        key=lambda setting: abs(math.log2(setting.learning_rate) - log2_learning_rate),
    )
    return LossTable.of_trials([t for t in predicted if setting_of(t) == nearest])


def _trained(zero_shot: ZeroShot, predicted: LossTable, swept: LossTable) -> ZeroShot:
    seeds = common_seeds(predicted, swept)
    if not seeds:
        loss = float(predicted.mean()[0])
        return dataclasses.replace(
            zero_shot,
            loss=loss if math.isfinite(loss) else None,
            diverged=math.isinf(loss),
            reason=f"width {zero_shot.width} was not tuned with these seeds, so its best loss is "
            "unknown",
        )
    at_prediction, on_grid = predicted.at_seeds(seeds), swept.at_seeds(seeds)
    return _compare(
        zero_shot,
        lambda weights: (
            float(at_prediction.mean(weights)[0]),
            float(on_grid.mean(weights).min()),
        ),
        len(seeds),
    )


def _interpolated(zero_shot: ZeroShot, proxy: Optimum, swept: LossTable) -> ZeroShot:
    seeds = common_seeds(proxy.landscape.table, swept)
    if not seeds:
        reason = f"widths {proxy.width} and {zero_shot.width} were swept with different seeds"
        return dataclasses.replace(zero_shot, reason=reason)
    landscape, on_grid = proxy.landscape.at_seeds(seeds), swept.at_seeds(seeds)

    def losses(weights: np.ndarray | None) -> tuple[float, float]:
        # The proxy is tuned anew in every resample: its uncertainty is part of the regret's.
        mean, place = on_grid.mean(weights), landscape.locate(weights)
        return interpolate(on_grid, mean, place, proxy.best), float(mean.min())

    return _compare(zero_shot, losses, len(seeds))


def _compare(zero_shot: ZeroShot, losses: Losses, seeds: int) -> ZeroShot:
    loss, best = losses(None)
    known = dataclasses.replace(zero_shot, best_loss=best if math.isfinite(best) else None)
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

    def regret(weights: np.ndarray) -> float:
        loss, best = losses(weights)
        return loss - best

    def relative_regret(weights: np.ndarray) -> float:
        loss, best = losses(weights)
        return (loss - best) / best

    interval, no_interval = bootstrap(regret, seeds)
    relative_interval, _ = bootstrap(relative_regret, seeds)
    return dataclasses.replace(
        known,
        loss=loss,
        regret=loss - best,
        interval=interval,
        relative_regret=(loss - best) / best,
        relative_interval=relative_interval,
        reason=no_interval,
    )
