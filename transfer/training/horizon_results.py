"""What was read off a run at its horizons so far."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import jax
import numpy as np

from transfer.training.config import TrainingConfig

METRICS = ("loss", "accuracy")
_CURVES = ("loss", "grad_norm")


@dataclasses.dataclass(frozen=True)
class HorizonResults:
    """Arrays with a leading trial axis, NaN where a run has yet to come.

    Fields:
      steps: the horizons, in increasing order; none of a run that has none.
      average: held-out `loss` in nats and `accuracy` of the weight average (trial, horizon).
      branch: the same of the branches that end there; empty without branches.
      curves: `loss` and `grad_norm` of the branches (trial, horizon, step of the branch).
      stopped: after which step a trial was stopped (trial,), NaN for those that go on.
    """

    steps: tuple[int, ...]
    average: dict[str, np.ndarray]
    branch: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    stopped: np.ndarray

    @classmethod
    def empty(cls, trials: int, training: TrainingConfig) -> Self:
        """Return those of a run that has not begun."""
        steps, length = training.horizons, training.branch_steps
        shape = (trials, len(steps))
        return cls(
            steps=steps,
            average={name: _unknown(shape) for name in METRICS if steps},
            branch={name: _unknown(shape) for name in METRICS if length},
            curves={name: _unknown((*shape, length)) for name in _CURVES if length},
            stopped=_unknown((trials,)),
        )

    @property
    def branch_length(self) -> int:
        """Steps of each branch; 0 where there are none."""
        return self.curves["loss"].shape[-1] if self.curves else 0

    @property
    def is_stopped(self) -> np.ndarray:
        """Which trials (trial,) were stopped at a horizon before the last."""
        return np.isfinite(self.stopped)

    def put(self, scores: Mapping[str, np.ndarray], into: dict[str, np.ndarray], at: int) -> None:
        """Put down what was scored at a horizon, by its index, of the trials that have come there.

        `scores` may have more trials, which fill up the mesh.
        """
        going = ~self.is_stopped
        for name, values in into.items():
            values[going, at] = np.asarray(scores[name])[: len(going)][going]

    def add_steps(self, at: int, step: int, taken: int, curves: Mapping[str, jax.Array]) -> None:
        """Put down the curves of steps that a branch took after so many of its own."""
        going = ~self.is_stopped
        for name, values in self.curves.items():
            found = np.asarray(curves[name])[: len(going), :taken]
            values[going, at, step : step + taken] = found[going]

    def stop(self, trials: np.ndarray, step: int) -> None:
        """Put down that trials (trial,) were stopped after a step."""
        self.stopped[trials & ~self.is_stopped] = step

    def to_tree(self) -> dict[str, Any]:
        """What a checkpoint keeps; nothing without horizons."""
        parts: dict[str, Any] = {"average": self.average, "stopped": self.stopped}
        if self.branch:
            parts |= {"branch": self.branch, "curves": self.curves}
        return parts if self.steps else {}

    def with_tree(self, tree: dict[str, Any]) -> Self:
        """What a checkpoint kept."""
        return dataclasses.replace(self, **jax.tree.map(np.array, tree))


def _unknown(shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan, np.float32)
