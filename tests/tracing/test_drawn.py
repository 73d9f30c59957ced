"""Any model of a drawn family: layers of drawn kinds in a drawn order, called in drawn ways."""

import jax
import jax.numpy as jnp
from hypothesis import given
from hypothesis import strategies as st

from transfer.scaling import Role

from .families import EXPERTS, HEAD, STATE, attend, heads
from .inferred import SEQUENCES, inner, layout_of

HIDDEN, INPUT, OUTPUT, VECTOR = Role.HIDDEN, Role.INPUT, Role.OUTPUT, Role.VECTOR


def conv(h, kernel, groups):
    return jax.lax.conv_general_dilated(
        h, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=groups
    )


def soft_mixture(h, router, experts):
    mapped = jnp.einsum("btd,edf->btef", h, experts)
    return jnp.einsum("bte,btef->btf", jax.nn.softmax(h @ router), mapped)


# The shapes of a layer's parameters by width, what it does with them, and what is to be read.
LAYERS = {
    "dense": ([lambda n: (n, n)], lambda h, w: h @ w, [("0 -> 1", HIDDEN)]),
    "stored (out, in)": ([lambda n: (n, n)], lambda h, w: h @ w.T, [("1 -> 0", HIDDEN)]),
    "up and down": (
        [lambda n: (n, 4 * n), lambda n: (4 * n, n)],
        lambda h, up, down: jax.nn.gelu(h @ up) @ down,
        [("0 -> 1", HIDDEN), ("0 -> 1", HIDDEN)],
    ),
    "adapter": (
        [lambda n: (n, 2), lambda n: (2, n)],
        lambda h, a, b: h @ a @ b,
        [("0 -> 1", OUTPUT), ("0 -> 1", INPUT)],
    ),
    "norm": (
        [lambda n: (n,), lambda n: (1, n)],
        lambda h, gain, bias: h / (1.0 + jnp.abs(h).mean(-1, keepdims=True)) * gain + bias,
        [("0", VECTOR), ("0 1", VECTOR)],
    ),
    "kernel of heads": (
        [lambda n: (n, n // HEAD, HEAD), lambda n: (n // HEAD, HEAD, n)],
        lambda h, one, two: jnp.einsum("bthk,hkd->btd", jnp.einsum("btd,dhk->bthk", h, one), two),
        [("0 -> 1 2", HIDDEN), ("0 1 -> 2", HIDDEN)],
    ),
    "attention": (
        [lambda n: (n, 3 * n), lambda n: (n, n)],
        lambda h, qkv, out: attend(*map(heads, jnp.split(h @ qkv, 3, axis=-1))) @ out,
        [("0 -> 1", HIDDEN), ("0 -> 1", HIDDEN)],
    ),
    "grouped": (
        [lambda n: (3, n // 2, n)],
        lambda h, kernel: conv(h, kernel, 2),
        [("0 1 -> 2 / 2", HIDDEN)],
    ),
    "depthwise": (
        [lambda n: (3, 1, n)],
        lambda h, kernel: conv(h, kernel, h.shape[-1]),
        [("0 1 -> 2", INPUT)],
    ),
    "mixture": (
        [lambda n: (n, EXPERTS), lambda n: (EXPERTS, n, n)],
        soft_mixture,
        [("0 -> 1", OUTPUT), ("0 | 1 -> 2", HIDDEN)],
    ),
    "scanned": (
        [lambda n: (3, n, n)],
        lambda h, stack: jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), h, stack)[0],
        [("0 | 1 -> 2", HIDDEN)],
    ),
    "state space": (
        [lambda n: (n, STATE), lambda n: (n, STATE)],
        lambda h, b, c: (jnp.cumsum(h[..., None] * b, axis=1) * c).sum(-1),
        [("0 1", VECTOR), ("0 1", VECTOR)],
    ),
}
CALLS = {
    "as it is": lambda layer: layer,
    "jit": jax.jit,
    "remat": jax.checkpoint,
    "cond": lambda layer: (
        lambda h, *weights: jax.lax.cond(h.sum() > 0, layer, lambda h, *_: h, h, *weights)
    ),
    "vmapped": lambda layer: (
        lambda h, *weights: jax.vmap(lambda one: layer(one[None], *weights)[0])(h)
    ),
    "residual": lambda layer: lambda h, *weights: h + layer(h, *weights),
}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(LAYERS)), st.sampled_from(sorted(CALLS))),
        min_size=1,
        max_size=4,
    )
)
def test_every_parameter_is_read_as_it_is_used(chosen):
    shapes, expected = {}, {}
    for index, (kind, _) in enumerate(chosen):
        sizes, _, found = LAYERS[kind]
        for place, (size, read) in enumerate(zip(sizes, found, strict=True)):
            shapes[f"{index}_{place}"], expected[f"{index}_{place}"] = size, read

    def apply(p, x):
        h = x @ p["embed"]
        for index, (kind, call) in enumerate(chosen):
            sizes, layer, _ = LAYERS[kind]
            weights = [p[f"{index}_{place}"] for place in range(len(sizes))]
            h = CALLS[call](layer)(h, *weights)
        return h @ p["readout"]

    layout = layout_of(inner(**shapes), SEQUENCES, apply)
    assert {path: (str(layout[path].axes), layout[path].role) for path in shapes} == expected
    ends = {path: layout[path].role for path in ("embed", "readout")}
    assert ends == {"embed": INPUT, "readout": OUTPUT}
