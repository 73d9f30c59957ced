"""Batches of several steps, on the devices."""

import jax
import numpy as np

from transfer.data import PopulationBatches
from transfer.distributed import exchange
from transfer.training.task import Batch


def device_batches(
    data: PopulationBatches, rows: exchange.LocalRows, steps: int, chunk: int
) -> Batch:
    """Read the batches of the next steps and send them to the devices, with room for a chunk.

    The compiled program takes `chunk` batches; those beyond `steps` are zeros.
    """
    return rows.device_put(jax.tree.map(lambda leaf: _padded(leaf, chunk), data.take(steps)))


def _padded(leaf: np.ndarray, length: int) -> np.ndarray:
    missing = length - leaf.shape[0]
    return np.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)) if missing else leaf
