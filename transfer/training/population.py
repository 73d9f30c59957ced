"""The compiled program that trains a population: the trials of one shape.

Recipe, learning rate, decay, multipliers and seed are data along a leading `trial` axis, so one
compilation serves every trial. The axis is split over the mesh by a manual `shard_map` (which
leaves the other mesh axes to the compiler); the trials of one device are vectorized, or run in
turn.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transfer import optim, probes, pytree_paths, sharding
from transfer.models import (
    Arrays,
    ModelConfig,
    ModelLayout,
    initial_statistics,
    initialize,
)
from transfer.sharding import collectives
from transfer.training.config import TrainingConfig
from transfer.training.cooldown import cooled
from transfer.training.inputs import TrialInputs
from transfer.training.lazy_program import LazyProgram
from transfer.training.measure import EXAMPLES, RANKS, Measured, hidden, measure
from transfer.training.noise_scale import CURVE
from transfer.training.state import State
from transfer.training.task import Batch, Loss, Task
from transfer.training.weight_average import WeightAverage


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The programs of a population.

    Fields:
      state: shapes, dtypes and shardings of the state.
      init: trials to their initial state.
      run: state (which it consumes), trials, batches (chunk, seeds, batch, ...) and how many of the
        chunk to take; returns the new state and, per trial and step of the chunk, what
        `TrainingConfig.curves` names, NaN beyond the steps taken.
      evaluate: state, trials and batches (n, batch, ...) to the mean of every metric per trial.
      hidden: state to copies of its hidden weights by path, which outlive it.
      copy: state to a copy of it, which outlives it.
      measure: state, trials, the hidden weights one step earlier and batches (n, batch, ...) to the
        next measurement's first vectors and what was measured of each hidden matrix: `spectrum`,
        the top singular values (trial, *stack, rank) of the effective weight, their `bounds`, and
        (trial, *stack) its `gain`, `alignment`, `stable_rank` and `rms`, and the relative `update`.
    """

    state: State
    init: LazyProgram
    run: LazyProgram
    evaluate: LazyProgram
    hidden: LazyProgram
    copy: LazyProgram
    measure: LazyProgram

    @property
    def measured(self) -> Any:
        """Shapes and dtypes of what is measured."""
        _, measured = self.measure.results
        return measured

    def begin(self) -> Iterator[None]:
        """Trace all but `init`, in the order in which a run needs them, and let them compile.

        Yields after each, since tracing one may take a second.
        """
        for program in (self.run, self.measure, self.hidden, self.evaluate):
            program.begin()
            yield

    def wait(self) -> None:
        """Return once all are compiled."""
        for program in (self.run, self.measure, self.hidden, self.evaluate, self.init):
            program.begin()
        for program in (self.run, self.measure, self.hidden, self.evaluate, self.init):
            program.wait()


@dataclasses.dataclass(frozen=True)
class Population:
    """How a population is initialized, trained and measured; `compile` makes it run.

    Arguments:
      model, layout, training: what is trained and how.
      steps: length of a run, which the schedule needs.
      task: what it is trained to do, which gives the loss.
      mesh: from `make_mesh`; its trial axis divides the number of trials.
      execution: `vectorized` or `in_turn`.
    """

    model: ModelConfig
    layout: ModelLayout
    training: TrainingConfig
    steps: int
    task: Task
    mesh: Mesh
    execution: str

    def compile(self, trials: TrialInputs, batches: Batch, eval_batches: Batch) -> "Compiled":
        """Return the programs, which are traced and compiled when that is begun or they are called.

        Both kinds of batches are trees of `jax.ShapeDtypeStruct`.
        """
        trial, state = sharding.per_trial(self.mesh), self._shapes(trials)
        hidden = self._hidden(state.parameters)
        pool = ThreadPoolExecutor()

        def program(function: Callable[..., Any], results: Any, *given: Any) -> LazyProgram:
            return LazyProgram(lambda: jax.jit(function, out_shardings=results).lower(*given), pool)

        measured = (_shardings(state.vectors), trial)
        return Compiled(
            state=state,
            init=program(self._init, _shardings(state), trials),
            run=LazyProgram(lambda: self.lower_run(trials, batches), pool),
            evaluate=program(self._evaluate, trial, state, trials, eval_batches),
            hidden=program(self._copy_hidden, _shardings(hidden), state),
            copy=program(_copied, _shardings(state), state),
            measure=program(self._measure, measured, state, trials, hidden, eval_batches),
        )

    def lower_run(self, trials: TrialInputs, batches: Batch) -> jax.stages.Lowered:
        """Trace `run` of `Compiled` alone; all that is given may be `jax.ShapeDtypeStruct`."""
        trial, state = sharding.per_trial(self.mesh), self._shapes(trials)
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        count = jax.ShapeDtypeStruct((), jnp.int32, sharding=everywhere)
        program = jax.jit(self._run, donate_argnums=(0,), out_shardings=(_shardings(state), trial))
        return program.lower(state, trials, batches, count)

    def _shapes(self, trials: TrialInputs) -> State:
        """The state before anything is allocated, and how it lies."""
        shapes = jax.eval_shape(self._init, trials)
        laid_out = dataclasses.replace(
            sharding.state_shardings(shapes, self.layout.parameters, self.mesh),
            vectors={
                path: sharding.spread(leaf, self.mesh) for path, leaf in shapes.vectors.items()
            },
        )
        return jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            shapes,
            laid_out,
        )

    def _init(self, trials: TrialInputs) -> State:
        def one(trial: TrialInputs, nothing: None) -> State:
            del nothing
            parameters, multipliers = initialize(
                self.model,
                self.layout,
                trial.recipe,
                trial.hyperparameters,
                jax.random.key(trial.seed, impl="threefry2x32"),
                at_once=self._is_whole,
            )
            statistics = initial_statistics(self.model)
            return State(
                step=jnp.zeros((), jnp.int32),
                parameters=parameters,
                multipliers=multipliers,
                statistics=statistics,
                optimizer=self._optimizer(trial).init(parameters),
                vectors=probes.tracked_vectors(self.layout.parameters, RANKS, jax.random.key(0)),
                average=WeightAverage.start(
                    parameters, statistics, on=bool(self.training.horizons)
                ),
            )

        return self._over_trials(one, trials, None)

    def _run(
        self, state: State, trials: TrialInputs, batches: Batch, count: jax.Array
    ) -> tuple[State, dict[str, jax.Array]]:
        def one(
            trial: TrialInputs, state: State, batches: Batch, count: jax.Array
        ) -> tuple[State, dict[str, jax.Array]]:
            chunk, *_ = jax.tree.leaves(batches)[0].shape
            empty = jnp.full((chunk,), jnp.nan, jnp.float32)

            # A loop of traced length serves the last, shorter chunk without compiling again.
            def body(i: jax.Array, carry: Any) -> Any:
                state, history = carry
                batch = jax.tree.map(lambda leaf: leaf[i, trial.stream], batches)
                state, measured = self._step(state, trial, batch)
                return state, {
                    name: history[name].at[i].set(measured[name].astype(jnp.float32))
                    for name in history
                }

            curves = dict.fromkeys(self.training.curves, empty)
            return jax.lax.fori_loop(0, count, body, (state, curves))

        return self._over_trials(one, trials, state, batches, count)

    def _step(
        self, state: State, trial: TrialInputs, batch: Batch
    ) -> tuple[State, dict[str, jax.Array]]:
        noise: dict[str, jax.Array] = {}
        if self.training.noise_scale:
            loss, gradients, statistics, difference = self._in_halves(state, batch)
            noise[CURVE] = optim.gradient_norm(difference, self.layout.parameters, trial.recipe)
        else:
            loss, gradients, statistics = self._loss_and_gradients(state, batch)
        updates, optimizer = self._optimizer(trial).update(
            gradients, state.optimizer, state.parameters
        )
        measured = {
            "loss": loss,
            "grad_norm": optim.gradient_norm(gradients, self.layout.parameters, trial.recipe),
            **noise,
        }
        step, parameters = state.step + 1, optax.apply_updates(state.parameters, updates)
        return State(
            step=step,
            parameters=parameters,
            multipliers=state.multipliers,
            statistics=statistics,
            optimizer=optimizer,
            vectors=state.vectors,
            average=state.average.updated(
                parameters, statistics, step, self.training.average_share
            ),
        ), measured

    def _loss_and_gradients(self, state: State, batch: Batch) -> tuple[jax.Array, Arrays, Arrays]:
        """The mean loss of a batch, its gradients, and the statistics after it."""
        value_and_grad = jax.value_and_grad(self._loss(), has_aux=True)

        def of(statistics: Arrays, part: Batch) -> tuple[jax.Array, Arrays, Arrays]:
            (loss, (_, statistics)), gradients = value_and_grad(
                state.parameters, state.multipliers, statistics, part, training=True
            )
            return loss, self._as_stored(gradients), statistics

        parts = self.training.microbatches
        if parts == 1:
            return of(state.statistics, batch)

        def add(carry: Any, part: Batch) -> tuple[Any, None]:
            *sums, statistics = carry
            *new, statistics = of(statistics, part)
            return (*jax.tree.map(jnp.add, sums, new), statistics), None

        zeros = self._as_stored(jax.tree.map(jnp.zeros_like, state.parameters))
        start = (jnp.zeros((), jnp.float32), zeros, state.statistics)
        (loss, gradients, statistics), _ = jax.lax.scan(add, start, self._parts(batch))
        return loss / parts, jax.tree.map(lambda each: each / parts, gradients), statistics

    def _in_halves(self, state: State, batch: Batch) -> tuple[jax.Array, Arrays, Arrays, Arrays]:
        """As `_loss_and_gradients`, and half the difference of the gradients of two halves."""

        def half(statistics: Arrays, part: Batch) -> tuple[Arrays, tuple[jax.Array, Arrays]]:
            before = dataclasses.replace(state, statistics=statistics)
            loss, gradients, statistics = self._loss_and_gradients(before, part)
            return statistics, (loss, gradients)

        halves = self._parts(batch, 2)
        statistics, (losses, gradients) = jax.lax.scan(half, state.statistics, halves)
        mean, difference = (
            jax.tree.map(lambda each, sign=sign: (each[0] + sign * each[1]) / 2, gradients)
            for sign in (1, -1)
        )
        return losses.mean(), mean, statistics, difference

    def _parts(self, batch: Batch, parts: int = 0) -> Batch:
        """The batch (parts, examples, ...), by default in those that pass through the model."""
        parts = parts or self.training.microbatches
        # Neighbors go to different parts, so that every device holds some of each part.
        return jax.tree.map(
            lambda leaf: leaf.reshape(-1, parts, *leaf.shape[1:]).swapaxes(0, 1), batch
        )

    def _loss(self) -> Loss:
        """The task's loss, with arrays on the mesh where its rules put them."""
        loss = self.task.loss(self.model)

        def laid_out(
            parameters: Arrays,
            multipliers: Arrays,
            statistics: Arrays,
            batch: Batch,
            *,
            training: bool,
        ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Arrays]]:
            with collectives.use_rules(sharding.Rules(self.mesh)):
                return loss(parameters, multipliers, statistics, batch, training=training)

        return laid_out

    def _as_stored(self, parameters: Arrays) -> Arrays:
        """A tree of the parameters' shapes, laid out as they are."""
        return pytree_paths.map_leaves(
            lambda path, leaf: jax.lax.with_sharding_constraint(
                leaf, sharding.parameter_spec(self.layout.parameters[path], self.mesh)
            ),
            parameters,
        )

    def _evaluate(self, state: State, trials: TrialInputs, batches: Batch) -> dict[str, jax.Array]:
        loss = self._loss()

        def one(trial: TrialInputs, state: State, batches: Batch) -> dict[str, jax.Array]:
            del trial
            model = (state.parameters, state.multipliers, state.statistics)

            def metrics(part: Batch) -> dict[str, jax.Array]:
                _, (measured, _) = loss(*model, part, training=False)
                return measured

            def mean(batch: Batch) -> dict[str, jax.Array]:
                if self.training.microbatches == 1:
                    return metrics(batch)
                return jax.tree.map(jnp.mean, jax.lax.map(metrics, self._parts(batch)))

            return jax.tree.map(jnp.mean, jax.lax.map(mean, batches))

        return self._over_trials(one, trials, state, batches)

    def _hidden(self, parameters: Arrays) -> dict[str, jax.Array]:
        return hidden(parameters, self.layout.parameters)

    def _copy_hidden(self, state: State) -> dict[str, jax.Array]:
        return _copied(self._hidden(state.parameters))

    def _measure(
        self,
        state: State,
        trials: TrialInputs,
        earlier: dict[str, jax.Array],
        batches: Batch,
    ) -> tuple[dict[str, jax.Array], Measured]:
        def one(
            trial: TrialInputs, both: tuple[State, dict[str, jax.Array]], batches: Batch
        ) -> tuple[dict[str, jax.Array], Measured]:
            state, earlier = both
            inputs, _ = self.task.split(jax.tree.map(lambda leaf: leaf[0, :EXAMPLES], batches))
            # Vectors are stored sharded, and replicated on every device while they are refined.
            vectors = jax.lax.with_sharding_constraint(state.vectors, PartitionSpec())
            others = (state.multipliers, state.statistics)
            # With so few examples, move activations to the sharded weights and gather nothing.
            with collectives.use_rules(sharding.Rules(self.mesh, gathers=False)):
                return measure(
                    self.model,
                    self.layout.parameters,
                    trial.recipe,
                    state.parameters,
                    others,
                    earlier,
                    vectors,
                    inputs,
                    together=self.mesh.shape[sharding.FSDP] * self.mesh.shape[sharding.TENSOR] == 1,
                )

        return self._over_trials(one, trials, (state, earlier), batches)

    def _optimizer(self, trial: TrialInputs) -> optax.GradientTransformation:
        training, tuned = self.training, trial.hyperparameters
        shape = optim.schedule(training.schedule, self.steps, training.warmup, training.decay_steps)
        shape = cooled(shape, trial.cooldown)
        return training.make_optimizer(
            lambda step: tuned.learning_rate * shape(step),
            tuned.weight_decay,
            **trial.settings,
            layout=self.layout.parameters,
            recipe=trial.recipe,
            clip=training.clip or None,
            input_learning_rate=tuned.input_learning_rate,
            readout_learning_rate=tuned.readout_learning_rate,
        )

    @property
    def _is_whole(self) -> bool:
        """Whether every device of a trial holds all of its parameters."""
        return self.mesh.shape[sharding.FSDP] * self.mesh.shape[sharding.TENSOR] == 1

    def _over_trials(
        self, one: Callable[..., Any], trials: TrialInputs, mapped: Any, *shared: Any
    ) -> Any:
        """Map one(trial, what it has of `mapped`, *shared) over the trials."""

        def local(both: Any, *shared: Any) -> Any:
            if self.execution == "vectorized":
                return jax.vmap(lambda pair: one(*pair, *shared))(both)
            return jax.lax.map(lambda pair: _if_live(one, *pair, *shared), both)

        trial = PartitionSpec(sharding.TRIAL)
        return jax.shard_map(
            local,
            mesh=self.mesh,
            in_specs=(trial, *(PartitionSpec() for _ in shared)),
            out_specs=trial,
            axis_names={sharding.TRIAL},
            check_vma=False,
        )((trials, mapped), *shared)


def _if_live(one: Callable[..., Any], trial: TrialInputs, *others: Any) -> Any:
    """The results of one(trial, *others), or zeros, at once, for what only fills up the program."""
    results = jax.eval_shape(one, trial, *others)
    return jax.lax.cond(
        trial.live,
        lambda: one(trial, *others),
        lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), results),
    )


def _copied(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


def _shardings(shapes: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.sharding, shapes)
