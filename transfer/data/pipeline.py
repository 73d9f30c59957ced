"""Examples shuffled, augmented, sharded over processes and read through grain.

The order of examples is one infinite stream per seed, shuffled anew each epoch. Global batch t is
rows t * B to (t + 1) * B of it, and each of several processes reads those rows of every global
batch that lie on its devices, so the processes together see exactly what one would see, in the
same order. The random numbers that augment row r of batch t are set by (seed, t, r) alone.
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import grain
import jax
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

    `rows` says which rows of every global batch they hold; None is all of them. The state counts
    global batches, so it is the same on every process and may be restored on another number of
    processes.
    Raises `TransferError` when a row is not in the batch or the seed is out of range.
    """

    def __init__(
        self, examples: Examples, batch_size: int, seed: int, rows: Sequence[int] | None = None
    ):
        local = np.arange(batch_size) if rows is None else np.asarray(rows, np.int64)
        if not local.size or local.min() < 0 or local.max() >= batch_size:
            raise TransferError(
                f"The rows {local.tolist()} are not those of a batch; expected some of 0 to "
                f"{batch_size - 1}, one less than data.batch_size."
            )
        if not 0 <= seed <= _MAX_SEED:
            raise TransferError(f"The data seed is {seed}; expected 0 to {_MAX_SEED}.")
        batches = _LocalBatches(examples, batch_size, seed, local)
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

    def __init__(self, examples: Examples, batch_size: int, seed: int, rows: np.ndarray):
        self._examples = examples
        self._seed = seed
        self._batch_size = batch_size
        self._rows = rows
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)  # a batch may end an epoch

    def __len__(self) -> int:
        return sys.maxsize // self._batch_size

    def __getitem__(self, step: int) -> Any:
        epochs, places = np.divmod(step * self._batch_size + self._rows, len(self._examples))
        indices = np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            indices[here] = self._order(int(epoch))[places[here]]
        return self._examples.take(indices, self._uniforms(step))

    def _uniforms(self, step: int) -> np.ndarray:
        count = self._examples.uniforms
        if not count:
            return np.empty((len(self._rows), 0))
        # A key of another length than the shuffle's, so that no epoch's order is in these numbers.
        generator = np.random.RandomState([self._seed, step, 1])
        return generator.random_sample((self._batch_size, count))[self._rows]

    def _shuffle(self, epoch: int) -> np.ndarray:
        # RandomState's stream is frozen for good, so a run resumed under another numpy continues
        # in the same order.
        return np.random.RandomState([self._seed, epoch]).permutation(len(self._examples))


class Batched(Protocol):
    """A data set that has batches for every seed: of text, or of images."""

    def batches(self, seed: int, *, rows: Sequence[int] | None = None) -> BatchIterator:
        """Return endless training batches, or some rows of each.

        Raises `TransferError` for a seed or a row out of range.
        """


class PopulationBatches:
    """One endless iterator per distinct seed, advanced together.

    `seeds` holds the distinct seeds in order of first appearance: the batches of seed s are at
    `population.seeds.index(s)`.
    Raises `TransferError` as `batches` of the data set does, or when there is no seed.

    Example:
      >>> from transfer.data import DataConfig, load_dataset
      >>> population = PopulationBatches(load_dataset(DataConfig(name="synthetic")), [0, 0, 7])
      >>> population.seeds, population.take(5).shape
      ((0, 7), (5, 2, 16, 65))
    """

    def __init__(
        self, dataset: Batched, seeds: Sequence[int], *, rows: Sequence[int] | None = None
    ):
        self.seeds = tuple(dict.fromkeys(seeds))
        if not self.seeds:
            raise TransferError("A population needs at least one data seed; none was given.")
        self._iterators = [dataset.batches(seed, rows=rows) for seed in self.seeds]

    def take(self, k: int) -> Any:
        """Return the next k batches: each array of a batch as (k, seeds, *its shape).

        Text is int32 (k, seeds, local batch, sequence_length + 1).
        """
        taken = [next(iterator) for _ in range(k) for iterator in self._iterators]
        leading = (k, len(self.seeds))
        return jax.tree.map(lambda *rows: np.stack(rows).reshape(*leading, *rows[0].shape), *taken)

    def get_state(self) -> dict[str, Any]:
        """Return the position of every seed as a dictionary that JSON can hold."""
        return {
            "seeds": list(self.seeds),
            "positions": [iterator.get_state() for iterator in self._iterators],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a position; raises `TransferError` when it is of other seeds."""
        if list(self.seeds) != list(state["seeds"]):
            raise TransferError(
                f"The data position is of seeds {list(state['seeds'])} but this population has "
                f"{list(self.seeds)}; resume with the same seeds or start a new run."
            )
        for iterator, position in zip(self._iterators, state["positions"], strict=True):
            iterator.set_state(position)


def require_a_batch(size: int, train: int, held_out: int, evaluated: int) -> None:
    """Raise `TransferError` unless so many examples make at least one batch.

    Arguments:
      size: of a batch.
      train, held_out: examples of each split.
      evaluated: how many held-out examples an evaluation reads at most.
    """
    if size < 1 or size > min(train, held_out, evaluated):
        raise TransferError(
            f"A batch of {size} is larger than the data allow: there are {train} examples to "
            f"train on and {held_out} held out, of which an evaluation reads {evaluated} at most; "
            "expected a smaller batch, or more of what there is too little of."
        )
