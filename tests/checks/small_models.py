"""Small trees of arrays, drawn as their recipe says, right or with one thing wrong."""

import functools

import jax
import jax.numpy as jnp

from transfer.checks import check
from transfer.optim import adamw

FEATURES, NECK, EXPERTS, VOCABULARY = 8, 4, 4, 16
BASE_WIDTH = 64
WIDTHS = (64, 256)
ROWS = jax.random.normal(jax.random.key(9), (16, FEATURES))
TOKENS = jax.random.randint(jax.random.key(1), (2, 8), 0, VOCABULARY)


def drawn(seed, **shapes):
    """Normal arrays by name, from their shape and std."""
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {
        name: std * jax.random.normal(key, shape)
        for key, (name, (shape, std)) in zip(keys, shapes.items(), strict=True)
    }


def growth(width):
    """How much larger than the base."""
    return width / BASE_WIDTH


def autoencoder(neck=lambda n: 2 / n**0.5 / growth(n) ** 0.5):
    """8 - n - 4 - n - 8 as mup_table3 has it: the neck is one readout, the last map another."""

    def build(n, seed):
        return drawn(
            seed,
            enter=((FEATURES, n), FEATURES**-0.5),
            neck=((n, NECK), neck(n)),
            widen=((NECK, n), NECK**-0.5),
            leave=((n, FEATURES), n**-0.5 / growth(n) ** 0.5),
        )

    return build


def through_the_neck(p, x):
    hidden = jax.nn.relu(x @ p["enter"])
    return jax.nn.relu(hidden @ p["neck"] @ p["widen"]) @ p["leave"]


def mixture(n, seed):
    """Experts that a softmax weighs, between a first layer and a readout of mup_table3."""
    return drawn(
        seed,
        embed=((FEATURES, n), FEATURES**-0.5),
        router=((n, EXPERTS), n**-0.5 / growth(n) ** 0.5),
        experts=((EXPERTS, n, n), n**-0.5),
        readout=((n, FEATURES), n**-0.5 / growth(n) ** 0.5),
    )


def routed(p, x, temperature=lambda n: 1.0):
    h = x @ p["embed"]
    gates = jax.nn.softmax(h @ p["router"] * temperature(h.shape[-1]))
    mixed = jnp.einsum("be,ebd->bd", gates, jnp.einsum("bd,edf->ebf", h, p["experts"]))
    return jnp.tanh(h + mixed) @ p["readout"]


def tied(n, seed, mix=lambda n: n**-0.5):
    """A table that is embedding and readout, and a residual block with a bias, as mup has it."""
    weights = drawn(seed, table=((VOCABULARY, n), 1.0), up=((n, n), n**-0.5), mix=((n, n), mix(n)))
    return {**weights, "bias": jnp.zeros(n)}


def residual(p, tokens, branch=lambda n: 1.0, logits=lambda n: 1 / growth(n)):
    x = p["table"][tokens]
    n = x.shape[-1]
    x = x + jnp.tanh(x @ p["up"] + p["bias"]) @ p["mix"] * branch(n)
    return x @ p["table"].T / BASE_WIDTH**0.5 * logits(n)


def rated(**wrong):
    """AdamW with the recipe `mup`, but for factors of the learning rate of single parameters."""

    def make_optimizer(layout):
        right = adamw(2.0**-8, layout=layout, recipe="mup", eps=1e-20)

        def update(gradients, state, parameters):
            updates, state = right.update(gradients, state, parameters)
            factors = {
                path: wrong.get(path, lambda n: 1.0)(layout[path].shape[-1]) for path in updates
            }
            return {path: factors[path] * each for path, each in updates.items()}, state

        return right._replace(update=update)

    return make_optimizer


@functools.cache
def measured_autoencoder(**settings):
    return check(
        autoencoder(**settings),
        WIDTHS,
        base_width=BASE_WIDTH,
        recipe="mup_table3",
        inputs=ROWS,
        apply=through_the_neck,
        steps=1,
    )


def measured_mixture(apply=routed):
    return check(
        mixture,
        WIDTHS,
        base_width=BASE_WIDTH,
        recipe="mup_table3",
        inputs=ROWS,
        apply=apply,
        steps=1,
    )


def measured_tied(build=tied, apply=residual, make_optimizer=None):
    return check(
        build,
        WIDTHS,
        base_width=BASE_WIDTH,
        recipe="mup",
        inputs=TOKENS,
        apply=apply,
        multiplied=("table",),
        make_optimizer=make_optimizer,
        steps=1,
    )
