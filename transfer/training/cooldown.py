"""The fall of the learning rate at the end of a branch, as data of a compiled program."""

import dataclasses

import jax
import jax.numpy as jnp
import optax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cooldown:
    """A linear fall of the learning rate to 0, as a schedule `wsd` ends.

    Fields:
      start: the number of steps before it.
      steps: how many it takes; the first of them still has the whole rate.
    """

    start: jax.typing.ArrayLike
    steps: jax.typing.ArrayLike


def cooled(schedule: optax.Schedule, cooldown: Cooldown | None) -> optax.Schedule:
    """Return a schedule with a cooldown at its end, where there is one.

    Example:
      >>> short = cooled(optax.constant_schedule(1.0), Cooldown(start=2, steps=4))
      >>> [float(short(step)) for step in range(7)]
      [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if cooldown is None:
        return schedule
    start, steps = jnp.asarray(cooldown.start), jnp.asarray(cooldown.steps)

    def lowered(step: jax.typing.ArrayLike) -> jax.Array:
        taken = jnp.clip(step - start, 0, steps)
        return schedule(step) * (1.0 - taken / steps)

    return lowered
