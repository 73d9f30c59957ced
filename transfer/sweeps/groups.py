"""From a declared sweep to groups: the trials of one width, trained together."""

import dataclasses
import itertools
import math
import random

from transfer.config import Experiment, SweepConfig
from transfer.errors import TransferError
from transfer.scaling import Hyperparameters
from transfer.training import TrialGroup, TrialSpec


def declared_groups(experiment: Experiment) -> list[TrialGroup]:
    """Return the groups of the experiment's sweep, narrow ones first.

    Raises `TransferError` when the sweep names no widths or recipes, repeats a value, or has a
    learning-rate grid of one point.
    """
    sweep = experiment.sweep
    for name in ("widths", "recipes", "seeds"):
        values = getattr(sweep, name)
        if not values or len(set(values)) < len(values):
            raise TransferError(
                f"sweep.{name} is {values}; expected at least one value, and none twice."
            )
    points = search_points(sweep, experiment.hyperparameters)
    if len({point.learning_rate for point in points}) < 2:
        raise TransferError(
            "The learning-rate grid has one point; expected several in "
            "sweep.space.learning_rate, since an optimum lies between others."
        )
    recipes = [experiment.recipe.build(name) for name in sweep.recipes]
    return [
        experiment.group(
            width,
            [
                TrialSpec(point, seed, recipe)
                for recipe in recipes
                for point in points
                for seed in sweep.seeds
            ],
        )
        for width in sorted(sweep.widths)
    ]


def search_points(sweep: SweepConfig, defaults: Hyperparameters) -> list[Hyperparameters]:
    """Return the hyperparameters that the sweep tries at every width and recipe."""
    space = {name: values for name, values in dataclasses.asdict(sweep.space).items() if values}
    if sweep.search == "grid":
        combinations = [
            dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())
        ]
    else:
        generator = random.Random(sweep.search_seed)
        combinations = [
            {name: _log_uniform(generator, low, high) for name, (low, high) in space.items()}
            for _ in range(sweep.samples)
        ]
    points = [dataclasses.replace(defaults, **values) for values in combinations]
    return list(dict.fromkeys(points))


def _log_uniform(generator: random.Random, low: float, high: float) -> float:
    return low * math.pow(high / low, generator.random())
