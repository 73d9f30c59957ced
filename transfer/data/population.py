"""Batches for a population of trials: each seed's stream once, however many trials share it."""

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np

from transfer.data.pipeline import BatchIterator
from transfer.errors import TransferError


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
