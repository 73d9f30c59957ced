"""What no rule of width fits: a weight of two parts, and models in which nothing grows."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from refusals import refused

import transfer
from transfer.scaling import Role

from .inferred import (
    BASE,
    ROWS,
    inner,
    layout_of,
    one_layer,
)

# One weight that would need two laws.


def concatenated(*parts):
    """A matrix on hidden features with something concatenated to them."""
    return lambda p, x: (
        (jnp.tanh(jnp.concatenate([part(x, x @ p["embed"]) for part in parts], -1)) @ p["w"])
        @ p["readout"]
    )


hidden, raw, constant = (
    lambda x, h: h,
    lambda x, h: x,
    lambda x, h: jnp.ones((len(x), 1)),
)


@pytest.mark.parametrize(
    ("parts", "fixed"),
    [
        ((hidden, raw), 3),
        ((raw, hidden, hidden), 3),
        ((hidden, constant), 1),
        ((constant, hidden, raw), 4),
    ],
)
def test_raw_inputs_beside_hidden_features_are_refused(parts, fixed):
    grown = sum(part is hidden for part in parts)
    shapes = {"w": lambda n: (grown * n + fixed, n)}
    with refused(
        "w", grown * BASE + fixed, 2 * grown * BASE + fixed, fixed, 'axes={"w": "0 -> 1"}'
    ):
        layout_of(inner(**shapes), ROWS, concatenated(*parts))
    overruled = layout_of(inner(**shapes), ROWS, concatenated(*parts), axes={"w": "0 -> 1"})
    assert overruled["w"].role == Role.HIDDEN


def with_ones(h, put):
    """A column of ones beside hidden features, as a bias is sometimes written."""
    n = h.shape[-1]
    whole = {
        "padded": lambda: jnp.pad(h, ((0, 0), (0, 1)), constant_values=1.0),
        "set": lambda: jnp.ones((len(h), n + 1)).at[:, :n].set(h),
        "updated": lambda: jax.lax.dynamic_update_slice(jnp.ones((len(h), n + 1)), h, (0, 0)),
    }
    return whole[put]()


@pytest.mark.parametrize("put", ["padded", "set", "updated"])
def test_what_is_put_beside_hidden_features_in_another_way_is_refused_alike(put):
    with refused("w", BASE + 1, 2 * BASE + 1, 1):
        one_layer(lambda p, h: with_ones(h, put) @ p["w"], w=lambda n: (n + 1, n))


def test_features_that_all_grow_may_be_concatenated():
    layout = layout_of(inner(w=lambda n: (2 * n, n)), ROWS, concatenated(hidden, hidden))
    assert (layout["w"].role, layout["w"].m_in) == (Role.HIDDEN, 3)


def test_a_size_that_is_rounded_is_no_fixed_part():
    """8/3 of the width, in multiples of 16: 32 at width 8 and 48 at width 16."""

    def rounded(n):
        return -(-(8 * n // 3) // 16) * 16

    shapes = {"up": lambda n: (n, rounded(n)), "down": lambda n: (rounded(n), n)}
    found = one_layer(lambda p, h: jax.nn.relu(h @ p["up"]) @ p["down"], **shapes)
    assert found == {"up": "0 -> 1", "down": "0 -> 1"}


@pytest.mark.parametrize(
    "take",
    [
        lambda w, h: jnp.split(h @ w, [h.shape[-1]], axis=-1)[0],
        lambda w, h: (h @ w)[:, : h.shape[-1]],
        lambda w, h: (
            h @ w[:, : h.shape[-1]] + 0.0 * (h @ w[:, h.shape[-1] :]).sum(-1, keepdims=True)
        ),
    ],
    ids=["split", "sliced", "sliced before"],
)
def test_a_fixed_part_of_the_outputs_is_refused(take):
    with refused("w", BASE + 4, 2 * BASE + 4, 4):
        one_layer(lambda p, h: take(p["w"], h), w=lambda n: (n, n + 4))


# Widths in which there is nothing to infer.


def product(p, x):
    return x @ p["embed"] @ p["readout"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"base_width": 0}, ("base_width", 0)),
        ({"base_width": -8}, ("base_width", -8)),
        ({"width": 0}, ("width", 0)),
        ({"base_width": 8.0}, ("base_width", 8.0)),
        ({"width": "64"}, ("width", "'64'")),
        ({"base_width": True}, ("base_width", True)),
        ({"axes": "0 -> 1"}, ("axes", "0 -> 1")),
        ({"axes": {"embed": None}}, ("None",)),
    ],
)
def test_widths_that_are_none(settings, names):
    with refused(*names):
        transfer.infer_layout(
            inner(), **{"base_width": BASE, "width": 24, **settings}, apply=product, inputs=ROWS
        )


def test_a_model_in_which_nothing_grows():
    with refused(2, BASE, 2 * BASE, "build(width)"):
        layout_of(lambda n: inner()(BASE), ROWS, product)


@pytest.mark.parametrize(
    "returned",
    [None, {}, {"order": jnp.arange(3)}, nnx.Linear, nnx.Dropout(0.5), jax.nn.relu, 3.0],
    ids=["nothing", "empty", "integers", "a class", "no parameter", "a function", "a number"],
)
def test_a_build_that_returns_no_parameter(returned):
    with refused(f"build({BASE})"):
        layout_of(lambda n: returned, ROWS, lambda *arguments: arguments[-1])


def test_a_parameter_with_more_axes_at_one_width():
    def build(n):
        return {**inner()(n), "g": jnp.zeros((n,) if n == BASE else (1, n))}

    with refused("g", BASE, 2 * BASE):
        layout_of(build, ROWS, product)


def test_a_size_that_shrinks_with_width():
    shrinking = inner(g=lambda n: (64 // n,))
    with refused("g", BASE, 2 * BASE, "shrinks from 8 to 4"):
        layout_of(shrinking, ROWS, lambda p, x: product(p, x) + p["g"].sum())
