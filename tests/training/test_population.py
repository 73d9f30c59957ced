import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest
from refusals import refused

from transfer import sharding
from transfer.data import load_dataset
from transfer.models import model_layout
from transfer.scaling import Hyperparameters
from transfer.scaling.hyperparameters import NAMES
from transfer.sharding import MeshConfig
from transfer.training import (
    BaseSizes,
    Population,
    TrainingConfig,
    TrialInputs,
    build_population,
    group_mesh,
)
from transfer.training import train as train_group
from transfer.training.config import EXECUTIONS
from transfer.training.kept_programs import KeptPrograms
from transfer.training.task import NEXT_TOKEN

from . import tiny
from .sharded import TRANSFORMER, initial
from .sharded import train as train_sharded
from .tiny import BASE_WIDTH, DATA, LOG_EVERY, RECIPE, SETTINGS, STEPS, Tiny, group, specs

# Rounding of sums in another order, about 1e-7 a step, over 20 steps that do not amplify it.
CLOSE = {"rtol": 1e-5}
NEXT = SETTINGS[1][0]
# Trials of which one has no finite loss but its first.
WILD = (dataclasses.replace(NEXT, learning_rate=np.inf), 0)
DIVERGING = (SETTINGS[0], WILD, SETTINGS[2])
train = functools.partial(tiny.train, kept=KeptPrograms(most=16))


@pytest.fixture(scope="module", params=EXECUTIONS)
def execution(request):
    return request.param


@pytest.fixture(scope="module")
def together(execution):
    return train(execution=execution)


def measurements(outcome):
    return {
        **outcome.history,
        "eval_loss": outcome.held_out["loss"],
        **outcome.spectrum,
        **{
            jax.tree_util.keystr(keys): np.asarray(leaf)
            for keys, leaf in jax.tree_util.tree_leaves_with_path(outcome.state)
        },
    }


@pytest.mark.sampled
@pytest.mark.parametrize("index", range(len(SETTINGS)))
def test_a_trial_trained_with_others_equals_the_same_trial_alone(together, execution, index):
    alone = train(SETTINGS[index : index + 1], execution=execution)

    assert alone.history["loss"].shape == (1, STEPS)
    for name, values in alone.history.items():
        np.testing.assert_allclose(together.history[name][index], values[0], **CLOSE)
    np.testing.assert_allclose(together.held_out["loss"][index], alone.held_out["loss"][0], **CLOSE)
    for path, values in alone.spectrum.items():
        np.testing.assert_allclose(together.spectrum[path][index], values[0], **CLOSE)


def test_the_trials_compared_differ_by_far_more_than_the_tolerance(together):
    for one, other in itertools.combinations(together.history["loss"], 2):
        assert np.max(np.abs(one / other - 1)) > 1e3 * CLOSE["rtol"]


def test_vectorised_trials_equal_trials_in_turn():
    vectorized, in_turn = (train(execution=each) for each in EXECUTIONS)

    assert vectorized.execution.startswith("vectorized, 1 trial")
    assert in_turn.execution.startswith("in_turn, 1 trial")
    for name, values in in_turn.history.items():
        np.testing.assert_allclose(vectorized.history[name], values, **CLOSE)
    np.testing.assert_allclose(vectorized.held_out["loss"], in_turn.held_out["loss"], **CLOSE)


@pytest.mark.parametrize("rate", [1e30, np.inf])
def test_a_diverging_trial_is_marked_and_changes_no_bit_of_its_neighbours(
    together, execution, rate
):
    wild = (dataclasses.replace(NEXT, learning_rate=rate), 0)
    outcome = train([SETTINGS[0], wild, SETTINGS[2]], execution=execution)

    assert outcome.diverged.tolist() == [False, True, False]
    assert together.diverged.tolist() == [False, False, False]
    expected = measurements(together)
    for name, values in measurements(outcome).items():
        np.testing.assert_array_equal(values[[0, 2]], expected[name][[0, 2]], err_msg=name)


def test_a_history_has_every_step_of_every_trial_and_shows_where_one_diverged(execution):
    outcome = train(DIVERGING, execution=execution)

    assert outcome.steps == STEPS
    assert set(outcome.history) == {"loss", "grad_norm"}
    for values in outcome.history.values():
        assert values.shape == (3, STEPS)
        assert values.dtype == np.float32
        assert np.isfinite(values[[0, 2]]).all()
    # The first loss is that of the init, which no learning rate has touched.
    assert np.isfinite(outcome.history["loss"][1, 0])
    assert not np.isfinite(outcome.history["loss"][1, 2:]).any()
    assert np.isfinite(outcome.held_out["loss"]).tolist() == [True, False, True]


def test_a_seed_has_its_own_batches_and_a_trial_sees_those_of_its_seed(execution):
    frozen = Hyperparameters(learning_rate=1e-30)
    louder = dataclasses.replace(frozen, readout_output=2.0)
    # Not in order, so that a trial is not simply given the stream of its own place.
    outcome = train([(frozen, 7), (louder, 0), (frozen, 7)], execution=execution)
    loss = NEXT_TOKEN.loss(Tiny())

    def losses(trial, seed):
        of_trial = jax.tree.map(
            lambda leaf: leaf[trial], (outcome.state.parameters, outcome.state.multipliers)
        )
        batches = load_dataset(DATA).batches(seed)
        of_batch = jax.vmap(lambda batch: loss(*of_trial, {}, batch, training=True)[0])
        return np.asarray(of_batch(np.stack(list(itertools.islice(batches, STEPS)))))

    for trial, seed, other in ((0, 7, 0), (1, 0, 7), (2, 7, 0)):
        measured = outcome.history["loss"][trial]
        np.testing.assert_allclose(measured, losses(trial, seed), **CLOSE)
        assert np.max(np.abs(measured / losses(trial, other) - 1)) > 1e-3


def test_trials_of_one_seed_have_one_init_and_another_seed_has_another(execution):
    frozen = Hyperparameters(learning_rate=1e-30)
    outcome = train([(frozen, 7), (frozen, 0), (frozen, 7)], execution=execution)

    for leaf in jax.tree.leaves(outcome.state.parameters):
        np.testing.assert_array_equal(leaf[0], leaf[2])
        assert np.mean(np.asarray(leaf[0]) == np.asarray(leaf[1])) < 0.01
    np.testing.assert_array_equal(outcome.history["loss"][0], outcome.history["loss"][2])


def test_every_hyperparameter_changes_what_is_learnt():
    base = Hyperparameters(learning_rate=2.0**-6, weight_decay=0.1)
    changed = [dataclasses.replace(base, **{name: 2 * getattr(base, name)}) for name in NAMES]
    losses = train([(each, 0) for each in (base, *changed)]).held_out["loss"]

    # Far above rounding; decay is the weakest, with twice a hundredth lost over the run.
    assert dict(zip(NAMES, np.abs(losses[1:] / losses[0] - 1) > 1e-5, strict=True)) == (
        dict.fromkeys(NAMES, True)
    )
    assert len(set(losses.tolist())) == len(losses)


@pytest.mark.parametrize(
    ("optimizer", "factors", "averages"),
    [
        # Four times the batch at as many tokens: lr and decay x 2, 1 - beta x 4, epsilon / 2.
        ("adamw", (2.0, 2.0), {"b1": 0.6, "b2": 0.8, "epsilon": 5e-9}),
        ("sgd", (4.0, 1.0), {}),
    ],
)
def test_another_horizon_is_another_optimizer(optimizer, factors, averages):
    """Rates, betas and epsilon written out by hand are the same run; momentum stays."""
    rate, decay = factors
    base = Hyperparameters(learning_rate=2.0**-8, weight_decay=0.1)
    by_hand = Hyperparameters(learning_rate=rate * 2.0**-8, weight_decay=decay * 0.1)
    horizon = {
        "recipe": dataclasses.replace(RECIPE, horizon="sde"),
        "base": BaseSizes(width=BASE_WIDTH, batch_size=DATA.batch_size // 4),
    }
    ruled = train([(base, 0)], optimizer=optimizer, **horizon)
    written = train([(by_hand, 0)], optimizer=optimizer, **averages)
    unruled = train([(base, 0)], optimizer=optimizer)
    # The betas differ by a rounding, 1e-16; that of a loss is 1e-7.
    np.testing.assert_allclose(ruled.held_out["loss"], written.held_out["loss"], rtol=1e-6)
    assert abs(ruled.held_out["loss"] / unruled.held_out["loss"] - 1) > 1e-3


def test_a_batch_size_without_a_rule_is_refused():
    with refused("horizon", 4):
        train(base=BaseSizes(width=BASE_WIDTH, batch_size=2))


def test_what_fills_up_a_program_does_nothing_and_changes_nothing(together, execution):
    # In a vectorized program an empty slot would take as long as a trial, so it has none.
    empty = 0 if execution == "vectorized" else 2
    roomy = dataclasses.replace(group(execution=execution), slots=5)
    built = build_population(roomy, group_mesh(roomy))
    assert built.inputs.live.tolist() == [True] * 3 + [False] * empty

    outcome = train_group(roomy, load_dataset(DATA))
    for name, values in measurements(together).items():
        np.testing.assert_array_equal(measurements(outcome)[name][:3], values, err_msg=name)
    assert outcome.state.step.tolist() == [STEPS] * 3 + [0] * empty


def test_steps_beyond_those_taken_are_nan_and_leave_the_state_alone():
    config = TrainingConfig(steps=STEPS, warmup=4, log_every=LOG_EVERY)
    mesh = sharding.make_mesh(trials=len(SETTINGS), batch_size=DATA.batch_size)
    layout = model_layout(Tiny(), BASE_WIDTH)
    population = Population(Tiny(), layout, config, STEPS, NEXT_TOKEN, mesh, "in_turn")
    trials, seeds = TrialInputs.of(specs(SETTINGS), layout, config)
    trials = jax.device_put(trials, sharding.per_trial(mesh))
    shape = (len(seeds), DATA.batch_size, DATA.sequence_length + 1)
    tokens = jax.device_put(np.zeros((LOG_EVERY, *shape), np.int32), sharding.batches(mesh))
    held_out = load_dataset(DATA).eval_batches().shape
    compiled = population.compile(
        trials,
        jax.ShapeDtypeStruct(tokens.shape, np.int32, sharding=sharding.batches(mesh)),
        jax.ShapeDtypeStruct(held_out, np.int32, sharding=sharding.eval_batches(mesh)),
    )
    state, measured = compiled.run(compiled.init(trials), trials, tokens, np.int32(3))

    for values in measured.values():
        assert np.isfinite(values[:, :3]).all()
        assert np.isnan(values[:, 3:]).all()
    assert state.step.tolist() == [3, 3, 3]


def test_progress_is_the_median_loss_of_the_trials_that_have_one():
    def watch(settings):
        told = []
        outcome = train(settings, progress=lambda *words: told.append(words))
        assert [fraction for fraction, _ in told] == [8 / 20, 16 / 20, 1.0]
        return [loss for _, loss in told], outcome.history["loss"][:, [7, 15, 19]]

    told, losses = watch(SETTINGS)
    assert told == pytest.approx(np.median(losses, axis=0))

    told, losses = watch(DIVERGING)
    assert told == pytest.approx((losses[0] + losses[2]) / 2)

    told, _ = watch([WILD, WILD, (WILD[0], 3)])
    assert np.isnan(told).all()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_what_is_no_seed_is_refused(seed):
    with refused("seed", seed):
        train([(NEXT, seed)])


def test_a_step_takes_the_place_of_the_state_before_it():
    """Or a device would hold two states, and train models of half the size."""
    program = train_sharded(TRANSFORMER, MeshConfig(), 2, initial(TRANSFORMER, 2)).program
    state, *_ = program.in_avals[0]
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert program.memory_analysis().alias_size_in_bytes >= size
