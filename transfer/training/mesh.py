"""How a population lies on the devices: trials first, then data."""

import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

TRIAL, DATA = "trial", "data"


def make_mesh(trials: int, batch_size: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Lay devices out as (trial, data): as many as there are trials, the rest along the batch.

    Trials need no communication, so they come first; the devices that remain share each batch,
    as many as divide it. Devices that fit neither stay idle.

    Example:
      >>> make_mesh(trials=1, batch_size=16, devices=jax.devices()[:1]).axis_names
      ('trial', 'data')
    """
    devices = jax.devices() if devices is None else list(devices)
    along_trial = min(trials, len(devices))
    along_data = math.gcd(len(devices) // along_trial, batch_size)
    grid = np.array(devices[: along_trial * along_data]).reshape(along_trial, along_data)
    return Mesh(grid, (TRIAL, DATA))


def per_trial(mesh: Mesh) -> NamedSharding:
    """Arrays whose leading axis is the trial."""
    return NamedSharding(mesh, PartitionSpec(TRIAL))


def batches(mesh: Mesh) -> NamedSharding:
    """Arrays (steps, seeds, batch, ...), the same for every trial of a seed."""
    return NamedSharding(mesh, PartitionSpec(None, None, DATA))


def eval_batches(mesh: Mesh) -> NamedSharding:
    """Arrays (steps, batch, ...), the same for every trial."""
    return NamedSharding(mesh, PartitionSpec(None, DATA))
