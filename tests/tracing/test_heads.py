"""Kernels split over heads, fused kernels, and their biases."""

import jax.numpy as jnp
import pytest
from flax import linen, nnx

from transfer.scaling import Role

from .inferred import FEATURES, ROWS, axes_of, inner, layout_of, tree

HEAD = 4


def heads(n):
    return n // HEAD


@pytest.mark.parametrize(
    ("shape", "product", "axes"),
    [
        (lambda n: (n, heads(n), HEAD), "bd,dhk->bhk", "0 -> 1 2"),
        (lambda n: (heads(n), n, HEAD), "bd,hdk->bhk", "1 -> 0 2"),
        (lambda n: (heads(n), HEAD, n), "bd,hkd->bhk", "2 -> 0 1"),
        # A fixed number of heads in front reads as a stack, which has the same factors.
        (lambda n: (2, n, n // 2), "bd,hdk->bhk", "0 | 1 -> 2"),
        (lambda n: (n, 2, n // 2), "bd,dhk->bhk", "0 -> 1 2"),
    ],
)
def test_a_kernel_from_the_width_to_heads(shape, product, axes):
    layout = layout_of(
        inner(w=shape),
        ROWS,
        lambda p, x: jnp.einsum(product, x @ p["embed"], p["w"]).reshape(len(x), -1) @ p["readout"],
    )
    parameter = layout["w"]
    assert (str(parameter.axes), parameter.role, parameter.fan_in) == (axes, Role.HIDDEN, 24)
    assert (parameter.m_in, parameter.m_out) == (3, 3)


@pytest.mark.parametrize("size", [lambda n: (heads(n), HEAD), lambda n: (2, n // 2)])
def test_a_kernel_from_heads_to_the_width(size):
    layout = layout_of(
        tree(embed=lambda n: (FEATURES, *size(n)), out=lambda n: (*size(n), n)),
        ROWS,
        lambda p, x: jnp.einsum("bhk,hkd->bd", jnp.einsum("bi,ihk->bhk", x, p["embed"]), p["out"]),
    )
    assert (str(layout["out"].axes), layout["out"].role) == ("0 1 -> 2", Role.HIDDEN)
    assert (layout["out"].fan_in, layout["out"].m_in) == (24, 3)


@pytest.mark.parametrize("size", [lambda n: (heads(n), HEAD), lambda n: (2, n // 2)])
def test_a_bias_of_heads_against_a_readout_of_the_same_shape(size):
    layout = layout_of(
        tree(embed=lambda n: (FEATURES, *size(n)), bias=size, readout=size),
        ROWS,
        lambda p, x: jnp.einsum(
            "bhk,hk->b", jnp.einsum("bi,ihk->bhk", x, p["embed"]) + p["bias"], p["readout"]
        ),
    )
    assert layout["bias"].shape == layout["readout"].shape
    assert (str(layout["bias"].axes), layout["bias"].role) == ("0 1", Role.VECTOR)
    assert (str(layout["readout"].axes), layout["readout"].role) == ("0 1 ->", Role.OUTPUT)
    assert (str(layout["embed"].axes), layout["embed"].role) == ("0 -> 1 2", Role.INPUT)


@pytest.mark.parametrize(
    ("shape", "layer", "axes"),
    [
        (lambda n: (n, 3 * n), lambda w, h: sum(jnp.split(h @ w, 3, axis=-1)), "0 -> 1"),
        (lambda n: (n, 3 * n), lambda w, h: sum(h @ w for w in jnp.split(w, 3, axis=1)), "0 -> 1"),
        (
            lambda n: (n, 3 * n),
            lambda w, h: jnp.einsum("bd,dchk->bhk", h, w.reshape(w.shape[0], 3, -1, HEAD)).reshape(
                h.shape
            ),
            "0 -> 1",
        ),
        (
            lambda n: (n, 3, heads(n), HEAD),
            lambda w, h: jnp.einsum("bd,dchk->bchk", h, w).sum(1).reshape(h.shape),
            "0 -> 1 2 3",
        ),
        (
            lambda n: (3, n, heads(n), HEAD),
            lambda w, h: jnp.einsum("bd,cdhk->cbhk", h, w).sum(0).reshape(h.shape),
            "0 | 1 -> 2 3",
        ),
    ],
    ids=["split after", "split before", "reshaped", "beside", "in front"],
)
def test_a_fused_query_key_value_kernel(shape, layer, axes):
    layout = layout_of(
        inner(w=shape), ROWS, lambda p, x: layer(p["w"], x @ p["embed"]) @ p["readout"]
    )
    parameter = layout["w"]
    assert (str(parameter.axes), parameter.role) == (axes, Role.HIDDEN)
    assert (parameter.fan_in, parameter.m_in, parameter.m_out) == (24, 3, 3)


def test_dense_general_of_linen():
    model = lambda n: linen.Sequential(  # noqa: E731
        [linen.DenseGeneral((heads(n), HEAD)), linen.DenseGeneral(n, axis=(-2, -1))]
    )
    assert axes_of(model, ROWS) == {
        "layers_0.bias": "0 1",
        "layers_0.kernel": "0 -> 1 2",
        "layers_1.bias": "0",
        "layers_1.kernel": "0 1 -> 2",
    }


def test_linear_general_of_nnx():
    model = lambda n: nnx.Sequential(  # noqa: E731
        nnx.LinearGeneral(FEATURES, (heads(n), HEAD), rngs=nnx.Rngs(0)),
        nnx.LinearGeneral((heads(n), HEAD), n, axis=(-2, -1), rngs=nnx.Rngs(0)),
    )
    assert axes_of(model, ROWS) == {
        "layers.0.bias": "0 1",
        "layers.0.kernel": "0 -> 1 2",
        "layers.1.bias": "0",
        "layers.1.kernel": "0 1 -> 2",
    }
