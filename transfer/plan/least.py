"""The least bytes that a step moves to and from the memory of a device, however it is scheduled.

Everything that outlives a part of a step is written to memory and read from it once, but for as
much as the chip itself can hold meanwhile. As many trials and examples pass through the model at
once as `execution` and `microbatches` say; with fewer at once, less outlives a part.
"""

import dataclasses

import jax.numpy as jnp

from transfer.plan.activations import least_activations
from transfer.plan.memory import Memory
from transfer.plan.program import Program

# Bytes of a parameter, or more in a model whose dtype is as large.
_PARAMETER = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeastTraffic:
    """Bytes that a device reads and writes in a step of all its trials.

    Fields:
      state: parameters and optimizer state, from each step to the next.
      gradients: where all of them exist before the first is used, because clipping takes the norm
        of all, or because microbatches add them up.
      activations: from the forward to the backward pass; see `least_activations`.
    """

    state: float
    gradients: float
    activations: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.state + self.gradients + self.activations


def least_traffic(program: Program, memory: Memory, on_chip: float) -> LeastTraffic:
    """Add up the least traffic of a compiled program's step.

    Arguments:
      memory: what lies on the device, of all its trials.
      on_chip: bytes that a device holds on the chip, from which nothing has to be read.
    """
    population, training = program.population, program.population.training
    turns, parts = program.trials_on_device / program.trials_at_once, training.microbatches
    share = program.trials_at_once / program.slots_on_device

    def moved(at_once: float) -> float:
        """Written and read again, of the trials that are trained at once, turn by turn."""
        return 2.0 * turns * max(0.0, at_once - on_chip)

    # Gradients stay in the dtype of the model's products until they are used or added up.
    smaller = jnp.dtype(population.model.dtype).itemsize / _PARAMETER if parts == 1 else 1.0
    gradients = min(1.0, smaller) * memory.parameters * share
    # After each microbatch but the last, and after the last if their norm decides what comes next.
    outlived = parts if training.clip else parts - 1
    return LeastTraffic(
        state=moved((memory.parameters + memory.optimizer) * share),
        gradients=outlived * moved(gradients),
        activations=parts * moved(least_activations(program)),
    )
