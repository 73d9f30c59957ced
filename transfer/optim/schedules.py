"""Learning-rate schedules."""

from collections.abc import Callable

import optax

from transfer.errors import TransferError, require_known

SCHEDULES = ("constant", "linear", "cosine", "wsd")


def schedule(name: str, steps: int, warmup: int = 0, decay: int = 0) -> optax.Schedule:
    """A learning-rate schedule with peak 1 after `warmup` linear steps.

    `constant`; `linear` and `cosine`, which fall to 0 at `steps`; `wsd` (warmup-stable-decay),
    which stays at 1 until `decay` steps before the end and falls linearly to 0. Step t of the
    warmup has (t + 1) / warmup, so that no step is wasted at 0. Raises `TransferError` for an
    unknown name or phases longer than the run.

    Example:
      >>> [round(float(schedule("linear", 4)(t)), 2) for t in range(4)]
      [1.0, 0.75, 0.5, 0.25]
    """
    shapes: dict[str, Callable[[int], optax.Schedule]] = {
        "constant": lambda rest: optax.constant_schedule(1.0),
        "linear": lambda rest: optax.linear_schedule(1.0, 0.0, rest),
        "cosine": lambda rest: optax.cosine_decay_schedule(1.0, rest),
        "wsd": lambda rest: optax.linear_schedule(1.0, 0.0, decay, rest - decay),
    }
    require_known("schedule", name, shapes)
    if min(warmup, decay) < 0 or warmup + decay >= steps:
        raise TransferError(
            f"A warmup of {warmup} and a decay of {decay} steps do not fit a run of {steps}; "
            "expected fewer steps in both together than in the run."
        )
    if (name == "wsd") != (decay > 0):
        raise TransferError(
            f'The schedule "{name}" was given {decay} decay steps; expected some for wsd and none '
            "for the others."
        )
    after = shapes[name](steps - warmup)
    if not warmup:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(1.0 / warmup, 1.0, warmup - 1 or 1), after], [warmup]
    )
