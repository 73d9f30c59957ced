"""The sweep's answer: `verdict.json`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from transfer.analysis.compute import compute_spent
from transfer.analysis.estimate import interval_json
from transfer.analysis.invariance import judge_invariance
from transfer.analysis.optimum import Optimum, find_optimum
from transfer.analysis.regret import zero_shot_regret
from transfer.analysis.slope import optimum_slope
from transfer.analysis.spectrum import spectrum_slopes
from transfer.analysis.transferability import judge_transfer
from transfer.errors import TransferError
from transfer.run_directory import OBJECTIVES, Trial


def judge(
    trials: Sequence[Trial], spectrum: pa.Table, *, task: str, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the verdict on every recipe of a run as plain JSON.

    Each width's optimum, its slope over width, the regret of transferring to each larger width from
    the next narrower one, the width slope of the top singular values and whether they are
    invariant, and whether the recipe transfers, each in a word and in a sentence. The objective is
    the loss by which trials compare. What is unknown is null, with a reason; nothing is NaN.

    Raises:
      TransferError: there are no sweep trials, or some do not compare.

    Example:
      >>> verdict = judge(trials, spectrum, task="code", provenance={})  # doctest: +SKIP
      >>> verdict["recipes"]["mup+sqrt"]["transfers"]  # doctest: +SKIP
      'true'
    """
    recipes = sorted({trial.recipe for trial in trials if trial.origin == "sweep"})
    if not recipes:
        raise TransferError(
            "There are no sweep trials to judge; run `transfer sweep` at two or more widths first."
        )
    return {
        "recipes": {recipe: _judge_recipe(trials, spectrum, recipe) for recipe in recipes},
        "objective": {"name": OBJECTIVES[trials[0].objective], "unit": "nats"},
        "compute": compute_spent(trials),
        "task": task,
        "provenance": dict(provenance),
    }


def _judge_recipe(trials: Sequence[Trial], spectrum: pa.Table, recipe: str) -> dict[str, Any]:
    mine = [trial for trial in trials if trial.recipe == recipe and trial.status != "failed"]
    swept = sorted({trial.width for trial in mine if trial.origin == "sweep"})
    optima = [find_optimum(mine, recipe, width) for width in swept]
    slope = optimum_slope(optima)
    zero_shots = [
        zero_shot_regret(mine, recipe, width, _widest_narrower(optima, width))
        for width in sorted({trial.width for trial in mine})
        if width > swept[0]
    ]
    proxy = _widest_narrower(optima, max(trial.width for trial in mine))
    answer = judge_transfer(optima, slope, zero_shots)
    return {
        "optimum_log2_learning_rate": {
            str(optimum.width): optimum.log2_learning_rate.to_json() for optimum in optima
        },
        "best_loss": {str(optimum.width): optimum.best_loss for optimum in optima},
        "seeds": {str(optimum.width): len(optimum.landscape.table.seeds) for optimum in optima},
        "slope": slope.value,
        "slope_interval": interval_json(slope.interval),
        "slope_reason": slope.reason,
        "spectrum_slope": {
            parameter: result.to_json() | judge_invariance(result, recipe).to_json()
            for parameter, result in spectrum_slopes(
                mine, spectrum, recipe, _transferred(proxy)
            ).items()
        },
        "zero_shot": {str(shot.width): shot.to_json() for shot in zero_shots},
        "transfers": answer.transfers,
        "reason": answer.reason,
    }


def _widest_narrower(optima: Sequence[Optimum], width: int) -> Optimum:
    # Where no width is narrower there is nothing to transfer, and the narrowest stands for itself.
    return [optimum for optimum in optima if optimum.width < width or optimum is optima[0]][-1]


def _transferred(proxy: Optimum) -> float:
    fitted = proxy.log2_learning_rate.value
    return math.log2(proxy.best.learning_rate) if fitted is None else fitted
