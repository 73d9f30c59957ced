"""Which devices a run uses, as a mesh (trial, data, fsdp, tensor)."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh

from transfer.errors import TransferError
from transfer.scaling import Layout
from transfer.sharding.device_memory import GIB, device_memory
from transfer.sharding.mesh_shape import AXES, DATA, FSDP, TENSOR, MeshConfig, Wanted, left
from transfer.sharding.rules import PARAMETERS, parameter_spec

# A parameter in float32, its gradient, and the two averages of Adam.
_BYTES_PER_PARAMETER = 16
# What a trial's state may take of a device's memory before it is split; activations need the rest.
_SHARE = 0.5


def make_mesh(
    config: MeshConfig = MeshConfig(),
    *,
    trials: int,
    batch_size: int,
    parameters: Layout = Layout({}),
    devices: Sequence[jax.Device] | None = None,
    memory: float | None = None,
) -> Mesh:
    """Lay devices out as (trial, data, fsdp, tensor).

    What the configuration leaves open is chosen from the number of devices: as many along `trial`
    as there are trials, for they need no communication; the rest share each trial's batch, as many
    as divide it, along `data` while the states of a device's trials take up to half of it, else
    along `fsdp`, as few as bring them there. Fewer lie along `trial` where that many take twice as
    long, for all the devices that they leave idle, do not fit, or leave a process without a device.
    Where `data` is given, what shares the batch lies along `fsdp`. Along `tensor` lies 1. A trial
    axis longer than the number of trials is filled by repeating the last one.

    Arguments:
      trials: of the largest population.
      batch_size: of the examples that pass through the model at once.
      parameters: which have to be split.
      devices: of one kind; by default all. Those of a TPU are laid out along its torus.
      memory: bytes of a device; by default those of the configuration, else what the device says,
        and no limit if it says nothing.

    Raises:
      TransferError: a size that does not divide the devices, the batch, or an axis of a parameter
        that grows with width and that a rule splits; a process without a device in the mesh.

    Example:
      >>> make_mesh(trials=1, batch_size=16, devices=jax.devices()[:1]).axis_names
      ('trial', 'data', 'fsdp', 'tensor')
    """
    devices = jax.devices() if devices is None else list(devices)
    given = {name: size for name in AXES if (size := getattr(config, name))}
    available = left(given, len(devices))
    along_batch = given.get(DATA, 1) * given.get(FSDP, 1)
    if batch_size % along_batch:
        raise TransferError(
            f"mesh.data x mesh.fsdp is {along_batch}, which does not divide the {batch_size} "
            "examples that pass through the model at once (data.batch_size over "
            "training.microbatches); expected a divisor."
        )
    count = sum(math.prod(each.shape) for each in parameters.values())
    wanted = Wanted(
        given=given,
        left=available,
        trials=trials,
        examples=batch_size // along_batch,
        splittable=math.gcd(*_sizes(parameters, FSDP)),
        state=_BYTES_PER_PARAMETER * count / given.get(TENSOR, 1),
        room=_SHARE * (memory or config.memory * GIB or device_memory(devices[0])),
    )
    shape = wanted.chosen(lambda shape: _without(devices[: math.prod(shape)], devices) == 0)
    used = devices[: math.prod(shape)]
    if idle := _without(used, devices):
        raise TransferError(
            f"A mesh of {' x '.join(map(str, shape))} devices (trial, data, fsdp, tensor) leaves "
            f"{idle} processes without one; expected fewer processes, or a batch size and a "
            "number of trials that more devices divide."
        )
    mesh = Mesh(_laid_out(used, len(used) == len(devices), shape), AXES)
    for parameter in parameters.values():
        parameter_spec(parameter, mesh)
    return mesh


def _sizes(parameters: Layout, along: str) -> list[int]:
    """The sizes of all axes that have to divide."""
    return [
        parameter.shape[place]
        for parameter in parameters.values()
        if parameter.axes.inputs is not None
        for name, place in zip(parameter.axes.names, parameter.axes.places, strict=True)
        if PARAMETERS.get(name) == along and parameter.growing[place]
    ]


def _without(used: Sequence[jax.Device], devices: Sequence[jax.Device]) -> int:
    """How many processes have none of the devices that are used."""
    return len({each.process_index for each in devices} - {each.process_index for each in used})


def _laid_out(used: Sequence[jax.Device], all_there_are: bool, shape: tuple[int, ...]) -> Any:
    """Neighbors in the mesh are neighbors in the machine, where all of it is used."""
    if all_there_are:
        return mesh_utils.create_device_mesh(shape, used, allow_split_physical_axes=True)
    return np.array(used).reshape(shape)
