"""Train a population from its first batch to its measurements."""

import dataclasses
import time
import typing
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from transfer import sharding
from transfer.data import Dataset, ImageDataset, PopulationBatches
from transfer.distributed import exchange
from transfer.distributed.timeouts import collective_timeout
from transfer.models import ModelConfig, count, model_layout, parameter_count
from transfer.scaling import Horizon, Hyperparameters, Recipe
from transfer.termination import TerminatedError
from transfer.training.checkpoint import Checkpoints, Snapshot
from transfer.training.config import TrainingConfig
from transfer.training.history import History
from transfer.training.pace import Pace
from transfer.training.population import Population, State, Trials
from transfer.training.task import Batch, task_of

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
    model: ModelConfig,
    base_width: int,
    recipe: Recipe,
    training: TrainingConfig,
    dataset: Dataset | ImageDataset,
    settings: Sequence[tuple[Hyperparameters, int]],
    *,
    base_layers: int = 0,
    horizon: Horizon | None = None,
    mesh: sharding.MeshConfig = sharding.MeshConfig(),
    checkpoints: Checkpoints | None = None,
    events: "Events | None" = None,
    progress: Progress = lambda fraction, loss: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train every setting (hyperparameters, seed) of one width and recipe, in one program.

    `base_layers` of 0 is the model's own depth, no `horizon` that of the base run, and `mesh` says
    how the devices share the work.
    Trials of one seed see the same batches; another seed means another init and other batches. A
    trial whose loss stops being finite is marked and never touches its neighbours. With
    `checkpoints` the run resumes from the last one, and ends with the same losses, bit for bit on
    the same devices. `events` is told what is measured, `progress` the fraction done and the
    median loss of the trials that have one. Every few seconds `asked_to_stop` is asked, and if it
    says so in any process the run is saved and ends with `TerminatedError`.
    """
    started = time.perf_counter()
    layout = model_layout(model, base_width, base_layers)
    parameters = parameter_count(layout.parameters)
    steps = training.resolved_steps(parameters, dataset.config.tokens_per_step)
    devices = sharding.make_mesh(
        mesh,
        trials=len(settings),
        batch_size=training.at_once(dataset.config.batch_size),
        parameters=layout.parameters,
    )
    task = task_of(dataset.config)
    execution = training.execution or (
        "in_turn" if jax.default_backend() == "cpu" else "vectorized"
    )
    population = Population(
        model,
        layout,
        recipe,
        training,
        steps,
        task,
        devices,
        execution,
        horizon or Horizon(),
    )

    # The data goes first, for it refuses what is no seed.
    own = exchange.LocalRows(sharding.batches(devices), axis=2, size=dataset.config.batch_size)
    data = PopulationBatches(dataset, sorted({seed for _, seed in settings}), rows=own.rows)
    # The trial axis has to fill the mesh: repeat the last setting and drop it again at the end.
    padding = -len(settings) % devices.shape[sharding.TRIAL]
    trials, seeds = Trials.of([*settings, *[settings[-1]] * padding])
    trials = exchange.device_put(trials, sharding.per_trial(devices))
    chunk, held_out = min(training.log_every, steps), dataset.eval_batches()
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), held_out)
    compiled = population.compile(
        trials,
        _stacked(batch, (chunk, len(seeds)), sharding.batches(devices)),
        _stacked(batch, jax.tree.leaves(held_out)[0].shape[:1], sharding.eval_batches(devices)),
    )

    compile_seconds = time.perf_counter() - started

    def begin() -> tuple[int, State, History]:
        """From the last checkpoint, or from the init: a device has room for one of them."""
        history = History.empty(len(settings), training.measured_at(steps), compiled.measured)
        if checkpoints is not None:
            snapshot = checkpoints.restore(compiled.state, history)
            if snapshot is not None:
                data.set_state(snapshot.data)
                return snapshot.step, snapshot.state, snapshot.history
        return 0, compiled.init(trials), history

    exchange.barrier()  # one may have compiled for longer
    with collective_timeout():
        step, state, history = begin()
    if events is not None:
        events.start(step)

    evaluated = exchange.device_put(held_out, sharding.eval_batches(devices))
    everywhere = NamedSharding(devices, PartitionSpec())

    def run(state: State, batches: Batch) -> State:
        taken = len(jax.tree.leaves(batches)[0])
        state, curves = compiled.run(
            state,
            trials,
            own.device_put(jax.tree.map(lambda leaf: _padded(leaf, chunk), batches)),
            exchange.device_put(np.int32(taken), everywhere),
        )
        history.add_steps(step, taken, exchange.process_allgather(curves))
        if events is not None:
            events.add_steps(step, taken, history.curves)
        return state

    def measure(state: State, earlier: dict[str, jax.Array]) -> State:
        # Nothing leads to the first measurement, and the last is what is analysed.
        for _ in range(_REPEATED if step in (0, steps) and state.vectors else 1):
            vectors, measured = compiled.measure(state, earlier, evaluated)
            state = dataclasses.replace(state, vectors=vectors)
        measured = exchange.process_allgather(measured)
        history.add_measurement(step, measured)
        if events is not None:
            events.add_measurement(step, measured)
        return state

    def advance(state: State, batches: Batch) -> State:
        nonlocal step
        taken = len(jax.tree.leaves(batches)[0])
        if step + taken not in history.steps:
            state = run(state, batches)
            step += taken
            return state
        # The last step is taken by itself, so that its update can be measured.
        if taken > 1:
            state = run(state, jax.tree.map(lambda leaf: leaf[:-1], batches))
            batches = jax.tree.map(lambda leaf: leaf[-1:], batches)
        step += taken - 1
        earlier = compiled.hidden(state)
        state = run(state, batches)
        step += 1
        return measure(state, earlier)

    if step == 0 and step in history.steps:
        with collective_timeout():
            state = measure(state, compiled.hidden(state))
    pace, stop = Pace(most=chunk), step
    while step < steps:
        if step == stop:
            stop = _next_stop(step, chunk, training, steps)
        begun, taken = time.perf_counter(), min(pace.steps, stop - step)
        with collective_timeout():
            state = advance(state, data.take(taken))
            # All processes have to take as many steps, and to stop after the same.
            lasted = time.perf_counter() - begun
            lasted, stopping = exchange.allgather_max(lasted, float(asked_to_stop()))
        pace.took(taken, lasted)
        if step == stop:
            progress(step / steps, _median(history.curves["loss"][:, step - 1]))
        if checkpoints is not None and (
            stopping
            or (step == steps and checkpoints.final)
            or (training.checkpoint_every and step % training.checkpoint_every == 0)
        ):
            with collective_timeout():
                checkpoints.save(Snapshot(step, state, data.get_state(), history))
        if stopping:
            saved = "which is saved" if checkpoints is not None else "and nothing is saved"
            raise TerminatedError(f"It was asked to stop after step {step} of {steps}, {saved}.")

    with collective_timeout():
        scores = exchange.process_allgather(compiled.evaluate(state, evaluated))
    inputs, _ = jax.eval_shape(task.split, batch)
    return Outcome(
        steps=steps,
        parameters=parameters,
        flops=3.0 * count(model.plain(), inputs).flops * steps,
        state=state,
        history=history.curves,
        held_out={name: values[: len(settings)] for name, values in scores.items()},
        measured_at=history.steps,
        measured=history.measured,
        seconds=time.perf_counter() - started,
        compile_seconds=compile_seconds,
        execution=f"{execution}, {_describe(devices.shape)}",
    )


def _next_stop(step: int, chunk: int, training: TrainingConfig, steps: int) -> int:
    """After which step there is something to tell, to save or to measure."""
    stops = [step + chunk, steps]
    for every in (training.checkpoint_every, training.spectrum_every):
        if every:
            stops.append((step // every + 1) * every)
    return min(stops)


def _median(losses: np.ndarray) -> float:
    finite = losses[np.isfinite(losses)]
    return float(np.median(finite)) if finite.size else float("nan")


def _stacked(batch: Batch, leading: tuple[int, ...], sharding: NamedSharding) -> Batch:
    """Shapes of batches with leading axes."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype, sharding=sharding),
        batch,
    )


def _padded(leaf: np.ndarray, length: int) -> np.ndarray:
    missing = length - leaf.shape[0]
    return np.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)) if missing else leaf


def _describe(shape: Any) -> str:
    always = (sharding.TRIAL, sharding.DATA)
    return " x ".join(
        f"{size} {name}" for name, size in shape.items() if name in always or size > 1
    )
