"""From a group to the population that trains it, on devices that are there or only described."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from transfer import sharding
from transfer.data import DataConfig, ImageConfig, image_shape
from transfer.training.group import TrialGroup
from transfer.training.inputs import TrialInputs
from transfer.training.population import Population
from transfer.training.task import Batch, task_of


@dataclasses.dataclass(frozen=True)
class BuiltPopulation:
    """A population and what it is given, before anything is compiled.

    Fields:
      population: compiles to the programs that train the group.
      inputs: the trials of the group, on this host; the last is repeated until they fill the
        program, and does nothing there when trials run in turn.
      seeds: the distinct seeds, in the order in which batches hold them.
      chunk: at most how many steps a call of the program takes.
      batch: the shapes of one batch.
    """

    population: Population
    inputs: TrialInputs
    seeds: tuple[int, ...]
    chunk: int
    batch: Batch

    @property
    def trials(self) -> TrialInputs:
        """Shapes and shardings of the inputs."""
        return _shapes(self.inputs, (), sharding.per_trial(self.population.mesh))

    @property
    def batches(self) -> Batch:
        """Shapes and shardings of the batches (chunk, seeds, batch, ...) that training takes."""
        leading = (self.chunk, len(self.seeds))
        return _shapes(self.batch, leading, sharding.batches(self.population.mesh))

    def eval_batches(self, count: int) -> Batch:
        """Shapes and shardings of `count` held-out batches."""
        return _shapes(self.batch, (count,), sharding.eval_batches(self.population.mesh))


def group_mesh(
    group: TrialGroup,
    *,
    devices: Sequence[jax.Device] | None = None,
    memory: float | None = None,
) -> Mesh:
    """Lay a group out on devices; see `sharding.make_mesh`.

    Arguments:
      devices: all of this job by default; those of a plan are only described.
      memory: bytes of a device, by default what the device says.

    Raises:
      TransferError: the mesh does not divide the devices, the batch or a parameter, or the
        microbatches do not divide the batch.
    """
    used = jax.devices() if devices is None else devices
    return sharding.make_mesh(
        group.mesh,
        trials=_slots(group, used[0].platform),
        batch_size=group.training.at_once(group.shape.batch_size),
        parameters=group.layout.parameters,
        devices=devices,
        memory=memory,
    )


def build_population(group: TrialGroup, mesh: Mesh) -> BuiltPopulation:
    """Build what trains a group on a mesh; training and plans compile the same.

    Kernels, and whether trials are vectorized, follow the platform of the mesh where the
    configuration leaves them open.

    Raises:
      TransferError: a recipe does not fit the model, or has no rule for the group's depth, batch
        size or number of tokens.
    """
    platform = mesh.devices.flat[0].platform
    task, batch = task_of(group.data), batch_shapes(group.data)
    inputs, _ = jax.eval_shape(task.split, batch)
    population = Population(
        group.model.on(platform, inputs),
        group.layout,
        group.training,
        group.shape.steps,
        task,
        mesh,
        execution(group, platform),
    )
    slots = _slots(group, platform)
    trials, seeds = TrialInputs.of(
        group.trials,
        group.layout,
        group.training,
        group.horizon,
        slots=slots + -slots % mesh.shape[sharding.TRIAL],
    )
    chunk = min(group.training.log_every, group.shape.steps)
    return BuiltPopulation(population, trials, seeds, chunk, batch)


def execution(group: TrialGroup, platform: str) -> str:
    """Return how the trials of a group share a device of a platform."""
    return group.training.execution or ("in_turn" if platform == "cpu" else "vectorized")


def _slots(group: TrialGroup, platform: str) -> int:
    """How many trials the program has room for, but for those that fill up the mesh."""
    if execution(group, platform) == "vectorized":
        return len(group.trials)  # because an empty slot takes as long as a trial
    return max(len(group.trials), group.slots)


def batch_shapes(data: DataConfig | ImageConfig) -> Batch:
    """Return shapes and dtypes of one batch; nothing is read.

    Example:
      >>> batch_shapes(DataConfig(batch_size=4, sequence_length=8))
      ShapeDtypeStruct(shape=(4, 9), dtype=int32)
    """
    if isinstance(data, ImageConfig):
        shape = (data.batch_size, *image_shape(data))
        return {
            "image": jax.ShapeDtypeStruct(shape, np.float32),
            "label": jax.ShapeDtypeStruct(shape[:1], np.int32),
        }
    return jax.ShapeDtypeStruct((data.batch_size, data.sequence_length + 1), np.int32)


def _shapes(tree: Any, leading: tuple[int, ...], sharding: NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype, sharding=sharding),
        tree,
    )
