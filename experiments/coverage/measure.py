"""One simulated sweep, judged as `transfer report` judges it, beside its truth."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.coverage.scenarios import Scenario, Simulated, simulate
from experiments.coverage.trials import RECIPE, trials_of, width_of
from transfer.analysis import (
    REGRET_BAND,
    SLOPE_BAND,
    AxisVerdict,
    Estimate,
    forecast_regret,
    judge_axes,
    sweeps_by_recipe,
)

Row = dict[str, Any]
Judge = Callable[[Simulated], tuple[AxisVerdict, Estimate | None]]


def measured(scenario: Scenario, repeat: int, judge: Judge | None = None) -> Row:
    """Return what intervals and verdict of one sweep say, and whether that is true.

    Of optima and regrets, `held` are those whose interval holds the truth, `told` those that have
    an interval and `asked` all. The forecast is that of the regret at the widest width, made
    without it. A verdict is wrong where it says that a true slope and regrets lie in their bands
    and one does not, or the contrary.
    """
    simulated = simulate(scenario, repeat)
    found, forecast = (judge or judged)(simulated)
    optima = simulated.optima if scenario.decays is None else simulated.decay_optima
    estimates = list(found.optima.values())
    row: Row = {
        name: value for name, value in dataclasses.asdict(scenario).items() if name != "repeats"
    }
    row |= {
        "repeat": repeat,
        "shape": simulated.shape,
        "true_slope": simulated.slope,
        **_counts("optimum", estimates, list(optima)),
        **_counts("slope", [found.slope], [simulated.slope]),
        **_counts("regret", [each.relative for each in found.regrets], list(simulated.regrets)),
    }
    # A forecast takes the optima for a line, as they are here, and moves the widest proxy's.
    told = [forecast] if forecast is not None else []
    row |= _counts("forecast", told, [simulated.regrets[-1]] if told else [])
    transfers = abs(simulated.slope) <= SLOPE_BAND and bool(
        (simulated.regrets <= REGRET_BAND).all()
    )
    answer = found.answer.transfers
    row["answer"] = answer
    row["wrong"] = answer != "undecided" and (answer == "true") != transfers
    return row


def judged(simulated: Simulated) -> tuple[AxisVerdict, Estimate | None]:
    """Judge a sweep's learning rate, or its decay where several were swept."""
    trials = trials_of(simulated)
    sweeps = sweeps_by_recipe(trials)[RECIPE]
    is_plane = len(simulated.decays) > 1
    axis = "weight_decay" if is_plane else "learning_rate"
    verdict = next(each for each in judge_axes(trials, RECIPE, sweeps) if each.axis == axis)
    if is_plane or len(sweeps) < 3:
        return verdict, None
    widest = width_of(len(sweeps) - 1)
    proxies = [trial for trial in trials if trial.width < widest]
    return verdict, forecast_regret(sweeps_by_recipe(proxies)[RECIPE], widest)


def _counts(name: str, estimates: Sequence[Estimate], truths: Sequence[float]) -> Row:
    intervals = [
        (each.interval, truth)
        for each, truth in zip(estimates, truths, strict=True)
        if each.interval is not None
    ]
    held = [low <= truth <= high for (low, high), truth in intervals]
    return {
        f"{name}_held": sum(held),
        f"{name}_told": len(held),
        f"{name}_asked": len(truths),
        f"{name}_length": float(np.mean([high - low for (low, high), _ in intervals]))
        if intervals
        else None,
    }
