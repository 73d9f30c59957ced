"""A small sweep where an optimum is expected, widened until its best point lies inside."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from transfer.config import Experiment
from transfer.run_directory import RunDirectory
from transfer.scaling import Hyperparameters
from transfer.sweeps.groups import Group, Setting

MAX_ROUNDS = 4


def bracket(
    experiment: Experiment,
    run: RunDirectory,
    width: int,
    recipe: str,
    predicted: Hyperparameters,
    expected_log2_learning_rate: float,
    train: Callable[[Group], None],
) -> None:
    """Train the predicted hyperparameters, and learning rates about the expected optimum.

    The first round has the prediction and as many powers of two about the expectation as
    `sweep.bracket` says, which lie on the grid of a sweep in factors of two. Each further round
    adds the next point on the side where the best one lies on the edge, up to four in all; an
    optimum that still lies outside is left for the verdict to call undecided.
    """
    seeds, aside = experiment.sweep.seeds, experiment.sweep.bracket // 2

    def settings(exponents: Sequence[int]) -> tuple[Setting, ...]:
        points = [dataclasses.replace(predicted, learning_rate=2.0**each) for each in exponents]
        return tuple(Setting(point, seed) for point in points for seed in seeds)

    center = round(expected_log2_learning_rate)
    exponents = list(range(center - aside, center + aside + 1))
    added = tuple(Setting(predicted, seed, "predicted") for seed in seeds) + settings(exponents)
    for _ in range(MAX_ROUNDS):
        train(Group(width, recipe, added))
        losses = _mean_losses(run, width, recipe)
        best = int(np.argmin([losses[each] for each in exponents]))
        if 0 < best < len(exponents) - 1:
            return
        beyond = exponents[0] - 1 if best == 0 else exponents[-1] + 1
        added, exponents = settings([beyond]), sorted([*exponents, beyond])


def _mean_losses(run: RunDirectory, width: int, recipe: str) -> dict[int, float]:
    losses: dict[int, list[float]] = {}
    for trial in run.trials():
        if (trial.width, trial.recipe, trial.origin) == (width, recipe, "sweep"):
            exponent = round(math.log2(trial.learning_rate))
            losses.setdefault(exponent, []).append(trial.objective_value)
    return {exponent: float(np.mean(values)) for exponent, values in losses.items()}
