"""What tuning on proxies costs beside tuning at the target."""

from collections.abc import Iterable
from typing import Any

from transfer.run_directory import Trial


def compute_spent(trials: Iterable[Trial]) -> dict[str, Any]:
    """Return the floating-point operations of all proxy sweeps and of tuning at the target.

    The target of a recipe is its widest width. Where the target was not swept, the cost of doing so
    is estimated: as many trials as at the widest proxy, each as long as the one trained there.
    `ratio` is proxy over target; diverged trials count, for they were paid for.

    Example:
      >>> compute_spent(trials)["ratio"]  # doctest: +SKIP
      0.31
    """
    by_recipe: dict[str, list[Trial]] = {}
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

    spent = {"proxy_flops": proxy_flops, "target_tuning_flops": target_flops}
    if not target_flops:
        return dict.fromkeys((*spent, "ratio")) | {"reason": "no recipe has two widths"}
    return {**spent, "ratio": proxy_flops / target_flops}
