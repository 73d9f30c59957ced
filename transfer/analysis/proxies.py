"""Hyperparameters for a target, from sweeps at narrower widths."""

import math
import statistics
from collections.abc import Iterable, Sequence

from transfer.analysis.axis import AxisVerdict
from transfer.analysis.optimum import Optimum, WidthSweep, fit_widths
from transfer.analysis.prediction import Prediction
from transfer.analysis.recipe_verdict import RecipeVerdict, judge_recipe, told
from transfer.analysis.regret_forecast import forecast_regret
from transfer.errors import TransferError, nearest
from transfer.notation import hyperparameter, learning_rate, listed
from transfer.run_directory import SPECTRUM_SCHEMA, TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS, NAMES


def predict(
    trials: Iterable[TrialResult],
    recipe: str,
    target_width: int | None,
    proxy_widths: Sequence[int] | None = None,
    *,
    known: tuple[Sequence[WidthSweep], RecipeVerdict] | None = None,
) -> Prediction:
    """Return the hyperparameters for a target width from sweeps at narrower ones.

    They are the optimum at the *widest* proxy, where finite-width effects are smallest, and are
    moved unchanged: being canonical, they need no further rescaling. Multipliers are those of the
    best setting. Only sweep trials are read, all narrower widths by default. A target of None is
    the widest proxy itself, to be moved along other axes alone (`Prediction.extrapolated`).

    Arguments:
      trials: of a run.
      recipe: which of its recipes.
      target_width: wider than all proxies, or None.
      proxy_widths: the widths to read, by default all that are narrower.
      known: the recipe's sweeps and its verdict, where they are known already. The verdict decides
        what is warned of; the sweeps are fitted again, without the target, unless all are proxies.

    Raises:
      TransferError: no sweep of that recipe is narrower than the target, a proxy width is missing
        or too wide, or the widest proxy's optimum is undecided (the message says what to add).

    Example:
      >>> predict(trials, "mup+sqrt", target_width=1024).learning_rate  # doctest: +SKIP
      0.0173
    """
    swept = [trial for trial in trials if trial.origin == "sweep" and trial.is_finished]
    mine = [trial for trial in swept if trial.recipe == recipe]
    if not mine:
        recipes = sorted({trial.recipe for trial in swept})
        raise TransferError(
            f"There are no finished sweep trials of {recipe}; there are of "
            f"{', '.join(recipes) or 'no recipe'}{nearest(recipe, recipes)}."
        )
    base_widths = sorted({trial.base_width for trial in mine})
    if len(base_widths) > 1:
        raise TransferError(
            f"The trials of {recipe} have different base widths ({_listed(base_widths)}), so their "
            "learning rates do not compare; keep them in separate run directories."
        )
    widths = {trial.width for trial in mine}
    if target_width is None:
        target_width = max(proxy_widths or widths)
        widest = target_width + 1
    else:
        widest = target_width
    proxies = _proxies(widths, widest, proxy_widths)
    proxy_trials = [trial for trial in mine if trial.width in proxies]
    fitted, judged = known or ((), None)
    if proxies != tuple(each.optimum.width for each in fitted):
        fitted = fit_widths(proxy_trials, recipe, proxies)
    sweeps = list(fitted)
    if judged is None:
        judged = judge_recipe(proxy_trials, SPECTRUM_SCHEMA.empty_table(), recipe, sweeps)
    optimum = sweeps[-1].optimum
    rate, decay = optimum.log2_learning_rate, optimum.log2_weight_decay
    if rate.value is None:
        raise TransferError(f"{recipe} cannot be predicted yet: {rate.reason}.")
    unknown = {"learning rate": rate, "weight decay": decay}
    gaps = [
        f"no interval of the {name}: {e.reason}" for name, e in unknown.items() if e and e.reason
    ]
    return Prediction(
        recipe=recipe,
        target_width=target_width,
        base_width=base_widths[0],
        proxy_widths=proxies,
        learning_rate=2**rate.value,
        log2_learning_rate=rate.value,
        log2_learning_rate_interval=rate.interval,
        weight_decay=optimum.weight_decay,
        log2_weight_decay_interval=decay.interval if decay else None,
        multipliers={name: getattr(optimum.best, name) for name in MULTIPLIERS},
        notes=(
            f"the optimum at width {proxies[-1]}, moved unchanged",
            *_not_swept(proxy_trials, optimum),
            *([optimum.note] if optimum.note else []),
            *gaps,
        ),
        warnings=tuple(
            f"{told(axis)}{_line(axis, target_width)}"
            for axis in judged.axes
            if axis.answer.transfers != "true"
        ),
        tentative=judged.tentative,
        forecast=(forecast_regret(sweeps, target_width) if target_width > proxies[-1] else None),
    )


def _proxies(swept: set[int], target: int, wanted: Sequence[int] | None) -> tuple[int, ...]:
    proxies = tuple(sorted(width for width in swept if width < target))
    if wanted is not None:
        if missing := sorted(set(wanted) - swept):
            raise TransferError(
                f"Proxy width {_listed(missing)} was not swept; expected some of "
                f"{_listed(sorted(swept))}."
            )
        proxies = tuple(sorted(set(wanted)))
    if not proxies or proxies[-1] >= target:
        widths = _listed(proxies or sorted(swept))
        raise TransferError(
            f"The target width {target} is not wider than its proxies ({widths}); ask for a larger "
            "target or sweep a narrower width."
        )
    return proxies


def _not_swept(trials: Sequence[TrialResult], optimum: Optimum) -> list[str]:
    """Say which hyperparameters have one value in all trials that is no default."""
    tried = {name: {getattr(trial, name) for trial in trials} for name in NAMES}
    times = {
        name: f"{hyperparameter(name)} x {getattr(optimum.best, name):.4g}"
        for name in MULTIPLIERS
        if tried[name] != {1.0}
    }
    # A table of results need not tell the decay, which then reads as none.
    told = optimum.weight_decay or any(trial.base_width for trial in trials)
    named = ({"weight_decay": f"decay {optimum.weight_decay:.4g}"} if told else {}) | times
    fixed = [each for name, each in named.items() if len(tried[name]) == 1]
    return [f"{listed(fixed)}, which the sweep did not vary"] if fixed else []


def _line(axis: AxisVerdict, width: int) -> str:
    """Say where the line through the best learning rates meets a width, if they do not stay."""
    known = {each: found.value for each, found in axis.optima.items() if found.value is not None}
    if axis.axis != "learning_rate" or axis.answer.transfers != "false" or not known:
        return ""
    if axis.slope.value is None:
        return ""
    logs = [math.log2(each) for each in known]
    middle, height = statistics.fmean(logs), statistics.fmean(known.values())
    there = learning_rate(2 ** (height + axis.slope.value * (math.log2(width) - middle)))
    return f" The line through its best values meets width {width} at {there}."


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
