"""From a declared sweep to groups: the trials of one width and recipe, trained together."""

import dataclasses
import hashlib
import itertools
import json
import math
import random
from collections.abc import Sequence

from transfer.config import Experiment, SweepConfig
from transfer.errors import TransferError
from transfer.run_directory import Origin
from transfer.scaling import Hyperparameters
from transfer.training import TrainingConfig


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """One trial to run: its hyperparameters, its seed, and whether a sweep or a prediction asks."""

    hyperparameters: Hyperparameters
    seed: int
    origin: Origin = "sweep"


@dataclasses.dataclass(frozen=True)
class TrialGroup:
    """The unit of work and of resumption: trials that share one compiled program."""

    width: int
    recipe: str
    trials: tuple[TrialSpec, ...]

    @property
    def kind(self) -> str:
        """What its name begins with, and that of others of its width and recipe."""
        return f"{self.recipe.replace('/', '-')}-{self.width}"

    @property
    def name(self) -> str:
        """A file name of its own, from all that is in the group."""
        content = [dataclasses.asdict(trial) for trial in self.trials]
        return f"{self.kind}-{_digest([content])[:8]}"


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
    trials = tuple(TrialSpec(point, seed) for point in points for seed in sweep.seeds)
    return [
        TrialGroup(width, str(experiment.recipe.build(recipe)), trials)
        for width in sorted(sweep.widths)
        for recipe in sweep.recipes
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


def trial_name(experiment: Experiment, group: TrialGroup, trial: TrialSpec) -> str:
    """Name a trial by a hash of its resolved settings: all that its run directory was made for."""
    return _digest(
        [
            dataclasses.asdict(experiment.at(group.width)),
            experiment.base_width,
            [experiment.base_layers, experiment.base_batch_size, experiment.base_tokens],
            dataclasses.asdict(experiment.recipe) | {"name": group.recipe},
            dataclasses.asdict(experiment.training) | dict.fromkeys(TrainingConfig.KEEPING),
            dataclasses.asdict(experiment.data) | {"data_dir": ""},
            dataclasses.asdict(trial),
        ]
    )[:12]


def _log_uniform(generator: random.Random, low: float, high: float) -> float:
    return low * math.pow(high / low, generator.random())


def _digest(content: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
