"""On pure noise, runs of different batch sizes end alike where the rule says so.

The gradient is noise of variance 1 / batch, so parameters are a random walk that decay holds back;
compared are their variances at equal epochs, over many independent coordinates.
"""

import dataclasses
import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import pytest
from compilation import OPTIMIZED

from transfer import optim
from transfer.scaling import Annotated, Axes, Horizon, Layout, Recipe

SIDE = 2**8
# The ratio of two variances scatters by 2 / SIDE, 0.8%; five of that, and 1% for steps that are
# longer beside all time constants.
ALIKE = 0.05
# What a factor left out has to show.
APART = 0.15
# Half a decay time, with averages that look back over an eighth of it, and an epsilon of nearly the
# size of the gradients.
STEPS, BATCH = 1600, 64
ADAMW = {"b1": 0.995, "b2": 0.995, "eps": 0.05}
LEARNING_RATE, WEIGHT_DECAY = 0.002, 0.15
LAYOUT = Layout.compare(
    **{
        width: {"w": Annotated(axes=Axes.parse("embed -> embed"), shape=(n, n), gain=1.0)}
        for width, n in (("base", SIDE), ("probe", 2 * SIDE), ("target", SIDE))
    }
)
RECIPE = Recipe("mup", horizon="sde")
MOMENTUM = 0.9


@functools.cache
def variance(optimizer, horizon, steps, batch):
    """Of the coordinates of a parameter that starts at 0, after so many steps."""
    if optimizer == "adamw":
        tx = optim.adamw(
            LEARNING_RATE * horizon.learning_rate,
            WEIGHT_DECAY * horizon.weight_decay,
            layout=LAYOUT,
            recipe=RECIPE,
            b1=horizon.beta(ADAMW["b1"]),
            b2=horizon.beta(ADAMW["b2"]),
            eps=ADAMW["eps"] * horizon.epsilon,
        )
    else:
        tx = optim.sgd(
            LEARNING_RATE * horizon.learning_rate,
            WEIGHT_DECAY * horizon.weight_decay,
            layout=LAYOUT,
            recipe=RECIPE,
            momentum=MOMENTUM,
        )

    def step(i, carry):
        parameters, state = carry
        key = jax.random.fold_in(jax.random.key(batch), i)
        gradients = {"w": jax.random.normal(key, (SIDE, SIDE)) / math.sqrt(batch)}
        updates, state = tx.update(gradients, state, parameters)
        return jax.tree.map(jnp.add, parameters, updates), state

    start = {"w": jnp.zeros((SIDE, SIDE))}
    run = jax.jit(
        lambda: jax.lax.fori_loop(0, steps, step, (start, tx.init(start))),
        compiler_options=OPTIMIZED,
    )
    return float(jnp.var(run()[0]["w"]))


def ratio(optimizer, m_batch, **changes):
    """Variance at equal epochs over the base batch's, with some factors of the rule changed."""
    family = "entrywise" if optimizer == "adamw" else "linear"
    horizon = dataclasses.replace(
        RECIPE.at_horizon(family, Fraction(m_batch), Fraction(1)), **changes
    )
    steps = round(STEPS / m_batch)
    return variance(optimizer, horizon, steps, m_batch * BATCH) / variance(
        optimizer, Horizon(), STEPS, BATCH
    )


@pytest.mark.parametrize("m_batch", [2, 4])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_noise_moves_parameters_as_far_at_every_batch_size(optimizer, m_batch):
    assert ratio(optimizer, m_batch) == pytest.approx(1, abs=ALIKE)


@pytest.mark.parametrize(
    ("optimizer", "changes"),
    [
        ("adamw", {"learning_rate": 4.0}),  # the linear rule
        ("adamw", {"learning_rate": 1.0}),
        ("adamw", {"weight_decay": 1.0}),
        ("adamw", {"epsilon": 1.0}),
        ("adamw", {"averaging": 1.0}),
        ("sgd", {"learning_rate": 2.0}),  # the square-root rule
        ("sgd", {"weight_decay": 4.0}),
    ],
)
def test_another_factor_moves_them_otherwise(optimizer, changes):
    assert abs(math.log(ratio(optimizer, 4, **changes))) > APART
