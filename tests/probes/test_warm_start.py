"""Four pairs of products from the last measurement's vectors, along a run of the built-in model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transfer import optim, pytree_paths
from transfer.models import TransformerConfig, initialize, model_layout
from transfer.probes import initial_vectors, measure_spectrum
from transfer.scaling import Hyperparameters, Recipe, Role
from transfer.training.task import NEXT_TOKEN

from .drawn import quick

MODEL = TransformerConfig(width=128, layers=2, vocabulary=64, dtype="float32")
LAYOUT, RECIPE = model_layout(MODEL, base_width=32), Recipe("mup")
# Ten steps at twice the best learning rate between two measurements: a hard case.
EVERY, WARMUP, STEPS = 10, 20, 80


def text(key):
    """Tokens (16, 17): after each one its successor, or now and then any."""
    successor = jnp.asarray(np.random.default_rng(0).permutation(64))

    def following(token, key):
        surprise, which = jax.random.uniform(key, (2, 16))
        token = jnp.where(surprise < 0.8, successor[token], (64 * which).astype(int))
        return token, token

    return jax.lax.scan(following, jnp.zeros(16, int), jax.random.split(key, 17))[1].T


@pytest.fixture(scope="module")
def trained():
    """The parameters at the start and after every ten steps."""
    one = Hyperparameters(learning_rate=1.0)
    parameters, multipliers = initialize(MODEL, LAYOUT, RECIPE, one, jax.random.key(0))
    shape = optim.schedule("constant", STEPS, WARMUP)
    optimizer = optim.adamw(
        lambda step: 2.0**-6 * shape(step), 0.1, layout=LAYOUT.parameters, recipe=RECIPE
    )
    loss = NEXT_TOKEN.loss(MODEL)

    @quick
    def train(state, key):
        def step(i, state):
            parameters, optimizer_state = state
            gradient, _ = jax.grad(loss, has_aux=True)(
                parameters, multipliers, {}, text(jax.random.fold_in(key, i)), training=True
            )
            updates, optimizer_state = optimizer.update(gradient, optimizer_state, parameters)
            return optax.apply_updates(parameters, updates), optimizer_state

        return jax.lax.fori_loop(0, EVERY, step, state)

    states = [(parameters, optimizer.init(parameters))]
    for i in range(STEPS // EVERY):
        states.append(train(states[-1], jax.random.key(i)))
    return [parameters for parameters, _ in states]


def largest(parameters):
    """The largest singular value of every matrix and layer, by path, in float64."""
    exact = {}
    for path, parameter in LAYOUT.parameters.items():
        if parameter.role == Role.HIDDEN:
            weight = np.asarray(pytree_paths.leaves(parameters)[path], np.float64)
            weight = weight.reshape(-1, parameter.fan_in, parameter.fan_out)
            if parameter.fan_in > parameter.fan_out:
                weight = weight.swapaxes(1, 2)
            # Of 128 x 128, this takes LAPACK no threads, which fight over cores that others use.
            exact[path] = np.linalg.eigvalsh(weight @ weight.swapaxes(1, 2))[:, -1] ** 0.5
    return exact


def errors(values, exact):
    """Relative errors of the largest value of every matrix and layer."""
    return np.concatenate([1 - values[path][:, 0] / exact[path] for path in exact])


def test_four_pairs_follow_a_run_within_2e_3(trained):
    @quick
    def measure(parameters, start):
        return measure_spectrum(parameters, LAYOUT.parameters, start, pairs=4)

    start = initial_vectors(LAYOUT.parameters, 4, jax.random.key(0))
    before = start
    for _ in range(4):
        before = measure(trained[0], before).vectors
    vectors = before
    warm, cold = [], []
    for parameters in trained[1:]:
        exact = largest(parameters)
        found = measure(parameters, vectors)
        vectors = found.vectors
        warm.append(errors(found.values, exact))
        cold.append(errors(measure(parameters, start).values, exact))

    # While the learning rate warms up, ten steps can replace a matrix's top direction.
    assert np.median(warm, axis=1).max() < 1e-3
    assert np.max(warm[WARMUP // EVERY :]) < 2e-3
    assert np.min(warm) > -1e-6
    # Without the vectors the same products are not enough, nor with those of the start of the run.
    assert np.median(cold, axis=1).min() > 1e-2
    stale = measure(trained[-1], before)
    assert np.median(errors(stale.values, exact)) > 10 * np.median(warm[-1])
