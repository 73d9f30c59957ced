"""What a sweep cost, by width, and what tuning at a target would cost instead."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from transfer.run_directory import TrialResult

AHEAD = 8
"""By how much the second target that a sweep's cost is compared with is wider than the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WidthCost:
    """What was trained at one width, under all recipes.

    Fields:
      parameters: of the model; 0 where that is not recorded.
      tokens: that one trial trains on; 0 where that is not recorded.
      trials: number of trials, of the sweep and of predictions.
      diverged, failed: number of those that diverged, and of those that ended with an error.
      flops: of all trials together.
      wall_seconds: of all trials together, None where that was not recorded.
    """

    width: int
    parameters: int
    tokens: int
    trials: int
    diverged: int
    failed: int
    flops: float
    wall_seconds: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuningCost:
    """Floating-point operations of tuning at a width as its widest proxy was tuned.

    `ratio` is what the sweep at narrower widths took, over that.
    """

    width: int
    flops: float
    ratio: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeSpent:
    """What was trained, by increasing width, and what tuning elsewhere would cost.

    `proxy_flops` are those of the sweep at widths below the target, and `tuning` has the target and
    one 8 times as wide. Without a narrower width there is nothing to compare and `reason` says so.
    """

    widths: tuple[WidthCost, ...] = ()
    proxy_flops: float | None = None
    tuning: tuple[TuningCost, ...] = ()
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, with a `reason` only where something is null."""
        content = dataclasses.asdict(self)
        content["widths"] = [dataclasses.asdict(each) for each in self.widths]
        content["tuning"] = [dataclasses.asdict(each) for each in self.tuning]
        if self.reason is None:
            del content["reason"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ComputeSpent":
        """Read what `to_json` wrote, or an earlier version that knew the ratio alone."""
        if "widths" not in content:
            reason = content.get("reason") or "an earlier version did not record it by width"
            return cls(proxy_flops=content["proxy_flops"], reason=reason)
        return cls(
            widths=tuple(WidthCost(**each) for each in content["widths"]),
            proxy_flops=content["proxy_flops"],
            tuning=tuple(TuningCost(**each) for each in content["tuning"]),
            reason=content.get("reason"),
        )


def compute_spent(trials: Iterable[TrialResult], target: int | None = None) -> ComputeSpent:
    """Return what was trained, and what tuning at the target and at 8 times its width would cost.

    Tuning there means as many trials as at the widest proxy of each recipe, each as long as the
    configuration makes it. Diverged trials count, because they were paid for. Operations at a width
    where nothing was trained are those of a polynomial a width^2 + b width through the others:
    products of width by width and of width by a fixed size.

    Arguments:
      trials: of the run.
      target: the width that is tuned for; by default the widest one that was trained.

    Example:
      >>> compute_spent(trials).tuning[0].ratio  # doctest: +SKIP
      0.31
    """
    trials = list(trials)
    widths = tuple(
        _width_cost([trial for trial in trials if trial.width == width])
        for width in sorted({trial.width for trial in trials})
    )
    target = target or max((each.width for each in widths), default=0)
    proxies = [trial for trial in trials if trial.origin == "sweep" and trial.width < target]
    if not proxies:
        return ComputeSpent(widths=widths, reason="no width was swept below the widest one")
    if not all(trial.flops > 0 and trial.tokens > 0 for trial in trials):
        return ComputeSpent(
            widths=widths, reason="the operations and tokens of some trials are not recorded"
        )
    proxy_flops = sum(trial.flops for trial in proxies)
    tuning = []
    for width in (target, AHEAD * target):
        flops = sum(
            _trials_at_the_widest(proxies, recipe) * _flops_of_one(trials, recipe, width)
            for recipe in sorted({trial.recipe for trial in proxies})
        )
        tuning.append(TuningCost(width=width, flops=flops, ratio=proxy_flops / flops))
    return ComputeSpent(widths=widths, proxy_flops=proxy_flops, tuning=tuple(tuning))


def _width_cost(here: Sequence[TrialResult]) -> WidthCost:
    seconds = sum(trial.wall_seconds for trial in here)
    return WidthCost(
        width=here[0].width,
        parameters=max(trial.parameters for trial in here),
        tokens=max(trial.tokens for trial in here),
        trials=len(here),
        diverged=sum(trial.status == "diverged" for trial in here),
        failed=sum(trial.status == "failed" for trial in here),
        flops=sum(trial.flops for trial in here),
        wall_seconds=seconds if math.isfinite(seconds) else None,
    )


def _trials_at_the_widest(proxies: Sequence[TrialResult], recipe: str) -> int:
    mine = [trial.width for trial in proxies if trial.recipe == recipe]
    return mine.count(max(mine))


def _flops_of_one(trials: Sequence[TrialResult], recipe: str, width: int) -> float:
    """Return the floating-point operations of one trial at a width, trained there or not."""
    mine = [trial for trial in trials if trial.recipe == recipe]
    known = {trial.width: trial for trial in sorted(mine, key=lambda trial: trial.flops)}
    if width in known:
        return known[width].flops
    per_token = {each: trial.flops / trial.tokens for each, trial in known.items()}
    tokens = {each: float(trial.tokens) for each, trial in known.items()}
    if len(set(tokens.values())) == 1:
        return known[max(known)].tokens * _extrapolated(per_token, width)
    # The run is as long as its model is large.
    return _extrapolated(tokens, width) * _extrapolated(per_token, width)


def _extrapolated(known: Mapping[int, float], width: int) -> float:
    """Return a width^2 + b width, neither negative, by relative least squares."""
    widths, values = np.array(list(known), float), np.array(list(known.values()))
    terms = np.stack([widths**2, widths], axis=1) / values[:, None]
    target = np.array([float(width) ** 2, float(width)])
    if len(known) > 1:
        fitted = np.linalg.lstsq(terms, np.ones(len(known)))[0]
        if (fitted >= 0).all():
            return float(fitted @ target)
    # One width, or one term that alone explains the others better than with the second below zero.
    alone = [(term @ np.ones_like(term) / (term @ term), term) for term in terms.T]
    errors = [float(np.square(scale * term - 1).sum()) for scale, term in alone]
    best = int(np.argmin(errors)) if len(known) > 1 else 0
    return float(alone[best][0] * target[best])
