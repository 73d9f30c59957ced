"""What a run has measured so far."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import jax
import numpy as np

from transfer.training.config import TrainingConfig
from transfer.training.horizon_results import HorizonResults


@dataclasses.dataclass(frozen=True)
class History:
    """Arrays with a leading trial axis, NaN where a run has yet to come or was stopped.

    What is added may have more trials, which fill up the mesh; they are left out.

    Fields:
      steps: after which steps there is a measurement.
      curves: what `TrainingConfig.curves` names (trial, step).
      measured: by quantity and path (trial, measurement, ...).
      horizons: what was read off the run on its way.
    """

    steps: tuple[int, ...]
    curves: dict[str, np.ndarray]
    measured: dict[str, dict[str, np.ndarray]]
    horizons: HorizonResults

    @classmethod
    def empty(
        cls,
        trials: int,
        steps: tuple[int, ...],
        measured: Any,
        training: TrainingConfig = TrainingConfig(),
    ) -> Self:
        """The history of a run that has not begun; `measured` gives shapes (any trials, ...).

        The last of the steps is that of the run; `training` says what is recorded of each, and
        which horizons it has.
        """
        return cls(
            steps,
            {name: _unknown((trials, steps[-1])) for name in training.curves},
            jax.tree.map(lambda leaf: _unknown((trials, len(steps), *leaf.shape[1:])), measured),
            HorizonResults.empty(trials, training),
        )

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.curves["loss"])

    def add_steps(self, step: int, taken: int, curves: Mapping[str, jax.Array]) -> None:
        """Put down the curves of the steps that were taken after a step."""
        going = ~self.horizons.is_stopped
        for name, values in self.curves.items():
            found = np.asarray(curves[name])[: self.trials, :taken]
            values[going, step : step + taken] = found[going]

    def add_measurement(self, step: int, measured: Any) -> None:
        """Put down what was measured after a step."""
        place, going = self.steps.index(step), ~self.horizons.is_stopped

        def put(values: np.ndarray, found: jax.Array) -> None:
            values[going, place] = np.asarray(found)[: self.trials][going]

        jax.tree.map(put, self.measured, measured)

    def to_tree(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        tree: dict[str, Any] = {"curves": self.curves, "measured": self.measured}
        horizons = self.horizons.to_tree()
        return tree | {"horizons": horizons} if horizons else tree

    def with_tree(self, tree: dict[str, Any]) -> Self:
        """The history that a checkpoint kept."""
        kept = jax.tree.map(np.array, tree)
        horizons = self.horizons.with_tree(kept.pop("horizons", {}))
        return dataclasses.replace(self, **kept, horizons=horizons)


def _unknown(shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan, np.float32)
