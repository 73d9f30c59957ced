"""What a trained population gives."""

import dataclasses

import numpy as np

from transfer.training.horizon_results import HorizonResults
from transfer.training.state import State


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a population measured; arrays have a leading trial axis.

    `history` holds the curves (trial, step), `held_out` (trial,) the `loss` in nats and
    the `accuracy` on held-out data after the last step. `measured` is by quantity and path what
    `Compiled.measure` says, with a second axis for the measurements, and `measured_at` the steps
    after which they were made, the last of which ends the run. `flops`
    are those of one trial: 3 times the products of a forward pass, for every step. `seconds`
    is wall time, `compile_seconds` the part of it until training began, and `execution`
    says how the trials shared the devices. `horizons` is what was read off the run on its way. What
    a trial that was stopped has not done is NaN.
    """

    steps: int
    parameters: int
    flops: float
    state: State
    history: dict[str, np.ndarray]
    held_out: dict[str, np.ndarray]
    measured_at: tuple[int, ...]
    measured: dict[str, dict[str, np.ndarray]]
    seconds: float
    compile_seconds: float
    execution: str
    horizons: HorizonResults

    @property
    def spectrum(self) -> dict[str, np.ndarray]:
        """Top singular values (trial, measurement, *stack, rank) by path."""
        return self.measured["spectrum"]

    @property
    def diverged(self) -> np.ndarray:
        """Which trials met a loss that is not finite."""
        taken = np.array([self.steps_taken(index) for index in range(len(self.history["loss"]))])
        to_come = np.arange(self.steps) >= taken[:, None]
        finite = (np.isfinite(self.history["loss"]) | to_come).all(axis=1)
        is_known = np.isfinite(self.held_out["loss"]) | self.horizons.is_stopped
        return ~(finite & is_known)

    @property
    def stopped(self) -> np.ndarray:
        """Which trials were stopped at a horizon before the last, though they did not diverge."""
        return self.horizons.is_stopped & ~self.diverged

    def steps_taken(self, index: int) -> int:
        """Return how many steps a trial took: all, or those until it was stopped."""
        stopped = self.horizons.stopped[index]
        return int(stopped) if np.isfinite(stopped) else self.steps

    def branch_steps(self, index: int) -> int:
        """Return how many steps the branches of a trial took together."""
        horizons, taken = self.horizons, self.steps_taken(index)
        length = horizons.branch_length
        # Those that begin where a trial is stopped are left out.
        begun = [steps for steps in horizons.steps if steps - length < taken]
        return length * len(begun)
