"""The running average of the weights of a run at a constant rate.

Averaging lowers the noise that a constant rate leaves in the weights, as decaying the rate to 0
does, and costs no steps of its own. Polynomial-decay averaging (Shamir and Zhang, 2013,
arXiv:1212.1824) reaches back over a fixed share of all steps so far, so that one average serves
every horizon; an exponential average with a fixed time constant serves one.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from transfer.models import Arrays


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class WeightAverage:
    """The average of the weights after every step so far, newer ones weighing more.

    After step t it becomes `average + w (weights - average)` with `w = (k + 1) / (t + k)` and
    `k = 1 / share - 2`: the weights after step s weigh about `s^k`. Their mean age is exactly
    `share (t - 1)` steps. Without horizons there is none: both trees are empty.

    Statistics of batch normalization are averaged alike, as is usual; they are those of the
    weights that were averaged, not of the average.

    Fields:
      parameters: laid out, and in the precision, as the parameters are.
      statistics: of batch normalization, empty for a model without it.
    """

    parameters: Arrays
    statistics: Arrays

    @classmethod
    def start(cls, parameters: Arrays, statistics: Arrays, *, on: bool) -> "WeightAverage":
        """Return the average before the first step, which the first step replaces."""
        return cls(parameters, statistics) if on else NO_AVERAGE

    def updated(
        self, parameters: Arrays, statistics: Arrays, step: jax.Array, share: float
    ) -> "WeightAverage":
        """Return the average after a step, counted from 1, that gave these weights.

        Example:
          >>> average = WeightAverage.start({"w": jnp.zeros(())}, {}, on=True)
          >>> for step in range(1, 5):
          ...     average = average.updated({"w": jnp.float32(step)}, {}, jnp.int32(step), 0.5)
          >>> float(average.parameters["w"])  # the mean of 1, 2, 3 and 4
          2.5
        """
        if not jax.tree.leaves(self):
            return self
        order = 1 / share - 2
        weight = (order + 1) / (step.astype(jnp.float32) + order)

        def toward(average: Any, new: Any) -> Any:
            return (average + weight * (new - average)).astype(average.dtype)

        return WeightAverage(
            jax.tree.map(toward, self.parameters, parameters),
            jax.tree.map(toward, self.statistics, statistics),
        )


NO_AVERAGE = WeightAverage({}, {})
