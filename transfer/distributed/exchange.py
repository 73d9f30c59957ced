"""What processes tell each other; every one of them has to take part.

With one process these are what NumPy and `jax.device_put` do.
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

# Waiting for one process, which prepares data, is waiting for as long as that takes; if it dies,
# the others end all the same.
_PATIENCE = 24 * 3600
# Every meeting has a name of its own, the same in all processes.
_meetings = itertools.count()


def is_first() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return jax.process_index() == 0


def put(tree: Any, sharding: NamedSharding) -> Any:
    """Lay arrays that every process has whole out on the devices."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def lay(leaf: Any) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(lay, tree)


@dataclasses.dataclass(frozen=True)
class LocalRows:
    """The part of every batch that lies on this process's devices.

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

    def put(self, tree: Any) -> Any:
        """Lay out arrays of which each process has its own rows."""
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


def fetch(tree: Any) -> Any:
    """Return arrays whole on this host, whichever devices hold their parts."""
    if jax.process_count() > 1 and (leaves := jax.tree.leaves(tree)):
        tree = _gather(leaves[0].sharding.mesh)(tree)
    return jax.tree.map(np.asarray, tree)


@functools.cache
def _gather(mesh: Mesh) -> Any:
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))


def largest(*values: float) -> tuple[float, ...]:
    """Return the largest of each value among all processes.

    Example:
      >>> largest(1.0, 2.0)
      (1.0, 2.0)
    """
    if jax.process_count() == 1:
        return values
    every = multihost_utils.process_allgather(np.array(values, np.float32))
    return tuple(map(float, every.max(axis=0)))


def from_first(content: bytes) -> bytes:
    """Return what the first process has.

    Example:
      >>> from_first(b"this one")
      b'this one'
    """
    if jax.process_count() == 1:
        return content
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(size, np.uint8)
    if is_first():
        padded[:] = np.frombuffer(content, np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(padded).astype(np.uint8))


def meet() -> None:
    """Wait for all processes, for as long as it takes; if one dies, the others end all the same.

    Wherever processes may come minutes apart they meet before they exchange anything: connections
    between CPUs, which the first exchange makes, are given up after 30 seconds.
    """
    barrier = ocp.multihost.get_barrier_sync_fn()
    barrier(key=f"transfer meeting {next(_meetings)}", timeout_ms=_PATIENCE * 1000)


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """Inside, the first process does something before the others, which then find it done.

    Example:
      >>> with first_alone():
      ...     pass
    """
    if not is_first():
        meet()
    yield
    if is_first():
        meet()
