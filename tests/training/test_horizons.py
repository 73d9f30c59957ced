"""One trunk, many horizons: what is read off it is what runs of that length give."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from refusals import refused

from transfer.data import load_dataset
from transfer.scaling import Hyperparameters
from transfer.termination import TerminatedError
from transfer.training import Checkpoints, TrainingConfig, build_population, group_mesh
from transfer.training import train as train_group
from transfer.training.kept_programs import KeptPrograms
from transfer.training.memory import estimated_bytes, predict_memory
from transfer.training.weight_average import WeightAverage

from . import tiny
from .tiny import STEPS

train = functools.partial(tiny.train, kept=KeptPrograms(most=16))
TRUNK = {"schedule": "constant", "warmup": 2, "horizons": (10, 20), "branch_steps": 4}
POINTS = tuple((Hyperparameters(learning_rate=2.0**-n), seed) for n in (8, 7, 4) for seed in (0, 3))
# Programs of other runs fuse their arithmetic otherwise.
ROUNDING = {"rtol": 2e-5, "atol": 2e-6}


@pytest.fixture(scope="module")
def trunk():
    return train(**TRUNK)


def same(one, other):
    return jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(("place", "steps"), [(0, 10), pytest.param(1, 20, marks=pytest.mark.full)])
def test_a_branch_takes_the_steps_of_a_shorter_run_that_ends_in_a_decay(trunk, place, steps):
    alone = train(schedule="wsd", decay_steps=4, warmup=2, steps=steps)
    read = trunk.horizons
    assert read.steps == (10, 20)
    for name, values in read.branch.items():
        np.testing.assert_allclose(values[:, place], alone.held_out[name], **ROUNDING)
    for name, values in read.curves.items():
        np.testing.assert_allclose(values[:, place], alone.history[name][:, -4:], **ROUNDING)
    before = trunk.history["loss"][:, : steps - 4]
    np.testing.assert_allclose(before, alone.history["loss"][:, :-4], **ROUNDING)


def test_the_trunk_is_the_run_that_it_would_be_without_horizons(trunk):
    plain = train(schedule="constant", warmup=2)
    np.testing.assert_allclose(trunk.history["loss"], plain.history["loss"], **ROUNDING)
    np.testing.assert_allclose(trunk.held_out["loss"], plain.held_out["loss"], **ROUNDING)
    # A branch would have left another state behind, further down.
    assert (trunk.horizons.branch["loss"][:, 1] != trunk.held_out["loss"]).all()
    assert plain.horizons.to_tree() == {}


def test_the_average_is_of_the_weights_after_every_step():
    changes = {"schedule": "constant", "warmup": 0, "average_share": 0.5}
    one, two = (train(**changes, steps=steps, horizons=(1, steps)[:steps]) for steps in (1, 2))
    # With half of the steps as its mean age, all steps weigh the same.
    expected = jax.tree.map(lambda a, b: (a + b) / 2, one.state.parameters, two.state.parameters)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, **ROUNDING),
        two.state.average.parameters,
        expected,
    )
    # After the first step it is the weights themselves.
    np.testing.assert_allclose(two.horizons.average["loss"][:, 0], one.held_out["loss"], **ROUNDING)
    np.testing.assert_allclose(one.horizons.average["loss"][:, 0], one.held_out["loss"], **ROUNDING)


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_the_mean_age_of_an_average_is_its_share_of_the_steps(share):
    # The average of the numbers of the steps is the last one less the mean age.
    average = WeightAverage.start({"w": np.zeros((), np.float64)}, {}, on=True)
    for step in range(1, 401):
        values = {"w": np.float32(step)}
        average = average.updated(values, {}, np.int32(step), share)
        if step in (1, 7, 100, 400):
            age = step - float(average.parameters["w"])
            # Sums of 400 numbers in float32.
            assert age == pytest.approx(share * (step - 1), abs=2e-3)


def test_a_state_without_horizons_has_no_average_and_inputs_no_cooldown(trunk):
    plain = train(schedule="constant", warmup=2)
    assert jax.tree.leaves(plain.state.average) == []
    parameters = jax.tree.leaves(trunk.state.parameters)
    averages = jax.tree.leaves(trunk.state.average)
    assert [leaf.shape for leaf in averages] == [leaf.shape for leaf in parameters]
    assert [leaf.sharding for leaf in averages] == [leaf.sharding for leaf in parameters]
    tinies = [tiny.group(**changes) for changes in ({}, {**TRUNK, "branch_steps": 0}, TRUNK)]
    built = [build_population(each, group_mesh(each)) for each in tinies]
    assert [each.inputs.cooldown is None for each in built] == [True, True, False]


def test_the_prediction_of_memory_knows_of_the_average_and_of_the_trunk_beside_a_branch():
    plain, averaged, branched = (
        tiny.group(**changes) for changes in ({}, {**TRUNK, "branch_steps": 0}, TRUNK)
    )
    found = []
    for group in (plain, averaged, branched):
        built = build_population(group, group_mesh(group))
        held_out = built.eval_batches(2)
        compiled = built.population.compile(built.trials, built.batches, held_out)
        found.append(predict_memory(built, compiled, held_out))
    numbers = 128 * 16 + 16 * 16 + 16 * 128
    assert found[1].state == found[0].state + 4 * numbers
    assert found[2].state == found[1].state
    # What is held beside the program: hidden matrices without branches, the trunk with them.
    held = 3 * (found[2].state - 4 * 16 * 16)
    assert found[2].run - found[1].run == pytest.approx(held, abs=2000)
    estimates = [estimated_bytes(group, group_mesh(group)) for group in (plain, averaged, branched)]
    assert estimates == sorted(estimates)
    assert len(set(estimates)) == 3


@pytest.mark.parametrize(
    "looks",
    [
        look if look in (3, 5) else pytest.param(look, marks=pytest.mark.full)
        for look in range(1, 9)
    ],
)
def test_a_run_that_is_stopped_anywhere_resumes_to_the_same_bits(tmp_path, trunk, looks):
    """Also in the midst of a branch, which is then taken again from its start."""
    asked = iter([False] * (looks - 1) + [True] + [False] * 100)
    with (
        refused(STEPS, error=TerminatedError, recorded=False),
        Checkpoints(tmp_path) as checkpoints,
    ):
        train(checkpoints=checkpoints, asked_to_stop=lambda: next(asked), **TRUNK)
    with Checkpoints(tmp_path) as checkpoints:
        again = train(checkpoints=checkpoints, **TRUNK)
    same(trunk.history, again.history)
    same(trunk.horizons.to_tree(), again.horizons.to_tree())
    same(trunk.state, again.state)
    same(trunk.held_out, again.held_out)


@pytest.mark.parametrize("every", [pytest.param(5, marks=pytest.mark.full), 6])
def test_a_run_that_is_interrupted_resumes_from_a_checkpoint_of_the_trunk(tmp_path, trunk, every):
    """Five ends in the checkpoint of a horizon, six in one of the start of a branch."""

    def progress(fraction, loss):
        if round(fraction * STEPS) > 3 * every:
            raise KeyboardInterrupt

    changes = {**TRUNK, "checkpoint_every": every}
    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path) as checkpoints:
        train(checkpoints=checkpoints, progress=progress, **changes)
    assert max(int(each.name) for each in tmp_path.glob("*") if each.name.isdigit()) < STEPS
    with Checkpoints(tmp_path) as checkpoints:
        again = train(checkpoints=checkpoints, **changes)
    same(trunk.horizons.to_tree(), again.horizons.to_tree())
    same(trunk.held_out, again.held_out)


@pytest.mark.parametrize("execution", ["in_turn", "vectorized"])
def test_trials_that_do_not_survive_a_horizon_stop_there_and_touch_no_other(execution):
    group = tiny.group(POINTS, **TRUNK, execution=execution)
    whole = train_group(group, load_dataset(tiny.DATA))
    halved = dataclasses.replace(group, survivors=0.5)
    found = train_group(halved, load_dataset(tiny.DATA))

    losses = whole.horizons.average["loss"][:, 0].reshape(3, 2).mean(axis=1)
    worst = int(losses.argmax())
    expected = np.repeat(np.arange(3) == worst, 2)
    assert found.stopped.tolist() == expected.tolist()
    assert not found.diverged.any()
    assert [found.steps_taken(index) for index in range(6)] == np.where(expected, 10, 20).tolist()
    kept = ~expected
    np.testing.assert_allclose(
        found.held_out["loss"][kept], whole.held_out["loss"][kept], **ROUNDING
    )
    np.testing.assert_allclose(
        found.horizons.branch["loss"][kept], whole.horizons.branch["loss"][kept], **ROUNDING
    )
    # All have come to the first horizon, and none of the others' numbers is beyond it.
    np.testing.assert_allclose(
        found.horizons.average["loss"][:, 0], whole.horizons.average["loss"][:, 0], **ROUNDING
    )
    assert np.isnan(found.history["loss"][expected, 10:]).all()
    assert np.isfinite(found.history["loss"][expected, :10]).all()
    assert np.isnan(found.held_out["loss"][expected]).all()
    assert np.isnan(found.horizons.branch["loss"][expected, 1]).all()


def test_stopped_trials_resume_as_stopped(tmp_path):
    group = dataclasses.replace(
        tiny.group(POINTS, **TRUNK, execution="in_turn", checkpoint_every=13), survivors=0.5
    )
    dataset, kept = load_dataset(tiny.DATA), KeptPrograms()
    whole = train_group(group, dataset, kept=kept)

    def progress(fraction, loss):
        if round(fraction * STEPS) > 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path) as checkpoints:
        train_group(group, dataset, kept=kept, checkpoints=checkpoints, progress=progress)
    with Checkpoints(tmp_path) as checkpoints:
        again = train_group(group, dataset, kept=kept, checkpoints=checkpoints)
    assert whole.stopped.any()
    same(whole.history, again.history)
    same(whole.horizons.to_tree(), again.horizons.to_tree())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"horizons": (20, 10)}, ("training.horizons", "(20, 10)")),
        ({"horizons": (10, 10)}, ("training.horizons", "(10, 10)")),
        ({"horizons": (0, 10)}, ("training.horizons", "(0, 10)")),
        ({"horizons": (10, 30)}, ("training.horizons", 30, 20)),
        ({"schedule": "cosine"}, ("training.schedule", "cosine", "constant")),
        ({"schedule": "wsd", "decay_steps": 4}, ("training.schedule", "wsd", "constant")),
        ({"warmup": 6}, ("training.horizons", 10, 6, 4)),
        ({"branch_steps": 8}, ("training.horizons", 10, 2, 8)),
        ({"branch_steps": -1}, ("training.branch_steps", -1)),
        ({"horizons": (), "branch_steps": 4}, ("training.branch_steps", 4)),
        ({"average_share": 0.0}, ("training.average_share", 0.0)),
        ({"average_share": 0.6}, ("training.average_share", 0.6, 0.5)),
        ({"tokens_per_parameter": 2.0}, ("training.horizons", "training.tokens_per_parameter")),
    ],
)
def test_horizons_that_cannot_be_read_off_a_trunk_are_refused(changes, names):
    with refused(*names):
        TrainingConfig(**({"steps": STEPS} | TRUNK | changes))


def test_settings_of_horizons_name_no_trial_that_has_none():
    plain, other = tiny.group(), tiny.group(average_share=0.2)
    assert plain.name == other.name
    names = {tiny.group(**(TRUNK | changes)).name for changes in ({}, {"average_share": 0.2})}
    assert len(names | {plain.name}) == 3
