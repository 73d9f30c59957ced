"""Examples shuffled, augmented, sharded over processes and read through grain.

The order of examples is one infinite stream per seed, shuffled anew each epoch. Global batch t is
rows t * B to (t + 1) * B of it, and process p of P reads rows p * B / P to (p + 1) * B / P of each
global batch, so the processes together see exactly what one would see, in the same order. The
random numbers that augment row r of batch t are set by (seed, t, r) alone.
"""

import functools
import sys
from collections.abc import Iterator
from typing import Any, Protocol

import grain
import numpy as np

from transfer.errors import TransferError

_MAX_SEED = 2**32 - 1


class Examples(Protocol):
    """What batches are made of, by random access."""

    @property
    def uniforms(self) -> int:
        """Random numbers that augment one example; 0 where nothing does."""

    @property
    def reading_threads(self) -> int:
        """Batches read ahead, a thread for each; 0 where handing one over takes longer."""

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray, uniforms: np.ndarray) -> Any:
        """Return examples by index, augmented by numbers in [0, 1), (indices, self.uniforms)."""


class BatchIterator(Iterator[Any]):
    """Endless batches of one seed, arrays with a leading axis of the local batch.

    Its state counts global batches, so it is the same on every process and may be restored on
    another number of processes.
    Raises `TransferError` when the batch does not divide among the processes or the seed is out of
    range.
    """

    def __init__(
        self, examples: Examples, batch_size: int, seed: int, process_index: int, process_count: int
    ):
        if not 0 <= process_index < process_count:
            raise TransferError(
                f"process_index is {process_index} with process_count {process_count}; expected "
                "0 <= process_index < process_count."
            )
        if batch_size % process_count:
            raise TransferError(
                f"data.batch_size is {batch_size}, which does not divide evenly among "
                f"{process_count} processes; choose a multiple of {process_count}."
            )
        if not 0 <= seed <= _MAX_SEED:
            raise TransferError(f"The data seed is {seed}; expected 0 to {_MAX_SEED}.")
        batches = _LocalBatches(examples, batch_size, seed, process_index, process_count)
        threads = examples.reading_threads
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
        self._iterator = iter(grain.MapDataset.source(batches).to_iter_dataset(options))

    def __next__(self) -> Any:
        return next(self._iterator)

    def get_state(self) -> dict[str, Any]:
        """Return the position as a dictionary that JSON can hold."""
        state: dict[str, Any] = self._iterator.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a position that `get_state` returned."""
        self._iterator.set_state(state)


class _LocalBatches:
    """One process's rows of every global batch, by random access, as grain reads them.

    The element is a whole batch and the shuffle is our own: grain's costs microseconds per example,
    and milliseconds per example for a set of a few dozen.
    """

    def __init__(
        self, examples: Examples, batch_size: int, seed: int, process_index: int, process_count: int
    ):
        self._examples = examples
        self._seed = seed
        self._batch_size = batch_size
        self._local_size = batch_size // process_count
        self._offset = process_index * self._local_size
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)  # a batch may end an epoch

    def __len__(self) -> int:
        return sys.maxsize // self._batch_size

    def __getitem__(self, step: int) -> Any:
        first = step * self._batch_size + self._offset
        last = first + self._local_size
        n = len(self._examples)
        epochs = range(first // n, (last - 1) // n + 1)
        indices = [self._order(e)[max(0, first - e * n) : last - e * n] for e in epochs]
        return self._examples.take(np.concatenate(indices), self._uniforms(step))

    def _uniforms(self, step: int) -> np.ndarray:
        count = self._examples.uniforms
        if not count:
            return np.empty((self._local_size, 0))
        # A key of another length than the shuffle's, so that no epoch's order is in these numbers.
        generator = np.random.RandomState([self._seed, step, 1])
        rows = generator.random_sample((self._batch_size, count))
        return rows[self._offset : self._offset + self._local_size]

    def _shuffle(self, epoch: int) -> np.ndarray:
        # RandomState's stream is frozen for good, so a run resumed under another numpy continues
        # in the same order.
        return np.random.RandomState([self._seed, epoch]).permutation(len(self._examples))
