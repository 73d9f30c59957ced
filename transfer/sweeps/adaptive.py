"""The rounds of an adaptive search, trained from the narrowest width to the widest.

Every decision is a function of the configuration and of the trials of earlier rounds. A search that
is started again therefore asks for the same rounds, of which only what is missing is trained, and
ends with the same table.

Where runs have horizons, `sweep.survivors` stops the worse points of a round at all but the last of
them (`transfer.training.survivors`); the search goes by the loss that is expected of them
(`end_losses`), and the table says that they were stopped.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transfer.config import Experiment
from transfer.distributed import exchange
from transfer.run_directory import RunDirectory
from transfer.sweeps.end_losses import end_losses
from transfer.sweeps.groups import hyperparameters_at, search_box
from transfer.sweeps.search.decision import Search, Stopped
from transfer.sweeps.search.prior import Prior, prior_of
from transfer.sweeps.search.surrogate import Observations
from transfer.sweeps.shared_trials import leading_recipes, record_under
from transfer.training import TrialGroup, TrialSpec

SEARCH = "search.json"
# How far a range is extended at a time, in octaves.
_EXTENSION = 1.0


@dataclasses.dataclass
class _Progress:
    """A search under one recipe on its way: its trials, and the widths that are done."""

    search: Search
    rows: list[tuple[float, tuple[float, ...], int, float]] = dataclasses.field(
        default_factory=list
    )
    stops: dict[int, Stopped] = dataclasses.field(default_factory=dict)
    extensions: int = 0

    @property
    def observations(self) -> Observations:
        """Its trials."""
        return Observations.of(self.rows, len(self.search.box.names))

    @property
    def has_completed(self) -> bool:
        """Whether one trial at least has a loss."""
        return any(np.isfinite(loss) for *_, loss in self.rows)

    def under(self, prior: Prior) -> "_Progress":
        """Return what a search with another prior knows after the same trials."""
        return dataclasses.replace(
            self,
            search=dataclasses.replace(self.search, prior=prior),
            rows=list(self.rows),
            stops=dict(self.stops),
        )

    def decide(self, width: int, count: int, extend: int) -> list[list[float]]:
        """Return the points of the next round at a width, and none once it is done."""
        found = self.search.decide(width, self.observations, count)
        while isinstance(found, Stopped) and self.extensions < extend:
            box = self.search.box
            if not self.has_completed:
                break
            wider = box.extended(self.search.surrogate(self.observations).best(width), _EXTENSION)
            if wider == box:
                break
            self.extensions += 1
            self.search = dataclasses.replace(self.search, box=wider)
            found = self.search.decide(width, self.observations, count)
        if isinstance(found, Stopped):
            self.stops[width] = found
            return []
        return [[float(x) for x in point] for point in found]


def search_adaptively(
    experiment: Experiment, run: RunDirectory, train: Callable[[TrialGroup], None]
) -> None:
    """Train the rounds of an adaptive search, and write what it found into `search.json`.

    A round is a group with the points of all recipes that are not done with a width. Once one is,
    the others take its share, so that rounds stay as large as the program has slots. Recipes whose
    runs are the same at the first width, as at the base width, are searched as one there.

    Arguments:
      run: where `train` adds a group.
    """
    sweep = experiment.sweep
    recipes = [experiment.recipe.build(name) for name in sweep.recipes]
    box = search_box(sweep)
    searches = {
        recipe: _Progress(
            Search(
                box=box,
                prior=prior_of(recipe, experiment.training.family, box.names),
                widths=tuple(sorted(sweep.widths)),
                target=max(experiment.model.width, *sweep.widths),
                seeds=len(sweep.seeds),
                population=sweep.population,
                tolerance=sweep.tolerance,
                trials=sweep.trials,
                seed=sweep.search_seed,
            )
        )
        for recipe in recipes
    }
    for width in sorted(sweep.widths):
        leaders = {recipe: recipe for recipe in recipes}
        if width == min(sweep.widths):
            leaders = leading_recipes(experiment, width, recipes)
        leading = {recipe: searches[recipe] for recipe in leaders.values()}
        slots = sweep.population * len(leading) * len(sweep.seeds)
        while points := _round(list(leading.values()), width, sweep.population, sweep.extend):
            asked = {
                TrialSpec(
                    hyperparameters_at(box, point, experiment.hyperparameters), seed, recipe
                ): tuple(point)
                for recipe, point in ((list(leading)[index], point) for index, point in points)
                for seed in sweep.seeds
            }
            group = dataclasses.replace(experiment.group(width, asked), slots=slots)
            train(group)
            if exchange.is_first():
                record_under(run, group, leaders)
            losses = end_losses(group, run.rows())
            for spec, point in asked.items():
                loss = losses[group.trial_name(spec)]
                leading[spec.recipe].rows.append((float(width), point, spec.seed, loss))
        for recipe, leader in leaders.items():
            if recipe != leader:
                searches[recipe] = searches[leader].under(searches[recipe].search.prior)
    if exchange.is_first():
        run.write_json(SEARCH, {str(recipe): _found(each) for recipe, each in searches.items()})


def _round(
    searches: Sequence[_Progress], width: int, population: int, extend: int
) -> list[tuple[int, list[float]]]:
    """The points of a round, each with the index of its search, as the first process finds them."""
    points: list[tuple[int, list[float]]] = []
    if exchange.is_first():
        going = dict(enumerate(searches))
        while going := {i: each for i, each in going.items() if width not in each.stops}:
            count = population * len(searches) // len(going)
            asked = {i: each.decide(width, count, extend) for i, each in going.items()}
            # Those that are left share what one that is done with the width leaves over.
            if all(asked.values()):
                points = [(i, point) for i, found in asked.items() for point in found]
                break
    sent = exchange.broadcast_one_to_all(json.dumps(points).encode())
    return [(index, point) for index, point in json.loads(sent)]


def _found(progress: _Progress) -> dict[str, Any]:
    """What a search found, as plain JSON."""
    search, observations = progress.search, progress.observations
    widths = sorted({*search.widths, search.target})
    surrogate = search.surrogate(observations) if progress.has_completed else None
    return {
        "tolerance": search.tolerance,
        "stopped": {
            str(width): {
                "reason": stop.reason,
                "regret": stop.regret if np.isfinite(stop.regret) else None,
                "trials": len(observations.at(width).losses),
            }
            for width, stop in progress.stops.items()
        },
        "best_log2": {
            str(width): dict(zip(search.box.names, map(float, surrogate.best(width)), strict=True))
            for width in widths
        }
        if surrogate is not None
        else {},
    }
