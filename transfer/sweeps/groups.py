"""From a declared sweep to groups: the trials of one width, trained together."""

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence

from transfer.config import Experiment, SweepConfig
from transfer.errors import TransferError
from transfer.scaling import Hyperparameters
from transfer.sweeps.rungs import rung_name, rungs
from transfer.sweeps.search.box import Box
from transfer.training import TrialGroup, TrialSpec


def declared_groups(experiment: Experiment) -> list[TrialGroup]:
    """Return the groups of the experiment's sweep, narrow ones first, and of a width small rungs.

    Those of an adaptive search hold its first round, which is all that is known before; only the
    narrowest width trains it as it stands (`transfer.sweeps.adaptive`).

    Raises `TransferError` when the sweep names no widths or recipes, repeats a value, or has a
    learning-rate grid of one point, and as `rungs` does.
    """
    sweep = experiment.sweep
    for name in ("widths", "recipes", "seeds"):
        values = getattr(sweep, name)
        if not values or len(set(values)) < len(values):
            raise TransferError(
                f"sweep.{name} is {values}; expected at least one value, and none twice."
            )
    points = search_points(sweep, experiment.hyperparameters)
    # The first round of an adaptive search may be one point of its range.
    rates = {point.learning_rate for point in points}
    if sweep.search != "adaptive" and len(rates) < 2:
        raise TransferError(
            "The learning-rate grid has one point; expected several in "
            "sweep.space.learning_rate, since an optimum lies between others."
        )
    recipes, all_rungs = (
        [experiment.recipe.build(name) for name in sweep.recipes],
        rungs(experiment),
    )
    return [
        dataclasses.replace(
            rung.group(
                width,
                [
                    TrialSpec(point, seed, recipe)
                    for recipe in recipes
                    for point in points
                    for seed in sweep.seeds
                ],
            ),
            rung=rung_name(experiment, rung),
        )
        for width in sorted(sweep.widths)
        for rung in all_rungs
    ]


def most_points(sweep: SweepConfig) -> int:
    """Return how many points each recipe is tried at, of an adaptive search at most, at a width."""
    if sweep.search == "adaptive":
        return sweep.trials // len(sweep.seeds)
    return len(search_points(sweep, Hyperparameters(learning_rate=1.0, weight_decay=1.0)))


def most_rounds(sweep: SweepConfig) -> int:
    """Return how many rounds of a width an adaptive search takes at most; 1 for other sweeps.

    Example:
      >>> most_rounds(SweepConfig(search="adaptive", population=4, seeds=(0, 1), trials=20))
      3
    """
    if sweep.search != "adaptive":
        return 1
    return math.ceil(most_points(sweep) / sweep.population)


def search_points(sweep: SweepConfig, defaults: Hyperparameters) -> list[Hyperparameters]:
    """Return the hyperparameters that the sweep tries at every width and recipe."""
    space = {name: values for name, values in dataclasses.asdict(sweep.space).items() if values}
    if sweep.search == "adaptive":
        box = search_box(sweep)
        return [
            hyperparameters_at(box, point, defaults)
            for point in box.first(sweep.population, sweep.search_seed)
        ]
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


def search_box(sweep: SweepConfig) -> Box:
    """Return the ranges of an adaptive search; raises `TransferError` without a learning rate."""
    space = {name: values for name, values in dataclasses.asdict(sweep.space).items() if values}
    if "learning_rate" not in space:
        raise TransferError(
            "sweep.space.learning_rate is empty; expected (low, high) for an adaptive search."
        )
    return Box(
        names=tuple(space),
        low=tuple(math.log2(low) for low, _ in space.values()),
        high=tuple(math.log2(high) for _, high in space.values()),
    )


def hyperparameters_at(
    box: Box, point: Sequence[float], defaults: Hyperparameters
) -> Hyperparameters:
    """Return the hyperparameters of a point of a box."""
    values = {name: 2.0 ** float(x) for name, x in zip(box.names, point, strict=True)}
    return dataclasses.replace(defaults, **values)


def _log_uniform(generator: random.Random, low: float, high: float) -> float:
    return low * math.pow(high / low, generator.random())
