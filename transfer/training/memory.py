"""The bytes of a device that training a group takes, predicted, and the bytes that there are."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from transfer import sharding
from transfer.distributed import exchange
from transfer.errors import TransferError
from transfer.models import count, parameter_count
from transfer.sharding.device_memory import GIB, SHARE
from transfer.training.build import (
    BuiltPopulation,
    batch_shapes,
    build_population,
    execution,
    group_mesh,
)
from transfer.training.group import TrialGroup
from transfer.training.measure import hidden
from transfer.training.population import Compiled
from transfer.training.task import task_of

# The loop holds, beside the batches of a program, those of the steps before and after it, and of
# each of them a measured step's apart.
_OTHER_BATCHES = 3
# About twice what a step takes, in states of float32 and in outputs of its forward products.
_PARAMETERS, _ACTIVATIONS = 8, 6


class DoesNotFitError(TransferError):
    """A group takes more bytes of a device than there are.

    Arguments:
      message: says so in a sentence.
      reason: the same as a clause, for a line about the group's parts.
      fitting: how many of its trials are expected to fit; 0 where one alone does not.
    """

    def __init__(self, message: str, reason: str = "", fitting: int = 0):
        super().__init__(message)
        self.reason = reason
        self.fitting = fitting


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Bytes of one device while each program of a group runs, with all that is held beside it.

    Fields:
      trials: how many trials a device holds, with those that fill up its program.
      state: of one trial: what is learned, and what the optimizer keeps; the device's part of it.
      per_trial: about what each further trial adds to `run`.
      run, measure: the programs of `Compiled`; the others take less than `run`, which holds two
        stacks of states and goes back through the model.
    """

    trials: int
    state: int
    per_trial: int
    run: int
    measure: int

    @property
    def peak(self) -> int:
        """The most bytes at any time."""
        return max(self.run, self.measure)


def predict_memory(built: BuiltPopulation, compiled: Compiled, held_out: Any) -> PeakMemory:
    """Predict the most bytes that training takes of each device, before anything is allocated.

    Arguments:
      built: the population, and what it is given.
      compiled: its programs.
      held_out: shapes and shardings of the held-out batches.
    """
    population = built.population
    trials = np.size(built.inputs.live) // population.mesh.shape[sharding.TRIAL]
    batches = device_bytes(built.batches)
    others = _OTHER_BATCHES * batches
    state = device_bytes(compiled.state) // trials
    earlier = device_bytes(hidden(compiled.state.parameters, population.layout.parameters))
    # A trunk is held while a branch trains, and hidden weights while the step after them does.
    beside = max(earlier, state * trials if population.training.branch_steps else 0)
    platform = population.mesh.devices.flat[0].platform
    run = program_bytes(compiled.run.wait(), platform)
    if population.execution == "vectorized":
        per_trial = (run - batches + beside) // trials
    else:
        # A loop over trials reads one stack of states and writes another.
        per_trial = 2 * state + beside // trials
    return PeakMemory(
        trials=trials,
        state=state,
        per_trial=per_trial,
        run=run + device_bytes(held_out) + beside + others,
        measure=program_bytes(compiled.measure.wait(), platform) + others,
    )


def require_room(group: TrialGroup, mesh: Mesh, memory: PeakMemory) -> None:
    """Refuse a group whose prediction exceeds what each device has.

    All processes of a job have to call it, and all of them come to the same.

    Raises `DoesNotFitError`, which says how many trials are expected to fit.
    """
    available = room(mesh, group.mesh)
    if memory.peak > available:
        fitting = _fitting(group, mesh, memory, available)
        raise _does_not_fit(group, memory.peak, available, fitting)


def require_room_for_one(group: TrialGroup) -> None:
    """Refuse a group of which not even one trial fits, before anything is trained or written.

    The program of one trial is compiled only if it may be that large by a quick estimate, which
    counts the outputs of a forward pass. Several processes leave it to `require_room`.

    Raises `DoesNotFitError`.
    """
    if jax.process_count() > 1:
        return
    one = dataclasses.replace(group, trials=group.trials[:1], slots=0)
    mesh = group_mesh(one)
    available = room(mesh, group.mesh)
    if _estimate(one, mesh) + _held_trunk(one, mesh) <= available:
        return
    built = build_population(one, mesh)
    run = built.population.lower_run(built.trials, built.batches).compile()
    needed = program_bytes(run, mesh.devices.flat[0].platform) + _held_trunk(one, mesh)
    needed += _OTHER_BATCHES * device_bytes(built.batches)
    if needed > available:
        raise _does_not_fit(one, needed, available, 0)


def room(mesh: Mesh, config: sharding.MeshConfig) -> float:
    """Return the bytes that training may take of each device of a mesh.

    That is what the configuration says, else a share of what is free on the fullest of them, since
    a prediction may be too low and others may take memory later.
    """
    if config.memory:
        return config.memory * GIB
    process = jax.process_index()
    own = [device for device in mesh.devices.flat if device.process_index == process]
    free = SHARE * min(map(sharding.free_memory, own))
    (negative,) = exchange.allgather_max(-free)
    return -negative


def _fitting(group: TrialGroup, mesh: Mesh, memory: PeakMemory, available: float) -> int:
    """How many trials are expected to fit, less than there are; 0 where there is but one."""
    trials, devices = len(group.trials), mesh.shape[sharding.TRIAL]
    if trials == 1:
        return 0
    if memory.trials == 1:
        # Fewer trials than devices share them, with fewer examples of a batch on each.
        return (trials + 1) // 2
    shared = memory.run - memory.trials * memory.per_trial
    most = math.floor((available - shared) / memory.per_trial)
    most = devices * min(max(1, most), memory.trials - 1)
    # Parts share a program if they have as many seeds; trials of one setting are neighbors.
    whole = math.lcm(devices, len({trial.seed for trial in group.trials}))
    return most // whole * whole or most


def _does_not_fit(
    group: TrialGroup, needed: float, available: float, fitting: int
) -> DoesNotFitError:
    trials = len(group.trials)
    what = "one trial takes" if trials == 1 else f"its {trials} trials take"
    reason = (
        f"{what} {needed / GIB:.3g} GiB of each device, of which {available / GIB:.3g} are free"
    )
    remat = "" if getattr(group.model, "remat", True) else ", model.remat"
    advice = (
        f"a larger mesh.fsdp or training.microbatches{remat}, or mesh.memory if there is more"
        if trials == 1
        else f"a group of {fitting}, or mesh.memory if there is more"
    )
    message = f"At width {group.model.width} {reason}; expected {advice}."
    return DoesNotFitError(message, reason, fitting)


def estimated_bytes(group: TrialGroup, mesh: Mesh) -> float:
    """About the bytes of a device that a group takes, without compiling its program.

    Each trial of a device holds what is learned, the optimizer's two moments and, with horizons, an
    average, of which a program reads one stack and writes another, beside that of the trunk where
    there are branches; the gradients and activations are those of one trial where
    trials run in turn, and of each where they are vectorized.
    """
    slots = -(-len(group.trials) // mesh.shape[sharding.TRIAL])
    split = mesh.shape[sharding.FSDP] * mesh.shape[sharding.TENSOR]
    state = _states(group) * 4.0 * parameter_count(group.layout.parameters) / split
    platform = mesh.devices.flat[0].platform
    stepping = slots if execution(group, platform) == "vectorized" else 1
    stacks = 3 if group.training.branch_steps else 2
    return stacks * slots * state + stepping * _estimate(group, mesh) / 2


def _states(group: TrialGroup) -> int:
    """How many numbers a trial keeps for each parameter: two moments, and maybe an average."""
    return 4 if group.training.horizons else 3


def _held_trunk(group: TrialGroup, mesh: Mesh) -> float:
    """Bytes of a device that one trial's trunk takes beside a branch."""
    if not group.training.branch_steps:
        return 0.0
    split = mesh.shape[sharding.FSDP] * mesh.shape[sharding.TENSOR]
    return _states(group) * 4.0 * parameter_count(group.layout.parameters) / split


def _estimate(group: TrialGroup, mesh: Mesh) -> float:
    """About twice the bytes of a device that a step of one trial takes."""
    inputs, _ = jax.eval_shape(task_of(group.data).split, batch_shapes(group.data))
    activations = count(group.model.plain(), inputs).activations / group.training.microbatches
    parameters = parameter_count(group.layout.parameters)
    split = mesh.shape[sharding.FSDP] * mesh.shape[sharding.TENSOR]
    numbers = _PARAMETERS + 2 * (_states(group) - 3)
    return numbers * 4.0 * parameters / split + _ACTIVATIONS * 4.0 * activations / (
        split * mesh.shape[sharding.DATA]
    )


def program_bytes(compiled: jax.stages.Compiled, platform: str) -> int:
    """Return the bytes of a device that a compiled program takes, all it is given included.

    On TPUs they are those by which the compiler refuses a program; elsewhere they are added up,
    since other compilers do not count temporaries in their peak.
    """
    analysis = compiled.memory_analysis()
    if analysis is None:
        return 0
    code = analysis.generated_code_size_in_bytes
    if platform == "tpu":
        return analysis.peak_memory_in_bytes + code
    # What is given back lies where what was given lay, as far as it is an alias of it.
    new = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return analysis.argument_size_in_bytes + new + analysis.temp_size_in_bytes + code


def device_bytes(tree: Any, shardings: Any = None) -> int:
    """Return the bytes of a device's own part of arrays, or of shapes.

    Arguments:
      shardings: of the same structure; by default those of the leaves.
    """
    leaves = jax.tree.leaves(tree)
    laid_out = (
        [leaf.sharding for leaf in leaves] if shardings is None else jax.tree.leaves(shardings)
    )
    return sum(
        math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf, sharding in zip(leaves, laid_out, strict=True)
    )
