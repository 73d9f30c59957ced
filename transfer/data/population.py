"""Batches for a population of trials: each seed's stream once, however many trials share it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfer.data.dataset import Dataset
from transfer.errors import TransferError


class PopulationBatches:
    """One endless iterator per distinct seed, advanced together.

    `seeds` holds the distinct seeds in order of first appearance: the batches of seed s are at
    `population.seeds.index(s)`.
    Raises `TransferError` as `Dataset.batches` does, or when there is no seed.

    Example:
      >>> from transfer.data import DataConfig, load_dataset
      >>> population = PopulationBatches(load_dataset(DataConfig(name="synthetic")), [0, 0, 7])
      >>> population.seeds, population.take(5).shape
      ((0, 7), (5, 2, 16, 65))
    """

    def __init__(
        self,
        dataset: Dataset,
        seeds: Sequence[int],
        process_index: int = 0,
        process_count: int = 1,
    ):
        self.seeds = tuple(dict.fromkeys(seeds))
        if not self.seeds:
            raise TransferError("A population needs at least one data seed; none was given.")
        self._iterators = [
            dataset.batches(seed, process_index=process_index, process_count=process_count)
            for seed in self.seeds
        ]

    def take(self, k: int) -> np.ndarray:
        """Return the next k batches, int32 (k, seeds, local batch, sequence_length + 1)."""
        by_seed = [[next(iterator) for _ in range(k)] for iterator in self._iterators]
        return np.stack([np.stack(batches) for batches in by_seed], axis=1)

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
