"""Collective operations between processes, in which every process has to take part.

With one process they are what NumPy and `jax.device_put` do.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# The first process may prepare data for hours while the others wait; if it dies, they end anyway.
_BARRIER_SECONDS = 24 * 3600
# Every barrier needs a name of its own, the same in all processes.
_barriers = itertools.count()


def is_first() -> bool:
    """Return whether this is the process that writes files and prints for all."""
    return jax.process_index() == 0


def device_put(tree: Any, sharding: NamedSharding) -> Any:
    """Put arrays that every process holds whole on the devices."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def lay(leaf: Any) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(lay, tree)


@dataclasses.dataclass(frozen=True)
class LocalRows:
    """The part of every batch that this process's devices hold.

    Fields:
      sharding: of arrays of batches.
      axis: of examples in them.
      size: of the whole batch.
    """

    sharding: NamedSharding
    axis: int
    size: int

    @functools.cached_property
    def rows(self) -> list[int]:
        """Which examples of each batch this process reads, in order."""
        shape = (1,) * self.axis + (self.size,)
        indices = self.sharding.addressable_devices_indices_map(shape).values()
        parts = [np.arange(self.size)[index[self.axis]] for index in indices if index is not None]
        return np.unique(np.concatenate(parts)).tolist()

    def device_put(self, tree: Any) -> Any:
        """Put arrays on the devices when each process holds its own rows of them."""
        if jax.process_count() == 1:
            return jax.device_put(tree, self.sharding)

        def lay(leaf: np.ndarray) -> jax.Array:
            shape = (*leaf.shape[: self.axis], self.size, *leaf.shape[self.axis + 1 :])

            def part(index: Any) -> np.ndarray:
                wanted = np.arange(self.size)[index[self.axis]]
                own = slice(*np.searchsorted(self.rows, (wanted[0], wanted[-1] + 1)))
                return leaf[(*index[: self.axis], own, *index[self.axis + 1 :])]

            return jax.make_array_from_callback(shape, self.sharding, part)

        return jax.tree.map(lay, tree)


def process_allgather(tree: Any) -> Any:
    """Return arrays whole on every host, whichever devices hold their shards."""
    return jax.tree.map(np.asarray, gathered(tree))


def gathered(tree: Any) -> Any:
    """Return arrays of which every host can read the whole, without waiting for them."""
    if jax.process_count() > 1 and (leaves := jax.tree.leaves(tree)):
        return _gather(leaves[0].sharding.mesh)(tree)
    return tree


@functools.cache
def _gather(mesh: Mesh) -> Any:
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))


def allgather_max(*values: float) -> tuple[float, ...]:
    """Return the maximum of each value over all processes.

    Example:
      >>> allgather_max(1.0, 2.0)
      (1.0, 2.0)
    """
    if jax.process_count() == 1:
        return values
    every = multihost_utils.process_allgather(np.array(values, np.float32))
    return tuple(map(float, every.max(axis=0)))


def broadcast_one_to_all(content: bytes) -> bytes:
    """Return the content that the first process holds.

    Example:
      >>> broadcast_one_to_all(b"this one")
      b'this one'
    """
    if jax.process_count() == 1:
        return content
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(size, np.uint8)
    if is_first():
        padded[:] = np.frombuffer(content, np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(padded).astype(np.uint8))


def barrier() -> None:
    """Wait for all processes, up to a day; if one dies, the others end too.

    Processes that may arrive minutes apart wait here before their first collective, because the
    connections between CPUs that a first collective opens time out after 30 seconds.
    """
    wait = ocp.multihost.get_barrier_sync_fn()
    wait(key=f"transfer barrier {next(_barriers)}", timeout_ms=_BARRIER_SECONDS * 1000)


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process run the block before the others, which then find its work done.

    Example:
      >>> with first_process_first():
      ...     pass
    """
    if not is_first():
        barrier()
    yield
    if is_first():
        barrier()
