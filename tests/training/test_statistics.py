"""Batch statistics in a population: those of each trial, of whole batches, kept and resumed."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from compilation import QUICK

from transfer.models import initial_statistics, stateful_pass
from transfer.scaling import Hyperparameters
from transfer.training import Checkpoints, Snapshot, restore_parameters
from transfer.training.config import EXECUTIONS
from transfer.training.history import History
from transfer.training.task import CLASSIFICATION

from . import four_devices_images, images
from .images import HELD_OUT, MODEL, SETTINGS, STEPS, train
from .tiny import Tiny

# Rounding of sums in another order, about 1e-7 a step, over 20 steps that do not amplify it.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
STILL = (Hyperparameters(learning_rate=1e-30), 0)


@pytest.fixture(scope="module", params=EXECUTIONS)
def execution(request):
    return request.param


@pytest.fixture(scope="module")
def together(execution):
    return train(execution=execution)


@pytest.fixture(scope="module")
def still():
    """A model that does not learn, so that its statistics can be replayed batch by batch."""
    state, measured = train([STILL])
    return jax.tree.map(lambda leaf: leaf[0], state), measured


def assert_close(one, other, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), one, other)


def replay(state, batches):
    """The running averages by their definition, from the moments of each whole or partial batch."""
    apply = stateful_pass(MODEL)
    zeros = jax.tree.map(np.zeros_like, state.statistics)
    # From averages of 0 one batch leaves a tenth of its moments.
    moments = jax.jit(
        lambda x: apply(state.parameters, state.multipliers, zeros, x, training=True)[1]
    )
    averages = initial_statistics(MODEL)
    for parts in batches:
        found = [moments(part) for part in parts]
        averages = jax.tree.map(
            lambda old, *new: 0.9 * old + np.mean(new, axis=0), averages, *found
        )
    return averages


@pytest.mark.sampled
@pytest.mark.parametrize("index", range(len(SETTINGS)))
def test_a_trial_trained_with_others_equals_the_same_trial_alone(together, execution, index):
    state, measured = together
    state_alone, alone = train(SETTINGS[index : index + 1], execution=execution)

    for name, values in alone.items():
        np.testing.assert_allclose(measured[name][index], values[0], **CLOSE)
    for kind in ("statistics", "parameters"):
        one, other = (getattr(each, kind) for each in (state, state_alone))
        assert_close(
            jax.tree.map(lambda leaf: leaf[index], one),
            jax.tree.map(lambda leaf: leaf[0], other),
            **CLOSE,
        )


def test_the_trials_compared_have_statistics_of_their_own(together):
    state, _ = together
    for leaf in jax.tree.leaves(state.statistics):
        assert leaf.dtype == np.float32
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert np.max(np.abs(leaf[one] - leaf[other])) > 1e2 * CLOSE["atol"]


def test_they_are_the_running_averages_of_the_batches_seen(still):
    state, _ = still
    expected = replay(state, images.images(0)["image"][:, None])
    assert_close(state.statistics, expected, **CLOSE)


def test_held_out_batches_are_normalised_by_them_and_leave_them_alone(still):
    state, measured = still
    model = (state.parameters, state.multipliers, state.statistics)
    loss = jax.jit(CLASSIFICATION.loss(MODEL), static_argnames="training")
    batches = [{name: leaf[i] for name, leaf in HELD_OUT.items()} for i in range(2)]
    by_averages, after = zip(*(loss(*model, each, training=False) for each in batches), strict=True)
    by_batch, moved = zip(*(loss(*model, each, training=True) for each in batches), strict=True)

    assert measured["eval_loss"][0] == pytest.approx(np.mean(by_averages), rel=1e-6)
    assert abs(np.mean(by_batch) / np.mean(by_averages) - 1) > 1e-3
    jax.tree.map(np.testing.assert_array_equal, after[0][1], state.statistics)
    for one, other in zip(
        jax.tree.leaves(moved[0][1]), jax.tree.leaves(state.statistics), strict=True
    ):
        assert np.max(np.abs(one - other)) > 1e-3


def test_they_are_resumed_from_a_checkpoint_to_the_bit(tmp_path):
    compiled, trials, batches = images.population(SETTINGS)
    half = STEPS // 2
    whole, _ = images.run(compiled, compiled.init(trials), trials, batches)
    first, _ = images.run(compiled, compiled.init(trials), trials, batches, half)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Snapshot(half, first, {}, History.empty(3, (half,), {})))
    with Checkpoints(tmp_path) as checkpoints:
        snapshot = checkpoints.restore(compiled.init(trials), History.empty(3, (half,), {}))
    assert snapshot is not None
    jax.tree.map(np.testing.assert_array_equal, snapshot.state, first)

    rest = jax.tree.map(
        lambda leaf: jax.device_put(np.roll(leaf, -half, axis=0), leaf.sharding), batches
    )
    last, _ = images.run(compiled, snapshot.state, trials, rest, half)
    jax.tree.map(np.testing.assert_array_equal, last, whole)
    # A run resumed without them ends with others.
    forgot = dataclasses.replace(first, statistics=compiled.init(trials).statistics)
    last, _ = images.run(compiled, forgot, trials, rest, half)
    for one, other in zip(
        jax.tree.leaves(last.statistics), jax.tree.leaves(whole.statistics), strict=True
    ):
        assert np.max(np.abs(one - other)) > 1e-2


def test_a_model_with_lists_of_layers_is_restored_as_it_was(tmp_path):
    compiled, trials, _ = images.population(SETTINGS[:1])
    state = compiled.init(trials)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Snapshot(1, state, {}, History.empty(1, (1,), {})))
    restored = restore_parameters(tmp_path)
    trained = state.parameters, state.multipliers
    jax.tree.map(lambda one, all: np.testing.assert_array_equal(one, all[0]), restored, trained)


def test_a_model_without_batch_norm_has_none():
    assert initial_statistics(Tiny()) == {}
    assert initial_statistics(dataclasses.replace(MODEL, norm="layer")) == {}


@pytest.fixture(scope="module")
def on_four_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four_devices_images")
    subprocess.run(
        [sys.executable, "-m", four_devices_images.__name__, str(folder)],
        cwd=pathlib.Path(__file__).parents[1],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4", "XLA_FLAGS": QUICK},
        check=True,
    )
    leaves = np.load(folder / "state.npz")
    return json.loads((folder / "said.json").read_text()), [leaves[name] for name in leaves.files]


@pytest.mark.multidevice
def test_on_four_devices_they_are_those_of_the_whole_batch(on_four_devices, still):
    said, leaves = on_four_devices
    state, measured = still

    assert said["mesh"] == {"trial": 1, "data": 4, "fsdp": 1, "tensor": 1}
    expected = jax.tree.leaves(state.statistics)
    assert_close(leaves, expected, **CLOSE)
    np.testing.assert_allclose(said["eval_loss"], measured["eval_loss"], **CLOSE)

    # Those of each device's own quarter, averaged, are others: their variances are smaller.
    images_of = images.images(0)["image"]
    quarters = images_of.reshape(STEPS, 4, -1, *images_of.shape[2:])
    apart = jax.tree.leaves(replay(state, quarters))
    assert max(np.max(np.abs(a / b - 1)) for a, b in zip(apart, expected, strict=True)) > 0.1
