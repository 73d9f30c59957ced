"""A small decoder as a user writes it, right or with one thing wrong, and its coordinate check."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.checks import CoordinateCheck, check
from transfer.scaling import Recipe

VOCABULARY, HEAD_DIM, HEADS = 16, 16, 2
BASE_WIDTH = 128
# A width in between would not move a slope of least squares.
WIDTHS = (128, 512)
TOKENS = jax.random.randint(jax.random.key(1), (2, 8), 0, VOCABULARY)

CONSTANT_STD = nnx.initializers.normal(1.0)
FLAX_DEFAULT = nnx.nn.linear.default_embed_init


# Both are the same at the base width, where a third of 1/sqrt(d) leaves attention nearly uniform:
# logits that fall with width from larger ones pass from a sharp softmax to a flat one, which no
# exponent describes.
def over_dimension(head_dim: int) -> float:
    """1/d, up to a constant."""
    return 2 / head_dim


def over_root(head_dim: int) -> float:
    """1/sqrt(d), up to a constant."""
    return 2 / (head_dim * BASE_WIDTH / HEADS) ** 0.5


class Decoder(nnx.Module):
    """Embedding, one attention layer, one hidden layer, readout.

    The head dimension grows with `heads` of them, or is fixed with -1; with 0 there is no
    attention.
    """

    def __init__(self, width, rngs, *, embedding_init, readout_multiplier, heads, scale):
        def linear(size: int) -> nnx.Linear:
            return nnx.Linear(width, size, use_bias=False, rngs=rngs)

        self.embedding = nnx.Embed(VOCABULARY, width, embedding_init=embedding_init, rngs=rngs)
        if heads:
            self.query, self.key, self.value, self.mix = (linear(width) for _ in range(4))
        self.hidden, self.readout = linear(width), linear(VOCABULARY)
        self.readout_multiplier = readout_multiplier
        self.heads, self.scale = heads if heads >= 0 else width // HEAD_DIM, scale

    def __call__(self, tokens):
        x = self.embedding(tokens)
        if self.heads:
            x = x + self.attention(x)
        x = x + jax.nn.gelu(self.hidden(x))
        return self.readout(x) * self.readout_multiplier

    def attention(self, x):
        B, T, D = x.shape
        query, key, value = (
            layer(x).reshape(B, T, self.heads, -1) for layer in (self.query, self.key, self.value)
        )
        scores = jnp.einsum("bthd,bshd->bhts", query, key) * self.scale(D // self.heads)
        weights = jax.nn.softmax(jnp.where(jnp.tri(T) > 0, scores, -1e9))
        return self.mix(jnp.einsum("bhts,bshd->bthd", weights, value).reshape(B, T, D))


@functools.cache
def builder(embedding_init, readout_exponent: int, heads: int, scale):
    """Width and seed to a decoder; compiled once for all checks of the same architecture."""

    @nnx.jit(static_argnums=0)
    def build(width: int, seed: jax.Array) -> Decoder:
        return Decoder(
            width,
            nnx.Rngs(jax.random.key(seed)),
            embedding_init=embedding_init,
            readout_multiplier=(width / BASE_WIDTH) ** readout_exponent,
            heads=heads,
            scale=scale,
        )

    return build


@functools.cache
def measured(
    recipe: str = "mup_table3",
    *,
    embedding_init=CONSTANT_STD,
    readout_exponent: int = 0,
    heads: int = 0,
    scale=over_dimension,
    multiplied: tuple[str, ...] = (),
    rescale: bool = True,
    make_optimizer=None,
) -> CoordinateCheck:
    """Check the decoder at two widths; its logits are scaled by width to `readout_exponent`."""
    return check(
        builder(embedding_init, readout_exponent, heads, scale),
        WIDTHS,
        base_width=BASE_WIDTH,
        recipe=Recipe.parse(recipe),
        inputs=TOKENS,
        rescale=rescale,
        multiplied=multiplied,
        make_optimizer=make_optimizer,
        seeds=12,
        steps=1,
    )
