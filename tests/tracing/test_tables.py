"""Tables: embeddings, positions, tokens of their own, and embeddings that are also the readout."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx
from refusals import refused

from transfer.scaling import Role

from .inferred import SEQUENCES, TOKENS, VOCABULARY, axes_of, between, inner, layout_of, tree

TIME = SEQUENCES.shape[1]


def positions(size, layer, **shapes):
    return axes_of(inner(p=lambda n: (size, n), **shapes), SEQUENCES, between(layer))


@pytest.mark.parametrize(
    ("size", "layer", "axes"),
    [
        (TIME, lambda p, h: h + p["p"], "0 1"),
        (9, lambda p, h: h + p["p"][:TIME], "0 1"),
        (9, lambda p, h: h + jax.lax.dynamic_slice_in_dim(p["p"], 0, TIME), "0 1"),
        (9, lambda p, h: h + p["p"][jnp.arange(TIME)], "0 -> 1"),
        (9, lambda p, h: h + jnp.take(p["p"], jnp.arange(h.shape[1])[None], axis=0), "0 -> 1"),
    ],
    ids=["added", "sliced", "dynamically sliced", "looked up", "taken"],
)
def test_positions(size, layer, axes):
    assert positions(size, layer) == {"p": axes}


def test_positions_that_pass_through_a_layer_are_its_inputs():
    found = positions(9, lambda p, h: h + p["p"][jnp.arange(TIME)] @ p["w"], w=lambda n: (n, n))
    assert found == {"p": "0 -> 1", "w": "0 -> 1"}


def test_a_sliced_table_that_passes_through_a_layer_cannot_be_told_from_a_factor():
    def layer(p, h):
        return h + p["p"][:TIME] @ p["w"].T

    with refused("p"):
        positions(9, layer, w=lambda n: (n, n))
    layout = layout_of(
        inner(p=lambda n: (9, n), w=lambda n: (n, n)),
        SEQUENCES,
        between(layer),
        axes={"p": "0 1", "w": "1 -> 0"},
    )
    assert (layout["p"].role, layout["w"].role) == (Role.VECTOR, Role.HIDDEN)


# An axis that is repeated for every example is a stack of one.
@pytest.mark.parametrize(
    ("shape", "axes"), [(lambda n: (n,), "0"), (lambda n: (1, 1, n), "0 | 1 2")]
)
def test_a_class_token_put_before_a_sequence(shape, axes):
    def layer(p, h):
        token = jnp.broadcast_to(p["c"], (h.shape[0], 1, h.shape[2]))
        return jnp.concatenate([token, h], axis=1)

    layout = layout_of(inner(c=shape), SEQUENCES, between(layer))
    assert (str(layout["c"].axes), layout["c"].role) == (axes, Role.VECTOR)


def test_a_table_of_relative_positions():
    def layer(p, h):
        distance = jnp.arange(TIME)[:, None] - jnp.arange(TIME)
        logits = jnp.einsum("bthk,bshk->bhts", h, h) + p["t"][distance % 9].transpose(2, 0, 1)
        return jnp.einsum("bhts,bshk->bthk", jax.nn.softmax(logits), h)

    layout = layout_of(
        tree(embed=lambda n: (3, n // 4, 4), t=lambda n: (9, n // 4)),
        SEQUENCES,
        lambda p, x: layer(p, jnp.einsum("bti,ihk->bthk", x, p["embed"])),
    )
    assert (str(layout["t"].axes), layout["t"].role) == ("0 -> 1", Role.INPUT)


TIED = {
    "nnx": (
        lambda n: nnx.Embed(VOCABULARY, n, rngs=nnx.Rngs(0)),
        lambda model, tokens: model.attend(model(tokens)),
    ),
    "linen": (
        lambda n: linen.Embed(VOCABULARY, n),
        lambda model, variables, tokens: model.apply(
            variables, model.apply(variables, tokens), method="attend"
        ),
    ),
    "tree": (
        lambda n: {"embedding": jnp.zeros((VOCABULARY, n))},
        lambda p, tokens: jnp.tanh(p["embedding"][tokens]) @ p["embedding"].T,
    ),
}


@pytest.mark.parametrize("kind", TIED)
def test_an_embedding_that_is_also_the_readout_is_tied(kind):
    build, apply = TIED[kind]
    table = layout_of(build, TOKENS, apply)["embedding"]
    assert table.tied
    assert (str(table.axes), table.role) == ("0 -> 1", Role.INPUT)


@pytest.mark.parametrize("kind", TIED)
def test_the_same_embedding_read_out_by_nothing_is_not(kind):
    build, _ = TIED[kind]
    apply = (lambda p, tokens: p["embedding"][tokens]) if kind == "tree" else None
    assert not layout_of(build, TOKENS, apply)["embedding"].tied


def test_an_annotation_overrules_a_tie():
    build, apply = TIED["tree"]
    layout = layout_of(build, TOKENS, apply, axes={"embedding": "1 -> 0"})
    assert (layout["embedding"].role, layout["embedding"].tied) == (Role.OUTPUT, False)
