"""Train a group from its first batch to its last measurement."""

import dataclasses
import time
import typing
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from transfer import sharding
from transfer.data import Dataset, ImageDataset, PopulationBatches
from transfer.distributed import exchange
from transfer.distributed.timeouts import collective_timeout
from transfer.models import count, parameter_count
from transfer.termination import TerminatedError
from transfer.training.build import build_population, group_mesh
from transfer.training.checkpoint import Checkpoints, Snapshot
from transfer.training.config import TrainingConfig
from transfer.training.group import TrialGroup
from transfer.training.history import History
from transfer.training.inputs import TrialInputs
from transfer.training.population import Compiled, State
from transfer.training.step_budget import StepBudget
from transfer.training.task import Batch

if typing.TYPE_CHECKING:
    from transfer.training.events import Events

Progress = Callable[[float, float], None]
# From a random start, four measurements take the largest value of a Gaussian matrix of width 1024
# to 1e-7 and the fourth largest to 2e-4; those of trained matrices need two.
_REPEATED = 4


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a population measured; arrays have a leading trial axis.

    `history` holds `loss` and `grad_norm` (trial, step), `held_out` (trial,) the `loss` in nats and
    the `accuracy` on held-out data after the last step. `measured` is by quantity and path what
    `Compiled.measure` says, with a second axis for the measurements, and `measured_at` the steps
    after which they were made, the last of which ends the run. `flops`
    are those of one trial: 3 times the products of a forward pass, for every step. `seconds`
    is wall time, `compile_seconds` the part of it until all programs were compiled, and `execution`
    says how the trials shared the devices.
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

    @property
    def spectrum(self) -> dict[str, np.ndarray]:
        """Top singular values (trial, measurement, *stack, rank) by path."""
        return self.measured["spectrum"]

    @property
    def diverged(self) -> np.ndarray:
        """Which trials met a loss that is not finite."""
        finite = np.isfinite(self.history["loss"]).all(axis=1) & np.isfinite(self.held_out["loss"])
        return ~finite


def train(
    group: TrialGroup,
    dataset: Dataset | ImageDataset,
    *,
    checkpoints: Checkpoints | None = None,
    events: "Events | None" = None,
    progress: Progress = lambda fraction, loss: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train every trial of a group, in one program.

    Trials of one seed see the same batches; another seed means another init and other batches. A
    trial whose loss stops being finite is marked and never touches its neighbors.

    Arguments:
      group: what is trained.
      dataset: what the group's data configuration describes.
      checkpoints: where the run is saved; the run resumes from the last one, and ends with the
        same losses, bit for bit on the same devices.
      events: TensorBoard's copy of what is measured.
      progress: is told the fraction done and the median loss of the trials that have one.
      asked_to_stop: is asked every few seconds; if it says so in any process, the run is saved.

    Raises:
      TerminatedError: the run was asked to stop.
      TransferError: the group does not fit the devices or its recipe, or a seed is none.
    """
    started = time.perf_counter()
    training, steps = group.training, group.shape.steps

    # The program.
    mesh = group_mesh(group)
    built = build_population(group, mesh)
    rows = exchange.LocalRows(sharding.batches(mesh), axis=2, size=group.shape.batch_size)
    data = PopulationBatches(dataset, built.seeds, rows=rows.rows)
    held_out = dataset.eval_batches()
    compiled = built.population.compile(
        built.trials, built.batches, built.eval_batches(len(jax.tree.leaves(held_out)[0]))
    )
    compile_seconds = time.perf_counter() - started

    # The start: the last checkpoint, or the initial state.
    exchange.barrier()  # one process may have compiled for longer
    with collective_timeout():
        trials = exchange.device_put(built.inputs, sharding.per_trial(mesh))
        history = History.empty(len(group.trials), training.measured_at(steps), compiled.measured)
        start = _restored(checkpoints, compiled, history, data)
        run = _Run(
            compiled=compiled,
            trials=trials,
            data=data,
            rows=rows,
            chunk=built.chunk,
            held_out=exchange.device_put(held_out, sharding.eval_batches(mesh)),
            history=start.history if start else history,
            events=events,
            # A device has room for one state, so nothing is initialized where one was restored.
            state=start.state if start else compiled.init(trials),
            step=start.step if start else 0,
        )
    if events is not None:
        events.start(run.step)
    if run.step == 0 and run.is_measured_after(0):
        with collective_timeout():
            run.measure(compiled.hidden(run.state))

    # Training.
    budget, stop = StepBudget(most=built.chunk), run.step
    while run.step < steps:
        if run.step == stop:
            stop = _next_stop(run.step, built.chunk, training, steps)
        with collective_timeout():
            began, taken = time.perf_counter(), min(budget.steps, stop - run.step)
            run.advance(taken)
            # All processes have to take as many steps, and to stop after the same.
            seconds, stopping = exchange.allgather_max(
                time.perf_counter() - began, float(asked_to_stop())
            )
        budget.took(taken, seconds)
        if run.step == stop:
            progress(run.step / steps, run.median_loss())
        if checkpoints is not None and (
            stopping
            or (run.step == steps and checkpoints.final)
            or (training.checkpoint_every and run.step % training.checkpoint_every == 0)
        ):
            with collective_timeout():
                checkpoints.save(run.snapshot())
        if stopping:
            saved = "which is saved" if checkpoints is not None else "and nothing is saved"
            raise TerminatedError(
                f"It was asked to stop after step {run.step} of {steps}, {saved}."
            )

    # The held-out loss.
    with collective_timeout():
        scores = exchange.process_allgather(compiled.evaluate(run.state, trials, run.held_out))
    inputs, _ = jax.eval_shape(built.population.task.split, built.batch)
    return Outcome(
        steps=steps,
        parameters=parameter_count(group.layout.parameters),
        flops=3.0 * count(group.model.plain(), inputs).flops * steps,
        state=run.state,
        history=run.history.curves,
        held_out={name: values[: len(group.trials)] for name, values in scores.items()},
        measured_at=run.history.steps,
        measured=run.history.measured,
        seconds=time.perf_counter() - started,
        compile_seconds=compile_seconds,
        execution=f"{built.population.execution}, {_describe(mesh.shape)}",
    )


@dataclasses.dataclass
class _Run:
    """A population on its way: what steps and measurements change, and what they need for it."""

    compiled: Compiled
    trials: TrialInputs
    data: PopulationBatches
    rows: exchange.LocalRows
    chunk: int
    held_out: Batch
    history: History
    events: "Events | None"
    state: State
    step: int

    def advance(self, count: int) -> None:
        """Take steps; where a measurement is due after the last, make it."""
        if not self.is_measured_after(self.step + count):
            self._take(count)
            return
        # The last step is taken by itself, so that its update can be measured.
        if count > 1:
            self._take(count - 1)
        earlier = self.compiled.hidden(self.state)
        self._take(1)
        self.measure(earlier)

    def is_measured_after(self, step: int) -> bool:
        """Whether there is a measurement after so many steps."""
        return step in self.history.steps

    def measure(self, earlier: dict[str, jax.Array]) -> None:
        """Measure the state; `earlier` are the hidden weights one step before."""
        # Nothing leads to the first measurement, and the last is what is analyzed.
        outermost = self.step in (0, self.history.steps[-1])
        for _ in range(_REPEATED if outermost and self.state.vectors else 1):
            vectors, measured = self.compiled.measure(
                self.state, self.trials, earlier, self.held_out
            )
            self.state = dataclasses.replace(self.state, vectors=vectors)
        measured = exchange.process_allgather(measured)
        self.history.add_measurement(self.step, measured)
        if self.events is not None:
            self.events.add_measurement(self.step, measured)

    def median_loss(self) -> float:
        """The median over trials of the last step's finite losses; NaN where none is."""
        losses = self.history.curves["loss"][:, self.step - 1]
        finite = losses[np.isfinite(losses)]
        return float(np.median(finite)) if finite.size else float("nan")

    def snapshot(self) -> Snapshot:
        """What a checkpoint keeps."""
        return Snapshot(self.step, self.state, self.data.get_state(), self.history)

    def _take(self, count: int) -> None:
        batches = jax.tree.map(lambda leaf: _padded(leaf, self.chunk), self.data.take(count))
        everywhere = NamedSharding(self.rows.sharding.mesh, PartitionSpec())
        self.state, curves = self.compiled.run(
            self.state,
            self.trials,
            self.rows.device_put(batches),
            exchange.device_put(np.int32(count), everywhere),
        )
        self.history.add_steps(self.step, count, exchange.process_allgather(curves))
        if self.events is not None:
            self.events.add_steps(self.step, count, self.history.curves)
        self.step += count


def _restored(
    checkpoints: Checkpoints | None, compiled: Compiled, history: History, data: PopulationBatches
) -> Snapshot | None:
    """The last checkpoint, if there is one, with the data at its position."""
    snapshot = checkpoints.restore(compiled.state, history) if checkpoints is not None else None
    if snapshot is not None:
        data.set_state(snapshot.data)
    return snapshot


def _next_stop(step: int, chunk: int, training: TrainingConfig, steps: int) -> int:
    """After which step there is something to tell, to save or to measure."""
    stops = [step + chunk, steps]
    for every in (training.checkpoint_every, training.spectrum_every):
        if every:
            stops.append((step // every + 1) * every)
    return min(stops)


def _padded(leaf: np.ndarray, length: int) -> np.ndarray:
    missing = length - leaf.shape[0]
    return np.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)) if missing else leaf


def _describe(shape: Any) -> str:
    always = (sharding.TRIAL, sharding.DATA)
    return " x ".join(
        f"{size} {name}" for name, size in shape.items() if name in always or size > 1
    )
