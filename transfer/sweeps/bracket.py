"""A small sweep where an optimum is expected, widened until its best point lies inside."""

import dataclasses
from collections.abc import Callable

import numpy as np

from transfer.config import Experiment
from transfer.run_directory import RunDirectory
from transfer.scaling import Hyperparameters
from transfer.training import TrialGroup, TrialSpec

MAX_ROUNDS = 4


def bracket(
    experiment: Experiment,
    run: RunDirectory,
    predicted: Hyperparameters,
    expected_log2_learning_rate: float,
    train: Callable[[TrialGroup], None],
) -> None:
    """Train the predicted hyperparameters, and learning rates around the expected optimum.

    The first round has the prediction and as many powers of two around the expectation as
    `sweep.bracket` says, which lie on the grid of a sweep in factors of two. Each further round
    adds the next point on the side where the best one lies on the edge, up to four in all; an
    optimum that still lies outside is left for the verdict to call undecided.

    Arguments:
      experiment: that of the target, with its width and recipe.
      run: where `train` adds a group.
    """
    seeds, aside = experiment.sweep.seeds, experiment.sweep.bracket // 2
    width, recipe = experiment.model.width, experiment.recipe.build()

    def at(exponent: int) -> list[TrialSpec]:
        point = dataclasses.replace(predicted, learning_rate=2.0**exponent)
        return [TrialSpec(point, seed, recipe) for seed in seeds]

    center = round(expected_log2_learning_rate)
    swept = {each: at(each) for each in range(center - aside, center + aside + 1)}
    added = [
        *(TrialSpec(predicted, seed, recipe, "predicted") for seed in seeds),
        *(trial for trials in swept.values() for trial in trials),
    ]
    # The program of the first round serves the others, which are smaller.
    slots = len(added)
    for _ in range(MAX_ROUNDS):
        group = dataclasses.replace(experiment.group(width, added), slots=slots, survivors=1.0)
        train(group)
        losses = {trial.trial: trial.objective_value for trial in run.trials()}
        means = {
            exponent: np.mean([losses[group.trial_name(trial)] for trial in trials])
            for exponent, trials in swept.items()
        }
        best, lowest, highest = min(sorted(means), key=means.__getitem__), min(swept), max(swept)
        if lowest < best < highest:
            return
        beyond = lowest - 1 if best == lowest else highest + 1
        added = swept[beyond] = at(beyond)
