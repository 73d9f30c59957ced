"""A group in parts, which are trained one after the other where devices have no room for all."""

import dataclasses
import gc

import jax

from transfer.distributed import exchange
from transfer.run_directory import RunDirectory
from transfer.training import DoesNotFitError, TrialGroup


def in_parts(group: TrialGroup, size: int) -> list[TrialGroup]:
    """Return groups of so many trials, the last with what is left.

    All of them have a program for as many trials, so that they share it where trials run in turn.
    """
    return [
        dataclasses.replace(group, trials=group.trials[first : first + size], slots=size)
        for first in range(0, len(group.trials), size)
    ]


def parts_after(group: TrialGroup, error: Exception) -> list[TrialGroup]:
    """Return the parts to train instead of a group that ran into an error; none if it just failed.

    A group that was predicted not to fit is cut into parts that are expected to. One that ran out
    of memory all the same is halved; of several processes one may be alone in that, so the group
    then fails.
    """
    if isinstance(error, DoesNotFitError):
        size = error.fitting
    elif is_out_of_memory(error) and jax.process_count() == 1:
        size = (len(group.trials) + 1) // 2 if len(group.trials) > 1 else 0
        gc.collect()  # arrays of the failed run may hang in reference cycles
    else:
        size = 0
    return in_parts(group, size) if size else []


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had no room for what a program asked for."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def reason(error: Exception) -> str:
    """Return why a group is trained in parts, as a clause."""
    return error.reason if isinstance(error, DoesNotFitError) else "a device ran out of memory"


def begun_parts(run: RunDirectory, group: TrialGroup) -> list[TrialGroup]:
    """Return the parts of a group that an earlier run has begun to train in parts, else itself.

    They resume where they were, on machines on which parts of another size would fit too.
    """
    sizes = begun_sizes(run, group) if exchange.is_first() else {}
    size = max(sizes.values(), default=len(group.trials))
    size = int(exchange.broadcast_one_to_all(str(size).encode()))
    return [group] if size == len(group.trials) else in_parts(group, size)


def begun_sizes(run: RunDirectory, group: TrialGroup) -> dict[str, int]:
    """Return the sizes of the group's first part with which checkpoints lie in the run, by name.

    A run may have been interrupted on a machine on which another part fit, or where it was halved.
    """
    if not run.checkpoints.exists():
        return {}
    found = {folder.name for folder in run.checkpoints.iterdir()}
    if not any(name.rpartition("-")[0] == group.kind for name in found):
        return {}
    names = {
        dataclasses.replace(group, trials=group.trials[:size]).name: size
        for size in range(1, len(group.trials) + 1)
    }
    return {name: size for name, size in names.items() if name in found}
