"""What tuning on proxies costs beside tuning at the target."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from transfer.run_directory import TrialResult


@dataclasses.dataclass(frozen=True)
class ComputeSpent:
    """Floating-point operations of all proxy sweeps, of tuning at the target, and their ratio.

    All are None, with a reason, where no recipe has two widths.
    """

    proxy_flops: float | None
    target_tuning_flops: float | None
    ratio: float | None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, with a `reason` only where something is null."""
        content = dataclasses.asdict(self)
        if self.reason is None:
            del content["reason"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ComputeSpent":
        """Read what `to_json` wrote."""
        return cls(**content)


def compute_spent(trials: Iterable[TrialResult]) -> ComputeSpent:
    """Return the floating-point operations of all proxy sweeps and of tuning at the target.

    The target of a recipe is its widest width. Where the target was not swept, the cost of doing so
    is estimated: as many trials as at the widest proxy, each as long as the one trained there.
    `ratio` is proxy over target; diverged trials count, for they were paid for.

    Example:
      >>> compute_spent(trials).ratio  # doctest: +SKIP
      0.31
    """
    by_recipe: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_recipe.setdefault(trial.recipe, []).append(trial)

    proxy_flops = target_flops = 0.0
    for mine in by_recipe.values():
        target = max(trial.width for trial in mine)
        sweep = [trial for trial in mine if trial.origin == "sweep"]
        proxies = [trial for trial in sweep if trial.width < target]
        if not proxies:
            continue
        proxy_flops += sum(trial.flops for trial in proxies)
        tuning = [trial.flops for trial in sweep if trial.width == target]
        if not tuning:
            widest = max(trial.width for trial in proxies)
            one = max(trial.flops for trial in mine if trial.width == target)
            tuning = [one for trial in proxies if trial.width == widest]
        target_flops += sum(tuning)

    if not target_flops:
        return ComputeSpent(None, None, None, reason="no recipe has two widths")
    return ComputeSpent(proxy_flops, target_flops, proxy_flops / target_flops)
