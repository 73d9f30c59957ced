"""What other people's models are made of: single heads, normalized weights, learned queries."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx
from refusals import refused

import transfer
from transfer.scaling import Role

from .inferred import (
    BASE,
    FEATURES,
    ROWS,
    SEQUENCES,
    Between,
    example,
    inner,
    layout_of,
    one_layer,
)

# Heads, groups and widths of one.


class Heads(Between):
    def setup(self, n):
        self.attention = nnx.MultiHeadAttention(n // BASE, n, decode=False, rngs=nnx.Rngs(2))

    def inside(self, h):
        return self.attention(h)


def linen_heads(n):
    attention = linen.MultiHeadDotProductAttention(num_heads=n // BASE)
    return linen.Sequential([linen.Dense(n), attention, linen.Dense(2)])


@pytest.mark.parametrize(("build", "name"), [(Heads, "attention"), (linen_heads, "layers_1")])
def test_a_base_with_one_head(build, name):
    layout = layout_of(build, SEQUENCES)
    found = {path: str(each.axes) for path, each in layout.items() if path.startswith(name)}
    expected = {f"{name}.{part}.kernel": "0 -> 1 2" for part in ("query", "key", "value")}
    expected |= {f"{name}.{part}.bias": "0 1" for part in ("query", "key", "value")}
    assert found == {**expected, f"{name}.out.kernel": "0 1 -> 2", f"{name}.out.bias": "0"}
    assert (layout[f"{name}.query.kernel"].m_out, layout[f"{name}.out.kernel"].m_in) == (3, 3)


def test_a_base_with_one_group():
    class Grouped(Between):
        def setup(self, n):
            self.norm = nnx.GroupNorm(n, num_groups=n // BASE, rngs=nnx.Rngs(2))
            self.conv = nnx.Conv(n, n, (3,), feature_group_count=n // BASE, rngs=nnx.Rngs(2))

        def inside(self, h):
            return self.conv(self.norm(h))

    layout = layout_of(Grouped, SEQUENCES)
    # More groups of one size: nothing that grows is summed over.
    assert (str(layout["conv.kernel"].axes), layout["conv.kernel"].role) == ("0 1 -> 2", Role.INPUT)
    assert layout["norm.scale"].role == Role.VECTOR


def test_a_base_width_of_one():
    layout = transfer.infer_layout(
        inner(w=lambda n: (n, n), g=lambda n: (n,)),
        base_width=1,
        width=4,
        apply=lambda p, x: (x @ p["embed"] * p["g"]) @ p["w"].T @ p["readout"],
        inputs=ROWS,
    )
    assert (str(layout["w"].axes), str(layout["g"].axes)) == ("1 -> 0", "0")
    assert layout["readout"].role == Role.OUTPUT


# Weight normalization.


@pytest.mark.parametrize(
    ("gain", "shape", "axes"),
    [
        (lambda g: g, lambda n: (n, 1), "1 | 0"),
        (lambda g: g[:, None], lambda n: (n,), "0"),
        (lambda g: jnp.broadcast_to(g, (g.shape[0], g.shape[0])), lambda n: (n, 1), "1 | 0"),
    ],
    ids=["kept", "added", "broadcast"],
)
def test_the_gain_of_a_normalized_weight_is_a_vector(gain, shape, axes):
    def layer(p, h):
        return h @ (gain(p["g"]) * p["v"] / jnp.linalg.norm(p["v"], axis=1, keepdims=True)).T

    assert one_layer(layer, v=lambda n: (n, n), g=shape) == {"v": "1 -> 0", "g": axes}


def test_weight_norm_of_nnx():
    class Normalized(Between):
        def setup(self, n):
            self.inner = nnx.WeightNorm(nnx.Linear(n, n, rngs=nnx.Rngs(2)), rngs=nnx.Rngs(3))

        def inside(self, h):
            return self.inner(h)

    layout = layout_of(Normalized, ROWS)
    roles = {path: each.role for path, each in layout.items() if path.startswith("inner")}
    kernels = [path for path, role in roles.items() if role == Role.HIDDEN]
    assert len(kernels) == 1
    assert {role for path, role in roles.items() if path not in kernels} == {Role.VECTOR}


# A parameter that takes an activation's place.

REPEATS = {
    "broadcast": lambda q, b: jnp.broadcast_to(q, (b, *q.shape)),
    "tile": lambda q, b: jnp.tile(q[None], (b, 1, 1)),
    "repeat": lambda q, b: jnp.repeat(q[None], b, axis=0),
    "multiplied by ones": lambda q, b: q[None] * jnp.ones((b, 1, 1)),
    "vmapped": lambda q, b: jax.vmap(lambda _: q)(jnp.arange(b)),
}
POOL = {"q": lambda n: (1, n), "w": lambda n: (n, n), "k": lambda n: (n, n)}


def pooled(repeat):
    def layer(p, x):
        h = x @ p["embed"]
        logits = jnp.einsum("bod,btd->bot", repeat(p["q"], len(x)) @ p["w"], h @ p["k"])
        return jnp.einsum("bot,btd->bod", jax.nn.softmax(logits), h) @ p["readout"]

    return layer


@pytest.mark.parametrize("repeat", REPEATS)
def test_a_query_that_is_repeated_for_each_example(repeat):
    layout = layout_of(inner(**POOL), SEQUENCES, pooled(REPEATS[repeat]))
    assert layout["q"].role == Role.VECTOR
    assert {str(layout[name].axes) for name in ("w", "k")} == {"0 -> 1"}


def test_a_matrix_that_is_repeated_for_each_weight_of_a_stack_is_none():
    """A low-rank product with one factor shared by all layers stays a product of two matrices."""

    def layer(p, h):
        shared = jnp.broadcast_to(p["a"], (3, *p["a"].shape))
        return jax.lax.scan(lambda h, w: (h @ w, None), h, shared @ p["b"])[0]

    with refused("a", 'axes={"a": ...}'):
        one_layer(layer, a=lambda n: (n, 4), b=lambda n: (3, 4, n))


def test_a_batch_of_one_does_not_tell_a_query_from_a_factor():
    with refused("q", 'axes={"q": ...}'):
        layout_of(inner(**POOL), example(1, 6, FEATURES), pooled(REPEATS["broadcast"]))


def test_what_is_computed_of_activations_alone_may_be_anything():
    """Eigenvalues, whose axes are none of a product's, and an order."""

    def layer(p, h):
        features = h @ p["w"]
        values, vectors = jnp.linalg.eigh(features @ features.T)
        _, order = jax.lax.top_k(features.sum(-1), len(h))
        return (vectors * values) @ features[order]

    assert one_layer(layer, w=lambda n: (n, n)) == {"w": "0 -> 1"}
