"""What a run has measured so far."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class History:
    """Arrays with a leading trial axis, NaN where a run has yet to come.

    What is added may have more trials, which fill up the mesh; they are left out.

    Fields:
      steps: after which steps there is a measurement.
      curves: what `TrainingConfig.curves` names (trial, step).
      measured: by quantity and path (trial, measurement, ...).
    """

    steps: tuple[int, ...]
    curves: dict[str, np.ndarray]
    measured: dict[str, dict[str, np.ndarray]]

    @classmethod
    def empty(
        cls,
        trials: int,
        steps: tuple[int, ...],
        measured: Any,
        curves: Sequence[str] = ("loss", "grad_norm"),
    ) -> Self:
        """The history of a run that has not begun; `measured` gives shapes (any trials, ...).

        The last of the steps is that of the run, and `curves` are what it records of each.
        """
        return cls(
            steps,
            {name: _unknown((trials, steps[-1])) for name in curves},
            jax.tree.map(lambda leaf: _unknown((trials, len(steps), *leaf.shape[1:])), measured),
        )

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.curves["loss"])

    def add_steps(self, step: int, taken: int, curves: Mapping[str, jax.Array]) -> None:
        """Put down the curves of the steps that were taken after a step."""
        for name, values in self.curves.items():
            values[:, step : step + taken] = np.asarray(curves[name])[: self.trials, :taken]

    def add_measurement(self, step: int, measured: Any) -> None:
        """Put down what was measured after a step."""
        place = self.steps.index(step)

        def put(values: np.ndarray, found: jax.Array) -> None:
            values[:, place] = np.asarray(found)[: self.trials]

        jax.tree.map(put, self.measured, measured)

    def to_tree(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"curves": self.curves, "measured": self.measured}

    def with_tree(self, tree: dict[str, Any]) -> Self:
        """The history that a checkpoint kept."""
        return dataclasses.replace(self, **jax.tree.map(np.array, tree))


def _unknown(shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan, np.float32)
