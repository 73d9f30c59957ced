"""Weights are followed into everything that JAX calls, branches on or repeats."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec
from refusals import refused

from .inferred import ROWS, SEQUENCES, axes_of, between, inner, one_layer

STORED = {"w": "1 -> 0"}  # every product below is with the transpose


def product(w, h):
    return jnp.tanh(h @ w.T)


@jax.custom_jvp
def with_jvp(w, h):
    return product(w, h)


@with_jvp.defjvp
def _(primals, tangents):
    return jax.jvp(product, primals, tangents)


@jax.custom_vjp
def with_vjp(w, h):
    return product(w, h)


with_vjp.defvjp(lambda w, h: (product(w, h), (w, h)), lambda kept, g: jax.vjp(product, *kept)[1](g))


@pytest.mark.parametrize(
    "call",
    [
        jax.jit(product),
        jax.checkpoint(product),
        jax.checkpoint(jax.jit(product)),
        with_jvp,
        with_vjp,
        jax.vmap(product, in_axes=(None, 0)),
        lambda w, h: jax.lax.map(lambda row: product(w, row), h),
        lambda w, h: jax.lax.cond(h.sum() > 0, product, lambda w, h: h, w, h),
        lambda w, h: jax.lax.switch(1, [lambda h: h, lambda h: product(w, h)], h),
        lambda w, h: jax.lax.while_loop(
            lambda state: state[0] < 3, lambda state: (state[0] + 1, product(w, state[1])), (0, h)
        )[1],
        lambda w, h: jax.lax.while_loop(lambda h: product(w, h).sum() < 3.0, lambda h: h + 1.0, h),
        # The weight itself is chosen, and carried through a loop.
        lambda w, h: product(jax.lax.cond(True, lambda: w, lambda: 2.0 * w), h),
        lambda w, h: jax.lax.fori_loop(0, 3, lambda _, state: (state[0], product(*state)), (w, h))[
            1
        ],
        lambda w, h: (
            jax.lax.scan(lambda state, _: (state * 2.0, state), w, length=3)[1][0].sum()
            + product(w, h)
        ),
    ],
    ids=[
        "jit",
        "remat",
        "remat of jit",
        "custom_jvp",
        "custom_vjp",
        "vmap",
        "map",
        "cond",
        "switch",
        "while",
        "while's condition",
        "a chosen weight",
        "a carried weight",
        "a repeated weight",
    ],
)
def test_a_weight_is_followed(call):
    assert one_layer(lambda p, h: call(p["w"], h), w=lambda n: (n, n)) == STORED


def test_into_shard_map():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    call = jax.shard_map(
        product,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("data")),
        out_specs=PartitionSpec("data"),
    )
    assert one_layer(lambda p, h: call(p["w"], h), w=lambda n: (n, n)) == STORED


def test_both_branches_are_read():
    found = one_layer(
        lambda p, h: jax.lax.cond(h.sum() > 0, lambda h: h @ p["w"], lambda h: h @ p["v"].T, h),
        w=lambda n: (n, n),
        v=lambda n: (n, n),
    )
    assert found == {"v": "1 -> 0", "w": "0 -> 1"}


def recurrent(start):
    def forward(p, x):
        def step(h, x):
            h = jnp.tanh(x @ p["embed"] + p["w"] @ h + p["b"])
            return h, h

        def run(x):
            return jax.lax.scan(step, start(p), x)[1] @ p["readout"]

        return jax.vmap(run)(x)

    return forward


@pytest.mark.parametrize(
    ("start", "state"),
    [(lambda p: jnp.zeros_like(p["b"]), {}), (lambda p: p["h"], {"h": "0"})],
    ids=["zero", "learned"],
)
def test_over_time(start, state):
    shapes = {"w": lambda n: (n, n), "b": lambda n: (n,)} | {name: lambda n: (n,) for name in state}
    found = axes_of(inner(**shapes), SEQUENCES, recurrent(start))
    assert found == {"w": "1 -> 0", "b": "0", **state}


def test_a_vector_that_takes_the_activations_place_in_a_branch():
    found = one_layer(
        lambda p, h: h + jax.lax.cond(h.sum() > 0, lambda: p["b"], lambda: h[0]), b=lambda n: (n,)
    )
    assert found == {"b": "0"}


def test_inside_a_gradient_a_matrix_is_used_both_ways():
    """As in a model whose output is a gradient: the backward pass contracts the other axis."""
    forward = between(lambda p, h: product(p["w"], h))

    def gradient(p, x):
        return jax.grad(lambda x: forward(p, x).sum())(x)

    with refused("w", "1 -> 0", "0 -> 1"):
        axes_of(inner(w=lambda n: (n, n)), ROWS, gradient)
    found = axes_of(inner(w=lambda n: (n, n)), ROWS, gradient, axes={"w": "1 -> 0"})
    assert found == STORED
