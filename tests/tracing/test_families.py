"""Models of other people's kinds: roles, rescaled init and 50 steps, at two widths."""

import jax
import jax.numpy as jnp
import pytest
from refusals import refused

import transfer
from transfer.scaling import Role

from .families import (
    ENDS,
    EXPERT_SHAPES,
    FAMILIES,
    HEAD,
    ROWS,
    SEQUENCES,
    SQUARE,
    STATE,
    attend,
    drawn,
    heads,
    mixture,
    tree,
)
from .trained_family import BASE, WIDE, layout_of, require_roles, require_training


@pytest.mark.parametrize("name", FAMILIES)
def test_roles(name):
    require_roles(FAMILIES[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_rescaled_and_trained(name):
    require_training(FAMILIES[name])


# Multi-query attention: one key and value head for a growing number of queries.

MULTI_QUERY = {
    "query": (lambda n: (n, n), 0),
    "key": (lambda n: (n, HEAD), 0),
    "value": (lambda n: (n, HEAD), 0),
    "out": (lambda n: (n, n), 0),
}


def multi_query(p, h):
    k, v = (jnp.broadcast_to(heads(h @ p[name]), heads(h).shape) for name in ("key", "value"))
    k = k / jnp.sqrt(jnp.square(k).mean(-1, keepdims=True) + 1e-6)
    return attend(heads(h @ p["query"]), k, v) @ p["out"]


def test_multi_query_attention_is_refused_with_its_reason():
    family = tree(MULTI_QUERY, multi_query, SEQUENCES, {})
    with refused("key", "query", "multi-query", "grouped-query", 'axes={"key": "0 -> 1"}'):
        layout_of(family, WIDE)
    layout = transfer.infer_layout(
        lambda n: family.build(n, 0),
        base_width=BASE,
        width=WIDE,
        apply=family.apply,
        inputs=family.inputs,
        axes={"key": "0 -> 1"},
    )
    assert layout["key"].role == Role.OUTPUT


FEATURE_MAPS = {
    "identity": lambda x: x,
    "elu": lambda x: jax.nn.elu(x) + 1.0,
    "relu": jax.nn.relu,
    "exponential": jnp.exp,
    "rotation": lambda x: jnp.concatenate([jnp.sin(x), jnp.cos(x)], axis=-1),
}


def linear_attention(feature):
    """sum_s phi(q_t) . phi(k_s) v_s, the sum over s first: the keys meet the values and then q."""

    def layer(p, h):
        k, v = feature(h @ p["key"]), h @ p["value"]
        mixed = jnp.einsum("bthk,bkd->bthd", feature(heads(h @ p["query"])), k.swapaxes(1, 2) @ v)
        return mixed.reshape(h.shape) @ p["out"]

    return layer


@pytest.mark.parametrize("feature", FEATURE_MAPS)
def test_linear_attention_with_keys_of_a_fixed_size_is_refused_alike(feature):
    family = tree(MULTI_QUERY, linear_attention(FEATURE_MAPS[feature]), SEQUENCES, {})
    with refused("key", "query", "multi-query"):
        layout_of(family, WIDE)


def test_queries_and_keys_that_both_have_a_fixed_size_are_two_readouts():
    shapes = {**MULTI_QUERY, **{each: (lambda n: (n, HEAD), 0) for each in ("query", "key")}}
    shapes["value"] = SQUARE

    def layer(p, h):
        q, k, v = jax.nn.elu(h @ p["query"]), jax.nn.elu(h @ p["key"]), h @ p["value"]
        return (q @ (k.swapaxes(1, 2) @ v)) @ p["out"]

    layout = layout_of(tree(shapes, layer, SEQUENCES, {}), WIDE)
    roles = {name: layout[name].role for name in MULTI_QUERY}
    assert roles == {
        "query": Role.OUTPUT, "key": Role.OUTPUT, "value": Role.HIDDEN, "out": Role.HIDDEN
    }  # fmt: skip


@pytest.mark.parametrize("gate", [lambda x: x, jax.nn.sigmoid, jax.nn.relu, jax.nn.softmax])
def test_the_gates_of_a_mixture_are_no_keys_whatever_their_function(gate):
    def layer(p, h):
        return mixture(gate(h @ p["router"]), p, h)

    layout = layout_of(tree(EXPERT_SHAPES, layer, ROWS, {}), WIDE)
    assert {str(layout[name].axes) for name in ("up", "down")} == {"0 | 1 -> 2"}
    assert layout["router"].role == Role.OUTPUT


def selective(p, h):
    """Mamba's scan, with separate maps for the step, what enters the state and what leaves it."""
    x, step = jax.nn.silu(h @ p["x"]), jax.nn.softplus(h @ p["down"] @ p["up"])
    entering, leaving = x @ p["b"], x @ p["c"]

    def advance(state, now):
        x, step, entering, leaving = now
        state = jnp.exp(-step)[..., None] * state + (step * x)[..., None] * entering[:, None]
        return state, jnp.einsum("bds,bs->bd", state, leaving)

    start = jnp.zeros((h.shape[0], h.shape[2], STATE))
    steps = jax.tree.map(lambda each: each.swapaxes(0, 1), (x, step, entering, leaving))
    return jax.lax.scan(advance, start, steps)[1].swapaxes(0, 1) @ p["out"]


def test_what_enters_and_leaves_a_selective_state_are_outputs():
    fixed, square = (lambda n: (n, STATE), 0), SQUARE
    shapes = {"x": square, "b": fixed, "c": fixed, "out": square}
    shapes |= {"down": (lambda n: (n, n // 4), 0), "up": (lambda n: (n // 4, n), 0)}
    layout = layout_of(tree(shapes, selective, SEQUENCES, {}), WIDE)
    assert {layout[name].role for name in ("b", "c")} == {Role.OUTPUT}
    assert {layout[name].role for name in ("x", "down", "up", "out")} == {Role.HIDDEN}


def test_key_heads_that_grow_are_not():
    shapes = {**MULTI_QUERY, **{name: (lambda n: (n, n // 2), 0) for name in ("key", "value")}}

    def grouped_query(p, h):
        k, v = (jnp.repeat(heads(h @ p[name]), 2, axis=2) for name in ("key", "value"))
        return attend(heads(h @ p["query"]), k, v) @ p["out"]

    layout = layout_of(tree(shapes, grouped_query, SEQUENCES, {}), WIDE)
    assert {layout[name].role for name in MULTI_QUERY} == {Role.HIDDEN}


def test_two_readouts_that_are_compared_with_each_other_are_not():
    """As in contrastive models: both embeddings are outputs of a fixed size."""
    shapes = {"embed": ENDS["embed"], **{name: (lambda n: (n, 5), 0) for name in ("image", "text")}}
    layout = transfer.infer_layout(
        lambda n: drawn(shapes, n, 0),
        base_width=BASE,
        width=WIDE,
        apply=lambda p, x: (x @ p["embed"] @ p["image"]) @ (x @ p["embed"] @ p["text"]).T,
        inputs=ROWS,
    )
    assert layout["image"].role == layout["text"].role == Role.OUTPUT
