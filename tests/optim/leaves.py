"""A model of one parameter per role, its width four times the base width's: no forward pass."""

import jax
import jax.numpy as jnp
import optax
import pytest

from transfer import optim
from transfer.scaling import Annotated, Axes, Layout, Recipe, Role

M = 4
_SHAPES = {
    Role.INPUT: ("vocab -> embed", lambda n: (5, n)),
    Role.HIDDEN: ("layers | embed -> heads head_dim", lambda n: (2, n, n // 2, 2)),
    Role.OUTPUT: ("embed -> vocab", lambda n: (n, 5)),
    Role.VECTOR: ("layers | embed", lambda n: (2, n)),
    Role.SCALAR: ("head_dim", lambda n: (2,)),
}


def declared(width):
    return {
        role.value: Annotated(axes=Axes.parse(axes), shape=shape(width), gain=1.0)
        for role, (axes, shape) in _SHAPES.items()
    }


LAYOUT = Layout.compare(base=declared(2), probe=declared(4), target=declared(2 * M))


def ones():
    return {path: jnp.ones(parameter.shape) for path, parameter in LAYOUT.items()}


def random(seed=0, scale=1.0):
    keys = jax.random.split(jax.random.key(seed), len(LAYOUT))
    return {
        path: scale * jax.random.normal(key, parameter.shape)
        for key, (path, parameter) in zip(keys, LAYOUT.items(), strict=True)
    }


def after(tx, gradients, parameters=None, steps=1):
    """Parameters after steps with the same gradients."""
    parameters = ones() if parameters is None else parameters
    state = tx.init(parameters)
    for _ in range(steps):
        updates, state = tx.update(gradients, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    return parameters


def shrinkage(tx):
    """By how much one step without gradients shrinks a weight of each role."""
    zeros = jax.tree.map(jnp.zeros_like, ones())
    return {path: 1.0 - float(leaf.ravel()[0]) for path, leaf in after(tx, zeros).items()}


def recipe(name="mup", **declared):
    return Recipe(name, rates="full", **{"decay": "sqrt"} | declared)


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


# Every optimizer, at one learning rate and decay.

LR, DECAY = 0.1, 0.2
MAKERS = {name: each.make for name, each in optim.OPTIMIZERS.items()}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))


def made(make, layout=LAYOUT, **given):
    return make(
        **{"learning_rate": LR, "weight_decay": DECAY} | given, layout=layout, recipe=recipe()
    )


def first_update(tx, gradients, parameters):
    return tx.update(gradients, tx.init(parameters), parameters)[0]
