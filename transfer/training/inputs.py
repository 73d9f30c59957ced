"""What tells the trials of a population apart, as arrays that its compiled program takes."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from transfer.models import ModelLayout
from transfer.recipe_arrays import RecipeArrays, traced_numbers
from transfer.scaling import Horizon, Hyperparameters, Recipe
from transfer.training.config import TrainingConfig
from transfer.training.cooldown import Cooldown
from transfer.training.group import TrialSpec

jax.tree_util.register_dataclass(Hyperparameters)
# Beyond all steps that a run may take.
_NEVER = np.int32(2**31 - 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrialInputs:
    """What tells one trial from another, each leaf with a leading trial axis.

    Fields:
      hyperparameters: learning rate and weight decay are those of the run's own batch size and
        number of tokens, before its recipe's factors.
      settings: the optimizer's own numbers that batch size and number of tokens change, by the
        optimizer's names for them.
      recipe: what each parameter takes.
      seed: of init and batches.
      stream: the index of the trial's seed among the batches' seeds: trials of one seed see the
        same batches.
      live: off for what only fills up the program, or was stopped, which is skipped where trials
        run in turn.
      cooldown: the end of a branch, of which a trunk has none yet; None without branches, so that
        programs without them are as they were.
    """

    hyperparameters: Hyperparameters
    settings: dict[str, jax.typing.ArrayLike]
    recipe: RecipeArrays
    seed: jax.typing.ArrayLike
    stream: jax.typing.ArrayLike
    live: jax.typing.ArrayLike
    cooldown: Cooldown | None = None

    @classmethod
    def of(
        cls,
        trials: Sequence[TrialSpec],
        layout: ModelLayout,
        training: TrainingConfig,
        horizon: Callable[[Recipe], Horizon] = lambda recipe: Horizon(),
        *,
        slots: int = 0,
    ) -> tuple["TrialInputs", tuple[int, ...]]:
        """Stack trials; returns them with the distinct seeds in ascending order.

        Arguments:
          layout, training: what is trained and how.
          horizon: what the run's batch size and number of tokens do to the optimizer.
          slots: repeat the last trial, without life, until there are as many.

        Raises `TransferError` where a recipe does not fit the layout, the optimizer or the run.
        """
        seeds = tuple(sorted({trial.seed for trial in trials}))
        count = len(trials)
        trials = [*trials, *[trials[-1]] * (slots - count)]
        # Trials have few recipes, and evaluating one takes milliseconds.
        recipes = dict.fromkeys(trial.recipe for trial in trials)
        arrays = {
            recipe: RecipeArrays.of(
                recipe, layout.parameters, training.family, multipliers=layout.multipliers
            )
            for recipe in recipes
        }
        horizons = {recipe: horizon(recipe) for recipe in recipes}
        settings = {recipe: training.settings_at(factors) for recipe, factors in horizons.items()}
        return cls(
            hyperparameters=_stack(
                [_at(trial.hyperparameters, horizons[trial.recipe]) for trial in trials]
            ),
            settings=_stack([settings[trial.recipe] for trial in trials]),
            recipe=RecipeArrays.stack([arrays[trial.recipe] for trial in trials]),
            seed=np.array([trial.seed for trial in trials], np.uint32),
            stream=np.array([seeds.index(trial.seed) for trial in trials], np.int32),
            live=np.arange(len(trials)) < count,
            cooldown=Cooldown(
                np.full(len(trials), _NEVER), np.full(len(trials), training.branch_steps, np.int32)
            )
            if training.branch_steps
            else None,
        ), seeds

    def cooling_from(self, start: int) -> "TrialInputs":
        """Return the same trials with the rate falling from a step on."""
        assert self.cooldown is not None
        starts = np.full_like(self.cooldown.start, start)
        return dataclasses.replace(self, cooldown=dataclasses.replace(self.cooldown, start=starts))


def _at(hyperparameters: Hyperparameters, horizon: Horizon) -> Hyperparameters:
    return dataclasses.replace(
        hyperparameters,
        learning_rate=hyperparameters.learning_rate * horizon.learning_rate,
        weight_decay=hyperparameters.weight_decay * horizon.weight_decay,
    )


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: traced_numbers(leaves), *trees)
