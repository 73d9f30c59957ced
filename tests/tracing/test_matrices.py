"""Which axis of a matrix is summed over is read from its product, never from its shape."""

import jax
import jax.numpy as jnp
import pytest

from transfer.scaling import Role
from transfer.tracing import infer_layout

from .inferred import BASE, ROWS, TOKENS, VOCABULARY, between, inner, layout_of, one_layer, tree


def square(n):
    return (n, n)


@pytest.mark.parametrize(
    ("product", "axes"),
    [
        (lambda w, h: h @ w, "0 -> 1"),
        (lambda w, h: h @ w.T, "1 -> 0"),
        (lambda w, h: jnp.einsum("bi,io->bo", h, w), "0 -> 1"),
        (lambda w, h: jnp.einsum("bi,oi->bo", h, w), "1 -> 0"),
        (lambda w, h: jnp.einsum("oi,bi->bo", w, h), "1 -> 0"),
        (lambda w, h: jax.vmap(lambda row: w @ row)(h), "1 -> 0"),
        (lambda w, h: h @ w[::-1].astype("bfloat16").astype("float32"), "0 -> 1"),
        (lambda w, h: h.reshape(5, -1, 2).reshape(5, -1) @ w.reshape(-1, w.shape[1]), "0 -> 1"),
    ],
)
def test_a_square_matrix(product, axes):
    assert one_layer(lambda p, h: product(p["w"], h), w=square) == {"w": axes}


@pytest.mark.parametrize(
    "lookup",
    [
        lambda table, tokens: table[tokens],
        lambda table, tokens: jnp.take(table, tokens, axis=0),
        lambda table, tokens: jax.nn.one_hot(tokens, VOCABULARY) @ table,
        lambda table, tokens: jax.vmap(jax.vmap(lambda token: table[token]))(tokens),
    ],
    ids=["index", "take", "one-hot", "vmapped"],
)
def test_an_embedding_and_a_transposed_readout_of_one_shape_differ(lookup):
    layout = layout_of(
        tree(table=lambda n: (VOCABULARY, n), readout=lambda n: (VOCABULARY, n)),
        TOKENS,
        lambda p, tokens: lookup(p["table"], tokens) @ p["readout"].T,
    )
    assert (str(layout["table"].axes), layout["table"].role) == ("0 -> 1", Role.INPUT)
    assert (str(layout["readout"].axes), layout["readout"].role) == ("1 -> 0", Role.OUTPUT)
    assert (layout["table"].fan_in, layout["table"].fan_out) == (VOCABULARY, 24)
    assert (layout["readout"].fan_in, layout["readout"].fan_out) == (24, VOCABULARY)
    assert (layout["readout"].m_in, layout["readout"].m_out) == (3, 1)
    assert not layout["table"].tied


def test_a_readout_of_one_output_may_lack_its_axis():
    layout = layout_of(
        tree(embed=lambda n: (3, n), readout=lambda n: (n,)),
        ROWS,
        lambda p, x: x @ p["embed"] @ p["readout"],
    )
    readout = layout["readout"]
    assert (str(readout.axes), readout.role) == ("0 ->", Role.OUTPUT)
    assert (readout.fan_in, readout.fan_out, readout.m_in) == (24, 1, 3)


def test_a_vector_of_that_shape_which_is_added_is_none():
    assert one_layer(lambda p, h: h + p["b"], b=lambda n: (n,)) == {"b": "0"}


@pytest.mark.parametrize(
    ("expression", "axes"),
    [
        (lambda p, h: h @ ((p["w"] - p["w"].mean(0)) / p["w"].std(0)), {"w": "0 -> 1"}),
        (
            lambda p, h: h @ (p["g"] * p["w"] / jnp.linalg.norm(p["w"], axis=0)),
            {"w": "0 -> 1", "g": "0"},
        ),
        (
            lambda p, h: (
                h @ (p["g"][:, None] * p["w"] / jnp.linalg.norm(p["w"], axis=1)[:, None]).T
            ),
            {"w": "1 -> 0", "g": "0"},
        ),
        (lambda p, h: h @ (p["s"] * p["w"]), {"w": "0 -> 1", "s": ""}),
        (lambda p, h: h @ jnp.tril(p["w"]), {"w": "0 -> 1"}),
        (lambda p, h: h @ p["w"] + jnp.sum(p["w"] ** 2), {"w": "0 -> 1"}),
    ],
    ids=["standardized", "normalized", "normalized transposed", "scaled", "masked", "penalized"],
)
def test_a_weight_that_is_worked_on_before_it_meets_the_activation(expression, axes):
    shapes = {"w": square, "g": lambda n: (n,), "s": lambda n: ()}
    assert one_layer(expression, **{name: shapes[name] for name in axes}) == axes


@pytest.mark.parametrize("width", [1, BASE // 2, BASE, 2 * BASE, 1000])
def test_roles_do_not_depend_on_the_target(width):
    layout = infer_layout(
        inner(w=square),
        base_width=BASE,
        width=width,
        apply=between(lambda p, h: h @ p["w"].T),
        inputs=ROWS,
    )
    roles = {path: parameter.role for path, parameter in layout.items()}
    assert roles == {"embed": Role.INPUT, "w": Role.HIDDEN, "readout": Role.OUTPUT}
    assert (layout["w"].fan_in, layout["w"].m_in * BASE) == (width, width)


def test_nothing_is_allocated():
    """The matrix alone would take 4 TB at the target."""
    layout = infer_layout(
        inner(w=square),
        base_width=2**18,
        width=2**20,
        apply=between(lambda p, h: h @ p["w"].T),
        inputs=ROWS,
    )
    assert (str(layout["w"].axes), layout["w"].fan_in, layout["w"].m_in) == ("1 -> 0", 2**20, 4)


def test_the_example_may_be_an_array():
    def annotations(inputs):
        layout = layout_of(inner(w=square), inputs, between(lambda p, h: h @ p["w"]))
        return {path: str(parameter.axes) for path, parameter in layout.items()}

    assert annotations(jnp.ones(ROWS.shape)) == annotations((ROWS,))
