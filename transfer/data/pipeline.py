"""Windows of tokens, shuffled, sharded over processes and read through grain.

The order of windows is one infinite stream per seed, shuffled anew each epoch. Global batch t is
rows t * B to (t + 1) * B of it, and process p of P reads rows p * B / P to (p + 1) * B / P of each
global batch, so the processes together see exactly what one would see, in the same order.
"""

import functools
import sys
from collections.abc import Iterator
from typing import Any

import grain
import numpy as np

from transfer.errors import TransferError

_MAX_SEED = 2**32 - 1


class Windows:
    """Overlapping windows of `sequence_length + 1` tokens at a stride of `sequence_length`.

        window i = tokens[i * sequence_length : (i + 1) * sequence_length + 1]

    Each window's last token is the next one's first: every token but the first is predicted once.

    Example:
      >>> Windows(np.arange(9), sequence_length=4).take([0, 1])
      array([[0, 1, 2, 3, 4],
             [4, 5, 6, 7, 8]], dtype=int32)
    """

    def __init__(self, tokens: np.ndarray, sequence_length: int):
        self._count = max(0, (len(tokens) - 1) // sequence_length)
        if self._count:
            every = np.lib.stride_tricks.sliding_window_view(tokens, sequence_length + 1)
            self._windows = every[::sequence_length]

    def __len__(self) -> int:
        return self._count

    def take(self, indices: np.ndarray | list[int]) -> np.ndarray:
        """Return windows by index, int32 of shape (indices, sequence_length + 1)."""
        return self._windows[indices].astype(np.int32)


class BatchIterator(Iterator[np.ndarray]):
    """Endless batches of one seed, int32 of shape (local batch, sequence_length + 1).

    Its state counts global batches, so it is the same on every process and may be restored on
    another number of processes.
    Raises `TransferError` when the batch does not divide among the processes or the seed is out of
    range.
    """

    def __init__(
        self, windows: Windows, batch_size: int, seed: int, process_index: int, process_count: int
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
        batches = _LocalBatches(windows, batch_size, seed, process_index, process_count)
        # Reading is in the calling thread: a batch takes tens of microseconds, less than handing
        # it over from another thread.
        options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        self._iterator = iter(grain.MapDataset.source(batches).to_iter_dataset(options))

    def __next__(self) -> np.ndarray:
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

    The element is a whole batch and the shuffle is our own: grain's costs microseconds per window,
    and milliseconds per window for a set of a few dozen.
    """

    def __init__(
        self, windows: Windows, batch_size: int, seed: int, process_index: int, process_count: int
    ):
        self._windows = windows
        self._seed = seed
        self._batch_size = batch_size
        self._local_size = batch_size // process_count
        self._offset = process_index * self._local_size
        self._order = functools.lru_cache(maxsize=1)(self._shuffle)

    def __len__(self) -> int:
        return sys.maxsize // self._batch_size

    def __getitem__(self, step: int) -> np.ndarray:
        first = step * self._batch_size + self._offset
        last = first + self._local_size
        n = len(self._windows)
        epochs = range(first // n, (last - 1) // n + 1)
        indices = [self._order(e)[max(0, first - e * n) : last - e * n] for e in epochs]
        return self._windows.take(np.concatenate(indices))

    def _shuffle(self, epoch: int) -> np.ndarray:
        # RandomState's stream is frozen for good, so a run resumed under another numpy continues
        # in the same order.
        return np.random.RandomState([self._seed, epoch]).permutation(len(self._windows))
