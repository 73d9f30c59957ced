"""Programs that train groups: those of a shape are compiled once, those of the next group ahead."""

from collections.abc import Iterator
from typing import Any

import jax

from transfer.data import Dataset, ImageDataset
from transfer.training.build import BuiltPopulation, build_population, group_mesh
from transfer.training.group import TrialGroup
from transfer.training.population import Compiled


class KeptPrograms:
    """Keeps the programs of the last shapes: by default of the group that trains, and of the next.

    Groups whose model, training, data and devices are the same, and whose trials and seeds are as
    many, differ in what their programs are given alone.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._kept: list[tuple[Any, Compiled]] = []

    def compile(self, built: BuiltPopulation, held_out: int) -> Compiled:
        """Return the programs of a population, given the number of held-out batches."""
        given = (built.trials, built.batches, built.eval_batches(held_out))
        shape = (built.population, *jax.tree.flatten(given))
        for known, programs in self._kept:
            if known == shape:
                return programs
        programs = built.population.compile(*given)
        self._kept = [*self._kept, (shape, programs)][-self._most :]
        return programs

    def prepare(self, group: TrialGroup, dataset: Dataset | ImageDataset) -> Iterator[None]:
        """Trace the programs of a group one by one and let them compile, yielding between them.

        What is wrong with the group is raised when it is trained, and not before.
        """
        try:
            built = build_population(group, group_mesh(group))
            held_out = dataset.in_batches_of(group.shape.batch_size).eval_batches()
            programs = self.compile(built, len(jax.tree.leaves(held_out)[0]))
            yield
            yield from programs.begin()
            programs.init.begin()
        except Exception:  # whatever a model of the user's own raises
            self.forget()

    def forget(self) -> None:
        """Keep nothing: what could not be compiled or run is tried again from the start."""
        self._kept = []
