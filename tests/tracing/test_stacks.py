"""Stacks of weights against matrices and kernels of the same shape."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from transfer.scaling import Role

from .inferred import FEATURES, ROWS, SEQUENCES, axes_of, example, inner, layout_of, one_layer, tree

LAYERS = 3  # as many as features: no shape tells a stack of gains from an input matrix


def scanned(step):
    return lambda p, h: jax.lax.scan(lambda h, weight: (step(h, weight), None), h, p["w"])[0]


def indexed(step):
    return lambda p, h: functools.reduce(lambda h, k: step(h, p["w"][k]), range(LAYERS), h)


def looped(step):
    return lambda p, h: jax.lax.fori_loop(0, LAYERS, lambda k, h: step(h, p["w"][k]), h)


def unstacked(step):
    def layer(p, h):
        first, second, third = p["w"]
        return step(step(step(h, first), second), third)

    return layer


WAYS = pytest.mark.parametrize("way", [scanned, indexed, looped, unstacked])


@WAYS
def test_gains_against_an_input_matrix(way):
    layout = layout_of(
        inner(w=lambda n: (LAYERS, n)),
        ROWS,
        lambda p, x: way(lambda h, gain: h * gain)(p, x @ p["embed"]) @ p["readout"],
    )
    assert layout["w"].shape == layout["embed"].shape
    assert (str(layout["w"].axes), layout["w"].role) == ("0 | 1", Role.VECTOR)
    assert (str(layout["embed"].axes), layout["embed"].role) == ("0 -> 1", Role.INPUT)


@WAYS
@pytest.mark.parametrize(
    ("step", "axes"), [(lambda h, w: h @ w, "0 | 1 -> 2"), (lambda h, w: h @ w.T, "0 | 2 -> 1")]
)
def test_matrices(way, step, axes):
    assert one_layer(way(step), w=lambda n: (LAYERS, n, n)) == {"w": axes}


def test_numbers_one_for_each_layer():
    assert one_layer(scanned(lambda h, s: h * s), w=lambda n: (LAYERS,)) == {"w": "0"}


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (lambda w, h: h @ w[0] + h @ w[1] + h @ w[2], "0 | 1 -> 2"),
        (lambda w, h: jnp.einsum("btd,cdf->cbtf", h, w).sum(0), "0 | 1 -> 2"),
        (lambda w, h: jax.vmap(lambda each: h @ each)(w).sum(0), "0 | 1 -> 2"),
        (
            lambda w, h: jax.lax.conv_general_dilated(
                h, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
            ),
            "0 1 -> 2",
        ),
    ],
    ids=["unstacked", "einsum", "vmapped", "convolved"],
)
def test_three_matrices_against_a_kernel_of_three_positions(layer, axes):
    layout = layout_of(
        inner(w=lambda n: (3, n, n)),
        SEQUENCES,
        lambda p, x: layer(p["w"], x @ p["embed"]) @ p["readout"],
    )
    assert (str(layout["w"].axes), layout["w"].role) == (axes, Role.HIDDEN)
    assert layout["w"].fan_in == (72 if axes == "0 1 -> 2" else 24)


def test_blocks_of_linen_scanned():
    class Block(linen.Module):
        width: int

        @linen.compact
        def __call__(self, h, _):
            return h + linen.Dense(self.width)(linen.LayerNorm()(h)), None

    class Model(linen.Module):
        width: int

        @linen.compact
        def __call__(self, x):
            blocks = linen.scan(
                linen.remat(Block),
                variable_axes={"params": 0},
                split_rngs={"params": True},
                length=LAYERS,
            )
            h, _ = blocks(self.width, name="blocks")(linen.Dense(self.width)(x), None)
            return linen.Dense(FEATURES)(h)

    assert axes_of(lambda n: Model(n), ROWS) == {
        "Dense_0.bias": "0",
        "Dense_0.kernel": "0 -> 1",
        "Dense_1.bias": "0",
        "Dense_1.kernel": "0 -> 1",
        "blocks.Dense_0.bias": "0 | 1",
        "blocks.Dense_0.kernel": "0 | 1 -> 2",
        "blocks.LayerNorm_0.bias": "0 | 1",
        "blocks.LayerNorm_0.scale": "0 | 1",
    }


def test_blocks_of_nnx_scanned():
    class Model(nnx.Module):
        def __init__(self, n):
            self.embed = nnx.Linear(FEATURES, n, rngs=nnx.Rngs(0))
            self.blocks = nnx.vmap(lambda rngs: nnx.Linear(n, n, rngs=rngs))(
                nnx.Rngs(1).split(LAYERS)
            )

        def __call__(self, x):
            return nnx.scan(
                nnx.remat(lambda block, h: jax.nn.relu(block(h))),
                in_axes=(0, nnx.Carry),
                out_axes=nnx.Carry,
            )(self.blocks, self.embed(x))

    axes = axes_of(Model, ROWS)
    assert (axes["blocks.kernel"], axes["blocks.bias"]) == ("0 | 1 -> 2", "0 | 1")


def test_experts():
    def mixture(p, h):
        gates = jax.nn.softmax(h @ p["router"])
        up = jax.nn.relu(jnp.einsum("bd,edf->bef", h, p["up"]))
        return jnp.einsum("be,bed->bd", gates, jnp.einsum("bef,efd->bed", up, p["down"]))

    layout = layout_of(
        inner(router=lambda n: (n, 4), up=lambda n: (4, n, 2 * n), down=lambda n: (4, 2 * n, n)),
        ROWS,
        lambda p, x: mixture(p, x @ p["embed"]) @ p["readout"],
    )
    assert (str(layout["up"].axes), layout["up"].fan_in) == ("0 | 1 -> 2", 24)
    assert (str(layout["down"].axes), layout["down"].fan_in) == ("0 | 1 -> 2", 48)
    assert layout["router"].role == Role.OUTPUT


def test_a_matrix_for_each_of_a_growing_number_of_heads_is_no_stack_of_hidden_ones():
    # Block-diagonal: each head maps its own fixed size to itself, however many there are.
    layout = layout_of(
        tree(
            embed=lambda n: (FEATURES, n // 4, 4),
            w=lambda n: (n // 4, 4, 4),
            readout=lambda n: (n // 4, 4, 2),
        ),
        ROWS,
        lambda p, x: jnp.einsum(
            "bhk,hko->bo",
            jnp.einsum("bhj,hjk->bhk", jnp.einsum("bi,ihj->bhj", x, p["embed"]), p["w"]),
            p["readout"],
        ),
    )
    assert (str(layout["w"].axes), layout["w"].role) == ("1 -> 0 2", Role.INPUT)
    assert layout["w"].fan_in == 4


def test_an_image_shaped_bias_is_none():
    layout = layout_of(
        tree(w=lambda n: (FEATURES, n), b=lambda n: (6, n)),
        example(2, 6, FEATURES),
        lambda p, x: x @ p["w"] + p["b"],
    )
    assert (str(layout["b"].axes), layout["b"].role) == ("0 1", Role.VECTOR)
