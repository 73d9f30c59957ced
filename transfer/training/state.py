"""What a trial has learned so far."""

import dataclasses
from typing import Any

import jax

from transfer.models import Arrays
from transfer.training.weight_average import NO_AVERAGE, WeightAverage


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """What a trial has learned so far; in a population, with a leading trial axis.

    `statistics` are those of batch normalization, empty for a model without it. They are taken over
    a whole batch, however many devices share it. `vectors` are the last measurement's singular
    vectors, from which the next one starts. `average` is empty without horizons.
    """

    step: jax.Array
    parameters: Arrays
    multipliers: Arrays
    statistics: Arrays
    optimizer: Any
    vectors: dict[str, jax.Array]
    average: WeightAverage = NO_AVERAGE

    @property
    def averaged(self) -> "State":
        """The state with the average of its weights in place of the last ones, to evaluate."""
        return dataclasses.replace(
            self, parameters=self.average.parameters, statistics=self.average.statistics
        )
