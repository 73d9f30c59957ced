"""One run, many horizons: what runs of several lengths would give, read off one trunk.

At each horizon the average of the trunk's weights is evaluated. A branch that ends there starts
`branch_steps` before it, from a copy of the trunk, with the rate falling to 0. It reads the batches
that the trunk reads next, so it takes the very steps of a run of that length under the schedule
`wsd`; the trunk then goes on from where it was. A branch that is interrupted starts anew, and a
checkpoint is always one of the trunk, before anything is read off it at its step.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transfer import sharding
from transfer.data import PopulationBatches
from transfer.distributed import exchange
from transfer.distributed.timeouts import collective_timeout
from transfer.training.batches import device_batches
from transfer.training.group import TrialGroup
from transfer.training.horizon_results import HorizonResults
from transfer.training.inputs import TrialInputs
from transfer.training.population import Compiled
from transfer.training.state import State
from transfer.training.step_budget import StepBudget
from transfer.training.survivors import surviving
from transfer.training.task import Batch


@dataclasses.dataclass
class HorizonReader:
    """Reads off a population what runs of each horizon's length would give.

    Fields:
      group: what is trained.
      programs: those of the population, which serve averages and branches too.
      inputs: of the trials, on this host.
      results: where what is read is put down.
      held_out: held-out batches on the devices.
      mesh: of the population.
      rows: which rows of a batch this process reads.
      chunk: at most how many steps a call of the program takes.
      data: makes batches of the population's seeds from their beginning, for branches.
      asked_to_stop: is asked between the calls of a branch.
    """

    group: TrialGroup
    programs: Compiled
    inputs: TrialInputs
    results: HorizonResults
    held_out: Batch
    mesh: Mesh
    rows: exchange.LocalRows
    chunk: int
    data: Callable[[], PopulationBatches]
    asked_to_stop: Callable[[], bool]

    @functools.cached_property
    def stops(self) -> tuple[int, ...]:
        """After which steps of the trunk there is something to read or a branch to start."""
        horizons, length = self.results.steps, self.results.branch_length
        starts = [horizon - length for horizon in horizons] if length else []
        return tuple(sorted({*horizons, *starts}))

    def trials(self, step: int) -> TrialInputs:
        """Return the trials on the devices, without those that were stopped before a step."""
        return self._on_devices(self._going(self.inputs, step))

    def read(self, step: int, state: State, position: dict[str, Any], budget: StepBudget) -> bool:
        """Read off all that there is after a step of the trunk; the state stays as it is.

        Arguments:
          step: that the trunk has taken.
          state: of the trunk.
          position: in the data, after that step.
          budget: how many steps a call of the program should take.

        Returns whether the run is to stop; the step is then to be read again.
        """
        stopped = self.results.stopped
        stopped[stopped == step] = np.nan  # by an earlier try that was interrupted
        horizons, length = self.results.steps, self.results.branch_length
        if step in horizons:
            with collective_timeout():
                self._read_average(horizons.index(step), state)
        if length and step + length in horizons:
            return self._branch(horizons.index(step + length), step, state, position, budget)
        return False

    def _read_average(self, at: int, state: State) -> None:
        step, results = self.results.steps[at], self.results
        scores = exchange.process_allgather(
            self.programs.evaluate(state.averaged, self.trials(step), self.held_out)
        )
        results.put(scores, results.average, at)
        if self.group.survivors < 1 and at + 1 < len(results.steps):
            going, losses = ~results.is_stopped, results.average["loss"][:, at]
            kept = surviving(self.group.trials, losses, going, self.group.survivors)
            results.stop(going & ~kept, step)

    def _branch(
        self, at: int, start: int, state: State, position: dict[str, Any], budget: StepBudget
    ) -> bool:
        """Let a copy of the trunk cool down; returns whether it was asked to stop meanwhile."""
        results, length = self.results, self.results.branch_length
        data = self.data()
        data.set_state(position)
        # Those that were stopped at this very step have ended too.
        trials = self._on_devices(self._going(self.inputs.cooling_from(start), start + 1))
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        with collective_timeout():
            branch = self.programs.copy(state)
        taken = 0
        while taken < length:
            with collective_timeout():
                began = time.perf_counter()
                steps = min(budget.steps, self.chunk, length - taken)
                batches = device_batches(data, self.rows, steps, self.chunk)
                count = exchange.device_put(np.int32(steps), everywhere)
                branch, curves = self.programs.run(branch, trials, batches, count)
                results.add_steps(at, taken, steps, exchange.process_allgather(curves))
                seconds, stopping = exchange.allgather_max(
                    time.perf_counter() - began, float(self.asked_to_stop())
                )
            budget.took(steps, seconds)
            if stopping:
                return True
            taken += steps
        with collective_timeout():
            scores = self.programs.evaluate(branch, trials, self.held_out)
            results.put(exchange.process_allgather(scores), results.branch, at)
        return False

    def _going(self, inputs: TrialInputs, step: int) -> TrialInputs:
        """Trials without those that were stopped before a step; NaN is before none."""
        live = np.array(inputs.live)
        live[: len(self.results.stopped)] &= ~(self.results.stopped < step)
        return dataclasses.replace(inputs, live=live)

    def _on_devices(self, inputs: TrialInputs) -> TrialInputs:
        return exchange.device_put(inputs, sharding.per_trial(self.mesh))
