"""A grid that goes beyond its ends at the widths where its best point lies there."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from transfer.config import Experiment
from transfer.run_directory import RunDirectory
from transfer.scaling import Hyperparameters, Recipe
from transfer.training import TrialGroup, TrialSpec


def extend_grids(
    experiment: Experiment,
    run: RunDirectory,
    groups: Sequence[TrialGroup],
    train: Callable[[TrialGroup], None],
) -> None:
    """Train further values of each grid, up to `sweep.extend` times at a width.

    Under each recipe whose best point, in the mean over seeds, has the lowest or the highest value
    of a hyperparameter, the next value in the same ratio is added with every combination of the
    others.

    Arguments:
      run: holds the groups; `train` adds one.
    """
    seeds = experiment.sweep.seeds
    for group in groups:
        grids = {recipe: _grid(group, recipe) for recipe in group.recipes}
        slots = len(group.trials)
        for _ in range(experiment.sweep.extend):
            losses = {trial.trial: trial.objective_value for trial in run.trials()}
            added: list[TrialSpec] = []
            for recipe, grid in grids.items():
                means = {
                    point: np.mean(
                        [losses[group.trial_name(TrialSpec(point, seed, recipe))] for seed in seeds]
                    )
                    for point in _points(grid, group.trials[0].hyperparameters)
                }
                best = min(means, key=means.__getitem__)
                wider = {name: _wider(values, getattr(best, name)) for name, values in grid.items()}
                grids[recipe] = wider
                added += [
                    TrialSpec(point, seed, recipe)
                    for point in _points(wider, group.trials[0].hyperparameters)
                    if point not in means
                    for seed in seeds
                ]
            if not added:
                break
            train(dataclasses.replace(group, trials=tuple(added), slots=slots))


def _grid(group: TrialGroup, recipe: Recipe) -> dict[str, tuple[float, ...]]:
    """The distinct values of every hyperparameter in a group, in order."""
    points = [trial.hyperparameters for trial in group.trials if trial.recipe == recipe]
    names = [field.name for field in dataclasses.fields(Hyperparameters)]
    return {name: tuple(sorted({getattr(point, name) for point in points})) for name in names}


def _points(grid: dict[str, tuple[float, ...]], defaults: Hyperparameters) -> list[Hyperparameters]:
    return [
        dataclasses.replace(defaults, **dict(zip(grid, values, strict=True)))
        for values in itertools.product(*grid.values())
    ]


def _wider(values: tuple[float, ...], best: float) -> tuple[float, ...]:
    """The values with the next one beyond the end at which the best one lies.

    Example:
      >>> _wider((0.25, 0.5, 1.0), 1.0), _wider((0.25, 0.5, 1.0), 0.25), _wider((0.0, 1.0), 0.0)
      ((0.25, 0.5, 1.0, 2.0), (0.125, 0.25, 0.5, 1.0), (0.0, 1.0))
    """
    positive = [value for value in values if value > 0]
    if len(positive) < 2:
        return values
    if best == values[-1]:
        return (*values, values[-1] * (values[-1] / values[-2] if values[-2] > 0 else 2.0))
    if best == values[0] > 0:
        return (values[0] * values[0] / values[1], *values)
    return values
