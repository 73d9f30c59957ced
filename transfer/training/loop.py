"""Train a group from its first batch to its last measurement."""

import dataclasses
import itertools
import time
import typing
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from transfer import sharding
from transfer.data import Dataset, ImageDataset, PopulationBatches
from transfer.distributed import exchange
from transfer.distributed.timeouts import collective_timeout
from transfer.termination import TerminatedError
from transfer.training.batches import device_batches
from transfer.training.build import build_population, group_mesh
from transfer.training.checkpoint import Checkpoints, Snapshot
from transfer.training.config import TrainingConfig
from transfer.training.group import TrialGroup
from transfer.training.history import History
from transfer.training.horizons import HorizonReader
from transfer.training.inputs import TrialInputs
from transfer.training.kept_programs import KeptPrograms
from transfer.training.memory import predict_memory, require_room
from transfer.training.outcome import Outcome
from transfer.training.population import Compiled
from transfer.training.run_size import run_size
from transfer.training.state import State
from transfer.training.step_budget import StepBudget
from transfer.training.task import Batch

if typing.TYPE_CHECKING:
    from transfer.training.events import Events

Progress = Callable[[float, float], None]
# From a random start, four measurements take the largest value of a Gaussian matrix of width 1024
# to 1e-7 and the fourth largest to 2e-4; those of trained matrices need two.
_REPEATED = 4


def train(
    group: TrialGroup,
    dataset: Dataset | ImageDataset,
    *,
    checkpoints: Checkpoints | None = None,
    events: "Events | None" = None,
    progress: Progress = lambda fraction, loss: None,
    compiled: Callable[[float], None] = lambda fraction: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    kept: KeptPrograms | None = None,
    meanwhile: Iterable[object] = (),
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
      compiled: is told, when training begins, the fraction that was done before.
      asked_to_stop: is asked every few seconds; if it says so in any process, the run is saved.
      kept: programs of groups that were trained before, or will be after this one.
      meanwhile: work that is done in parts while the devices take steps.

    Raises:
      TerminatedError: the run was asked to stop.
      DoesNotFitError: the group takes more memory than its devices have.
      TransferError: the group does not fit the devices or its recipe, or a seed is none.
    """
    started = time.perf_counter()
    training, steps = group.training, group.shape.steps
    dataset = dataset.in_batches_of(group.shape.batch_size)

    # The program.
    mesh = group_mesh(group)
    built = build_population(group, mesh)
    rows = exchange.LocalRows(sharding.batches(mesh), axis=2, size=group.shape.batch_size)
    data = PopulationBatches(dataset, built.seeds, rows=rows.rows)
    held_out = dataset.eval_batches()
    held_out_batches = len(jax.tree.leaves(held_out)[0])
    programs = (kept or KeptPrograms()).compile(built, held_out_batches)
    to_compile = programs.begin()
    next(to_compile)  # what takes steps compiles for the longest
    next(to_compile)  # what measures is traced meanwhile: the prediction of memory needs both
    if checkpoints is None or not checkpoints.steps:
        programs.init.begin()
    if jax.process_count() > 1:
        programs.wait()
        exchange.barrier()  # one process may have compiled for longer
    memory = predict_memory(built, programs, built.eval_batches(held_out_batches))
    with collective_timeout():
        require_room(group, mesh, memory)

    # The start: the last checkpoint, or the initial state.
    with collective_timeout():
        measured_at = training.measured_at(steps)
        history = History.empty(len(group.trials), measured_at, programs.measured, training)
        start = _restored(checkpoints, programs, history, data)
        history = start.history if start else history
        horizons = HorizonReader(
            group=group,
            programs=programs,
            inputs=built.inputs,
            results=history.horizons,
            held_out=exchange.device_put(held_out, sharding.eval_batches(mesh)),
            mesh=mesh,
            rows=rows,
            chunk=built.chunk,
            data=lambda: PopulationBatches(dataset, built.seeds, rows=rows.rows),
            asked_to_stop=asked_to_stop,
        )
        step = start.step if start else 0
        trials = horizons.trials(step)
        run = _Run(
            programs=programs,
            trials=trials,
            data=data,
            rows=rows,
            chunk=built.chunk,
            held_out=horizons.held_out,
            history=history,
            events=events,
            # A device has room for one state, so nothing is initialized where one was restored.
            state=start.state if start else programs.init(trials),
            step=step,
            position=data.get_state(),
        )
    if events is not None:
        events.start(run.step)
    if run.step == 0 and run.is_measured_after(0):
        with collective_timeout():
            run.measure_start()
    programs.run.wait()
    compile_seconds = time.perf_counter() - started
    compiled(run.step / steps)

    # Training. While the devices take steps, this process writes down the steps before them, reads
    # the batches after them, and traces what is needed later.
    later, first = itertools.chain(to_compile, meanwhile), run.step
    budget, stop = (
        StepBudget(most=built.chunk),
        _next_stop(run.step, built.chunk, training, horizons),
    )
    coming, unwritten = run.read(min(budget.steps, stop - run.step)), None
    while True:
        # A checkpoint of this step is one from before anything is read off it.
        if run.step in horizons.stops:
            interrupted = horizons.read(run.step, run.state, run.position, budget)
            run.trials = horizons.trials(run.step + 1)
            if interrupted:
                raise _stopped(run, checkpoints)
        if run.step == steps:
            break
        with collective_timeout():
            began, taken = time.perf_counter(), run.take(coming)
            if unwritten is not None:
                run.write_down(unwritten, progress)
            if run.step == stop:
                taken.told, stop = True, _next_stop(run.step, built.chunk, training, horizons)
            coming = run.read(min(budget.steps, stop - run.step))
            # The first two chunks are single steps, which say how long a step takes.
            if run.step > first + 2:
                for _ in later:
                    if taken.is_ready():
                        break
            taken.wait()
            # All processes have to take as many steps, and to stop after the same.
            seconds, stopping = exchange.allgather_max(
                time.perf_counter() - began, float(asked_to_stop())
            )
        budget.took(taken.steps, seconds)
        unwritten = taken
        saving = checkpoints is not None and (
            (run.step == steps and checkpoints.final)
            or (training.checkpoint_every and run.step % training.checkpoint_every == 0)
        )
        if saving or stopping or run.step == steps or run.step in horizons.stops:
            run.write_down(taken, progress)
            unwritten = None
        if checkpoints is not None and saving:
            with collective_timeout():
                checkpoints.save(run.snapshot())
        if stopping:
            raise _stopped(run, checkpoints)

    # The held-out loss.
    with collective_timeout():
        scores = exchange.process_allgather(programs.evaluate(run.state, run.trials, run.held_out))
    parameters, flops = run_size(group)
    return Outcome(
        steps=steps,
        parameters=parameters,
        flops=flops,
        state=run.state,
        history=run.history.curves,
        held_out={
            name: np.where(history.horizons.is_stopped, np.nan, values[: len(group.trials)])
            for name, values in scores.items()
        },
        measured_at=run.history.steps,
        measured=run.history.measured,
        seconds=time.perf_counter() - started,
        compile_seconds=compile_seconds,
        execution=f"{built.population.execution}, {_describe(mesh.shape)}",
        horizons=history.horizons,
    )


@dataclasses.dataclass(frozen=True)
class _Chunk:
    """Batches on the devices, of steps that are yet to be taken.

    Fields:
      parts: numbers of steps and their batches; the last step is taken by itself where its update
        is measured.
      position: in the data, after them.
    """

    parts: tuple[tuple[int, Batch], ...]
    position: dict[str, Any]


@dataclasses.dataclass
class _Taken:
    """What the devices give of steps that they take, or have taken; `told` where progress is."""

    step: int
    curves: list[tuple[int, dict[str, jax.Array]]] = dataclasses.field(default_factory=list)
    measured: Any = None
    told: bool = False

    @property
    def steps(self) -> int:
        """How many there are."""
        return sum(steps for steps, _ in self.curves)

    def is_ready(self) -> bool:
        """Whether the devices have taken the steps."""
        given = [self.measured, *(curves for _, curves in self.curves)]
        return all(leaf.is_ready() for leaf in jax.tree.leaves(given))

    def wait(self) -> None:
        """Return once the devices have taken the steps."""
        jax.block_until_ready((self.curves, self.measured))


@dataclasses.dataclass
class _Run:
    """A population on its way: what steps and measurements change, and what they need for it."""

    programs: Compiled
    trials: TrialInputs
    data: PopulationBatches
    rows: exchange.LocalRows
    chunk: int
    held_out: Batch
    history: History
    events: "Events | None"
    state: State
    step: int
    position: dict[str, Any]

    def read(self, steps: int) -> _Chunk:
        """Read the batches of the next steps, if any, and send them to the devices."""
        alone = min(steps, int(self.is_measured_after(self.step + steps)))
        parts = tuple((each, self._batches(each)) for each in (steps - alone, alone) if each)
        return _Chunk(parts, self.data.get_state())

    def take(self, chunk: _Chunk) -> _Taken:
        """Let the devices take steps, and measure after the last where that is due."""
        taken, earlier = _Taken(self.step), {}
        everywhere = NamedSharding(self.rows.sharding.mesh, PartitionSpec())
        for steps, batches in chunk.parts:
            if measured := self.is_measured_after(self.step + steps):
                earlier = self.programs.hidden(self.state)
            self.state, curves = self.programs.run(
                self.state, self.trials, batches, exchange.device_put(np.int32(steps), everywhere)
            )
            taken.curves.append((steps, exchange.gathered(curves)))
            self.step += steps
            if measured:
                taken.measured = self._measure(earlier)
        self.position = chunk.position
        return taken

    def write_down(self, taken: _Taken, progress: Progress) -> None:
        """Put what the devices gave into the history, once they have, and tell progress."""
        step = taken.step
        for steps, curves in taken.curves:
            self.history.add_steps(step, steps, curves)
            if self.events is not None:
                self.events.add_steps(step, steps, self.history.curves)
            step += steps
        if taken.measured is not None:
            self._write_measurement(step, taken.measured)
        if taken.told:
            progress(step / self.history.steps[-1], self._median_loss(step))

    def is_measured_after(self, step: int) -> bool:
        """Whether there is a measurement after so many steps."""
        return step in self.history.steps

    def measure_start(self) -> None:
        """Measure the state before the first step."""
        self._write_measurement(0, self._measure(self.programs.hidden(self.state)))

    def snapshot(self) -> Snapshot:
        """What a checkpoint keeps."""
        return Snapshot(self.step, self.state, self.position, self.history)

    def _measure(self, earlier: dict[str, jax.Array]) -> Any:
        """Measure the state; `earlier` are the hidden weights one step before."""
        # Nothing leads to the first measurement, and the last is what is analyzed.
        outermost = self.step in (0, self.history.steps[-1])
        for _ in range(_REPEATED if outermost and self.state.vectors else 1):
            vectors, measured = self.programs.measure(
                self.state, self.trials, earlier, self.held_out
            )
            self.state = dataclasses.replace(self.state, vectors=vectors)
        return exchange.gathered(measured)

    def _write_measurement(self, step: int, measured: Any) -> None:
        measured = jax.tree.map(np.asarray, measured)
        self.history.add_measurement(step, measured)
        if self.events is not None:
            self.events.add_measurement(step, measured)

    def _median_loss(self, step: int) -> float:
        """The median over trials of the finite losses of a step; NaN where none is."""
        losses = self.history.curves["loss"][:, step - 1]
        finite = losses[np.isfinite(losses)]
        return float(np.median(finite)) if finite.size else float("nan")

    def _batches(self, steps: int) -> Batch:
        return device_batches(self.data, self.rows, steps, self.chunk)


def _restored(
    checkpoints: Checkpoints | None, programs: Compiled, history: History, data: PopulationBatches
) -> Snapshot | None:
    """The last checkpoint, if there is one, with the data at its position."""
    snapshot = checkpoints.restore(programs.state, history) if checkpoints is not None else None
    if snapshot is not None:
        data.set_state(snapshot.data)
    return snapshot


def _stopped(run: _Run, checkpoints: Checkpoints | None) -> TerminatedError:
    """Save the run, unless that is done, and return what to raise."""
    if checkpoints is not None and run.step not in checkpoints.steps:
        with collective_timeout():
            checkpoints.save(run.snapshot())
    saved = "which is saved" if checkpoints is not None else "and nothing is saved"
    return TerminatedError(
        f"It was asked to stop after step {run.step} of {run.history.steps[-1]}, {saved}."
    )


def _next_stop(step: int, chunk: int, training: TrainingConfig, horizons: HorizonReader) -> int:
    """After which step there is something to tell, to save, to measure or to read off."""
    steps = horizons.group.shape.steps
    stops = [step + chunk, steps, *(stop for stop in horizons.stops if stop > step)]
    for every in (training.checkpoint_every, training.spectrum_every):
        if every:
            stops.append((step // every + 1) * every)
    return min(stops)


def _describe(shape: Any) -> str:
    always = (sharding.TRIAL, sharding.DATA)
    return " x ".join(
        f"{size} {name}" for name, size in shape.items() if name in always or size > 1
    )
