"""Tiny models of other people's kinds, with the annotations that their forward passes amount to."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

FEATURES, OUTPUTS, TIME, VOCABULARY, STATE, EXPERTS, RANK, HEAD = 3, 2, 5, 7, 4, 4, 2, 4
ROWS = jax.random.normal(jax.random.key(1), (6, FEATURES))
SEQUENCES = jax.random.normal(jax.random.key(2), (3, TIME, FEATURES))
IMAGES = jax.random.normal(jax.random.key(3), (2, 4, 4, FEATURES))
TOKENS = jax.random.randint(jax.random.key(4), (2, TIME), 0, VOCABULARY)


@dataclasses.dataclass(frozen=True)
class Family:
    """A model as a function of width and seed, and what is to be found in it.

    `axes` are the annotations by path; a path may end in `*`. `fans` are (fan-in, fan-out) at width
    16 of those that the annotations do not make plain. `frozen` says which paths are not trained,
    `tied` which table is also the readout.
    """

    build: Callable[[int, int], Any]
    inputs: Any
    axes: Mapping[str, str]
    apply: Callable[..., jax.Array] | None = None
    fans: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    tied: str = ""


def drawn(shapes: Mapping[str, tuple[Any, ...]], n: int, seed: int) -> dict[str, jax.Array]:
    """Arrays of std 1 / sqrt(fan-in); a shape is a function of the width and the fan-in's axes."""
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    tree = {}
    for key, (name, (shape, *inputs)) in zip(keys, shapes.items(), strict=True):
        sizes = shape(n)
        fan = 1
        for axis in inputs:
            fan *= sizes[axis]
        tree[name] = jax.random.normal(key, sizes) / fan**0.5
    return tree


def norm(h):
    return (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)


def heads(h):
    return h.reshape(*h.shape[:-1], -1, HEAD)


def attend(q, k, v, bias=0.0):
    """Attention of queries (B, T, H, D) to keys and values (B, S, H, D), as (B, T, H D)."""
    logits = jnp.einsum("bthd,bshd->bhts", q, k) / HEAD**0.5 + bias
    mixed = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(logits), v)
    return mixed.reshape(*mixed.shape[:2], -1)


# In the middle of most: from features to the width at the start, from the width to outputs last.
ENDS = {"embed": (lambda n: (FEATURES, n), 0), "readout": (lambda n: (n, OUTPUTS), 0)}
SQUARE = (lambda n: (n, n), 0)
QKV = dict.fromkeys(("query", "key", "value"), SQUARE)
MATRICES = {"embed": "0 -> 1", "readout": "0 -> 1"}
QKV_AXES = dict.fromkeys(QKV, "0 -> 1")


def tree(shapes, layer, inputs, axes, **settings) -> Family:
    """A plain tree of arrays between the two ends."""
    shapes = {**ENDS, **shapes}
    return Family(
        lambda n, seed: drawn(shapes, n, seed),
        inputs,
        {**MATRICES, **axes},
        lambda p, x: norm(layer(p, x @ p["embed"])) @ p["readout"],
        **settings,
    )


class ViT(nnx.Module):
    def __init__(self, n, seed):
        rngs = nnx.Rngs(seed)
        self.patches = nnx.Conv(FEATURES, n, (2, 2), strides=2, padding="VALID", rngs=rngs)
        self.token = nnx.Param(0.5 * jax.random.normal(rngs.params(), (1, 1, n)))
        self.positions = nnx.Param(0.5 * jax.random.normal(rngs.params(), (1, 5, n)))
        self.norm = nnx.LayerNorm(n, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(n // HEAD, n, decode=False, rngs=rngs)
        self.up = nnx.Linear(n, 2 * n, rngs=rngs)
        self.down = nnx.Linear(2 * n, n, rngs=rngs)
        self.readout = nnx.Linear(n, OUTPUTS, rngs=rngs)

    def __call__(self, images):
        h = self.patches(images)
        h = h.reshape(len(h), -1, h.shape[-1])
        token = jnp.broadcast_to(self.token[...], (len(h), 1, h.shape[-1]))
        h = jnp.concatenate([token, h], axis=1) + self.positions[...]
        h = h + self.attention(self.norm(h))
        h = h + self.down(nnx.gelu(self.up(h)))
        return self.readout(norm(h[:, 0]))


class GRU(linen.Module):
    n: int

    @linen.compact
    def __call__(self, x):
        return linen.Dense(OUTPUTS)(linen.RNN(linen.GRUCell(self.n))(x)[:, -1])


class UNet(linen.Module):
    n: int

    @linen.compact
    def __call__(self, images):
        wide = linen.relu(linen.Conv(self.n, (3, 3), name="enter")(images))
        deep = linen.relu(linen.Conv(2 * self.n, (3, 3), strides=2, name="down")(wide))
        up = linen.ConvTranspose(self.n, (2, 2), strides=(2, 2), name="up")(deep)
        # Both parts of this fan-in grow with width.
        h = linen.Conv(self.n, (3, 3), name="merge")(jnp.concatenate([wide, up], axis=-1))
        return linen.Conv(OUTPUTS, (1, 1), name="leave")(linen.relu(h))


class ResNeXt(nnx.Module):
    def __init__(self, n, seed):
        rngs = nnx.Rngs(seed)
        self.enter = nnx.Conv(FEATURES, n, (1, 1), use_bias=False, rngs=rngs)
        self.grouped = nnx.Conv(n, n, (3, 3), feature_group_count=4, use_bias=False, rngs=rngs)
        self.depthwise = nnx.Conv(n, n, (3, 3), feature_group_count=n, use_bias=False, rngs=rngs)
        self.norm = nnx.GroupNorm(n, num_groups=2, rngs=rngs)
        self.leave = nnx.Linear(n, OUTPUTS, use_bias=False, rngs=rngs)

    def __call__(self, images):
        h = self.enter(images)
        h = h + self.grouped(nnx.relu(self.norm(h)))
        h = h + self.depthwise(nnx.relu(h))
        return self.leave(norm(h.mean((1, 2))))


@jax.tree_util.register_pytree_with_keys_class
class Equinox:
    """A module as equinox has them: a tree with functions and numbers among its leaves."""

    def __init__(self, layers, activation, rate):
        self.layers, self.activation, self.rate = layers, activation, rate

    def tree_flatten_with_keys(self):
        names = ("layers", "activation", "rate")
        return [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names], None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)

    @classmethod
    def drawn(cls, n, seed):
        sizes = [(FEATURES, n), (n, n), (n, OUTPUTS)]
        layers = []
        for key, (inputs, outputs) in zip(
            jax.random.split(jax.random.key(seed), 3), sizes, strict=True
        ):
            bound = inputs**-0.5
            weight, bias = (
                jax.random.uniform(each, shape, minval=-bound, maxval=bound)
                for each, shape in zip(
                    jax.random.split(key), ((outputs, inputs), (outputs,)), strict=True
                )
            )
            layers.append({"weight": weight, "bias": bias})
        return cls(layers, jax.nn.relu, 0.1)

    def __call__(self, x):
        *inner, last = self.layers
        for layer in inner:
            x = self.activation(layer["weight"] @ x + layer["bias"])
        return last["weight"] @ x + last["bias"]


def mixture(gates, p, h):
    up = jax.nn.relu(jnp.einsum("bd,edf->ebf", h, p["up"]))
    return h + jnp.einsum("be,ebd->bd", gates, jnp.einsum("ebf,efd->ebd", up, p["down"]))


def soft_mixture(p, h):
    return mixture(jax.nn.softmax(h @ p["router"]), p, h)


def top_two_mixture(p, h):
    """Every row goes to its best two experts, sorted by expert and multiplied group by group."""
    values, chosen = jax.lax.top_k(h @ p["router"], 2)
    order = jnp.argsort(chosen.ravel())
    rows, sizes = order // 2, jnp.bincount(chosen.ravel(), length=EXPERTS)
    up = jax.nn.relu(jax.lax.ragged_dot(h[rows], p["up"], sizes))
    down = jax.lax.ragged_dot(up, p["down"], sizes) * jax.nn.softmax(values).ravel()[order][:, None]
    return h + jnp.zeros_like(h).at[rows].add(down)


EXPERT_SHAPES = {
    "router": (lambda n: (n, EXPERTS), 0),
    "up": (lambda n: (EXPERTS, n, 2 * n), 1),
    "down": (lambda n: (EXPERTS, 2 * n, n), 1),
}
EXPERT_AXES = {"router": "0 -> 1", "up": "0 | 1 -> 2", "down": "0 | 1 -> 2"}


def encode_decode(p, tokens, readout=1.0):
    source = p["table"][tokens]
    source = source + attend(*(heads(source @ p[name]) for name in QKV)) @ p["out"]
    target = p["table"][jnp.roll(tokens, 1, axis=1)]
    q, k, v = target @ p["ask"], source @ p["tell"], source @ p["give"]
    target = target + attend(heads(q), heads(k), heads(v)) @ p["merge"]
    return norm(target) @ p["table"].T * readout


ENCODER_DECODER = {
    "table": (lambda n: (VOCABULARY, n),),
    **QKV,
    **dict.fromkeys(("out", "ask", "tell", "give", "merge"), SQUARE),
}


def state_space(p, h):
    """h_t = exp(-exp(a) dt) h_(t-1) + dt b x_t, y_t = sum_states c h_t, for each channel."""
    step = jnp.exp(p["log_step"])[:, None]
    decay = jnp.exp(-jnp.exp(p["log_a"]) * step)

    def advance(state, x):
        state = decay * state + step * p["b"] * x[..., None]
        return state, (state * p["c"]).sum(-1)

    start = jnp.zeros((h.shape[0], h.shape[2], STATE))
    _, mixed = jax.lax.scan(advance, start, h.swapaxes(0, 1))
    return jax.nn.gelu(mixed.swapaxes(0, 1) @ p["mix"])


def state_space_drawn(n, seed):
    shapes = {**ENDS, "b": (lambda n: (n, STATE),), "c": (lambda n: (n, STATE),), "mix": SQUARE}
    return {
        **drawn(shapes, n, seed),
        "log_a": jnp.tile(jnp.log(jnp.arange(1.0, STATE + 1)), (n, 1)),
        "log_step": jnp.linspace(-3.0, -1.0, n),
    }


def alibi(p, h):
    distance = jnp.abs(jnp.arange(TIME)[:, None] - jnp.arange(TIME))
    bias = -p["slopes"][:, None, None] * distance
    return h + attend(*(heads(h @ p[name]) for name in QKV), bias) @ p["out"]


def alibi_drawn(n, seed):
    count = n // HEAD
    slopes = 2.0 ** (-8.0 * jnp.arange(1, count + 1) / count)
    return {**drawn({**ENDS, **QKV, "out": SQUARE}, n, seed), "slopes": slopes}


def perceiver(p, x):
    """Latents that no batch repeats: they are told from a factor of the queries' matrix by +."""

    def one(x):
        latents = p["latents"]
        q, k, v = latents @ p["query"], x @ p["key"], x @ p["value"]
        latents = latents + attend(*(heads(each)[None] for each in (q, k, v)))[0] @ p["out"]
        return norm(latents).mean(0) @ p["readout"]

    return jax.vmap(one)(x)


def pooled(p, h):
    """Attention pooling by a learned query, repeated for each example."""
    query = jnp.broadcast_to(p["pool"], (len(h), 1, p["pool"].shape[-1]))
    return attend(*(heads(each) for each in (query @ p["query"], h @ p["key"], h @ p["value"])))


def adapted(p, h):
    return jax.nn.relu(h @ p["frozen"] + h @ p["a"] @ p["b"])


KERNEL, BIAS = "0 -> 1", "0"

FAMILIES = {
    "vit": Family(
        ViT,
        IMAGES,
        {
            "patches.kernel": "0 1 2 -> 3",
            "token": "0 | 1 2",
            "positions": "0 1 2",
            **{f"attention.{name}.kernel": "0 -> 1 2" for name in QKV},
            **{f"attention.{name}.bias": "0 1" for name in QKV},
            "attention.out.kernel": "0 1 -> 2",
            **{f"{name}.kernel": KERNEL for name in ("up", "down", "readout")},
            "*": BIAS,
        },
        fans={"patches.kernel": (12, 16), "attention.out.kernel": (16, 16)},
    ),
    "gru": Family(lambda n, seed: GRU(n), SEQUENCES, {"*.kernel": KERNEL, "*.bias": BIAS}),
    "u-net": Family(
        lambda n, seed: UNet(n),
        IMAGES,
        {"*.kernel": "0 1 2 -> 3", "*.bias": BIAS},
        fans={"merge.kernel": (9 * 32, 16), "up.kernel": (4 * 32, 16)},
    ),
    "encoder-decoder": Family(
        lambda n, seed: drawn(ENCODER_DECODER, n, seed),
        TOKENS,
        {"*": KERNEL},
        encode_decode,
        tied="table",
    ),
    "soft mixture": tree(EXPERT_SHAPES, soft_mixture, ROWS, EXPERT_AXES, fans={"down": (32, 16)}),
    "top-2 mixture": tree(EXPERT_SHAPES, top_two_mixture, ROWS, EXPERT_AXES, fans={"up": (16, 32)}),
    "lora": tree(
        {"frozen": SQUARE, "a": (lambda n: (n, RANK), 0), "b": (lambda n: (RANK, n), 0)},
        adapted,
        ROWS,
        dict.fromkeys(("frozen", "a", "b"), KERNEL),
        fans={"a": (16, RANK), "b": (RANK, 16)},
        frozen=("frozen", "embed"),
    ),
    "state space": Family(
        state_space_drawn,
        SEQUENCES,
        {**MATRICES, "mix": KERNEL, "log_step": BIAS, "*": "0 1"},
        lambda p, x: norm(state_space(p, x @ p["embed"])) @ p["readout"],
    ),
    "alibi": Family(
        alibi_drawn,
        SEQUENCES,
        {"slopes": BIAS, "*": KERNEL},
        lambda p, x: norm(alibi(p, x @ p["embed"])) @ p["readout"],
    ),
    "resnext": Family(
        ResNeXt,
        IMAGES,
        {
            "enter.kernel": "0 1 2 -> 3",
            "grouped.kernel": "0 1 2 -> 3 / 4",
            "depthwise.kernel": "0 1 2 -> 3",
            "leave.kernel": KERNEL,
            "*": BIAS,
        },
        fans={"grouped.kernel": (9 * 4, 4), "depthwise.kernel": (9, 16)},
    ),
    "perceiver": Family(
        lambda n, seed: drawn(
            {
                "latents": (lambda n: (2, n),),
                "query": SQUARE,
                "key": ENDS["embed"],
                "value": ENDS["embed"],
                "out": SQUARE,
                "readout": ENDS["readout"],
            },
            n,
            seed,
        ),
        SEQUENCES,
        {"latents": "0 1", "*": KERNEL},
        perceiver,
    ),
    "attention pooling": tree(
        {"pool": (lambda n: (1, 1, n),), **QKV}, pooled, SEQUENCES, {"pool": "0 | 1 2", **QKV_AXES}
    ),
    "equinox": Family(
        Equinox.drawn,
        ROWS,
        {"*.weight": "1 -> 0", "*.bias": BIAS},
        lambda model, x: jax.vmap(model)(x),
        fans={"layers.0.weight": (FEATURES, 16), "layers.2.weight": (16, OUTPUTS)},
    ),
}
