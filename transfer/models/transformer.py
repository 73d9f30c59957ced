"""A LLaMA-style decoder: RMSNorm, rotary embedding, grouped-query attention, SwiGLU.

Shapes are written after a name: B batch, T time, D embed, N heads, K kv heads, H head dim,
F feed-forward, V vocabulary.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.errors import TransferError
from transfer.models import variables
from transfer.models.attention import (
    BACKENDS,
    RESIDUALS,
    Backend,
    causal_attention,
    select_backend,
)
from transfer.models.inputs import InputSpec, TextInputs
from transfer.models.layers import DTYPES, PRODUCT, Embedding, Linear, RMSNorm, exact, rotary, silu
from transfer.models.scores import Scores, readout_scores
from transfer.sharding import collectives

_LOOPS = ("scan", "unrolled")
# At most so many layers are unrolled.
_UNROLLED_LAYERS = 6
_POLICIES = {
    "": None,
    "elementwise": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_saveable,
        jax.checkpoint_policies.save_only_these_names(RESIDUALS, PRODUCT),
    ),
    "products": jax.checkpoint_policies.save_only_these_names(PRODUCT),
    "full": None,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Shape and numerics of the decoder.

    With `head_dim` above 0 the head dimension is fixed and the number of heads grows with width;
    with `heads` above 0 it is the other way round (set exactly one). `queries_per_kv_head` query
    heads share each key/value head. `attention` is a backend, or empty for the hardware's best.
    `remat` says what of a layer the backward pass computes again: with `elementwise`, what lies
    between products and splash attention, which takes no product twice; with `products`, all but
    the products with weights; with `full`, everything but what enters the layer, for a third more
    arithmetic. Empty, it is `elementwise` on TPUs, where memory is slow beside arithmetic and
    `experiments/plan` shows what that saves, and nothing elsewhere. `layer_loop` is
    `scan`, which compiles one layer for all, `unrolled`, which compiles each, or empty for what
    suits the hardware (`select_loop`).
    """

    reads: ClassVar[str] = "text"
    kind: str = dataclasses.field(default="transformer", init=False)
    width: int = 128
    layers: int = 3
    vocabulary: int = 256
    head_dim: int = 16
    heads: int = 0
    queries_per_kv_head: int = 1
    feed_forward_multiple: float = 3.0
    qk_norm: bool = False
    norm_gains: bool = True
    tied: bool = False
    zero_init_query: bool = False
    zero_init_readout: bool = False
    embedding_std: float = 1.0
    dtype: str = "bfloat16"
    remat: str = ""
    attention: str = ""
    layer_loop: str = ""

    # Changes no result, and no trial's name.
    UNNAMED: ClassVar[tuple[str, ...]] = ("layer_loop",)
    REFUSED: ClassVar[Mapping[str, str]] = {
        "kv_heads": "a fixed number of key/value heads makes K and V maps from the width to a "
        "finite size, which no hidden rule fits; expected queries_per_kv_head, so that key/value "
        "heads grow with the heads",
        "rematerialise": "it is called remat, as in JAX",
    }

    def __post_init__(self) -> None:
        for name in ("width", "layers", "vocabulary", "queries_per_kv_head"):
            if getattr(self, name) < 1:
                raise TransferError(
                    f"model.{name} is {getattr(self, name)}; expected a whole number of at least 1."
                )
        if min(self.head_dim, self.heads) < 0 or (self.head_dim > 0) == (self.heads > 0):
            raise TransferError(
                f"model.head_dim is {self.head_dim} and model.heads is {self.heads}; expected "
                "exactly one above 0 and the other 0: a fixed head_dim, or a fixed number of heads."
            )
        fixed, name = (self.head_dim, "head_dim") if self.head_dim else (self.heads, "heads")
        if self.width % fixed:
            raise TransferError(
                f"model.{name} = {fixed} does not divide the width {self.width}; expected a width "
                f"that is a multiple of {fixed}."
            )
        if self.query_heads % self.queries_per_kv_head:
            raise TransferError(
                f"model.queries_per_kv_head = {self.queries_per_kv_head} does not divide the "
                f"{self.query_heads} heads at width {self.width}; expected a divisor of the number "
                "of heads at every width."
            )
        if self.size_per_head % 2:
            raise TransferError(
                f"The head dimension {self.size_per_head} is odd; expected an even one, since "
                "rotary embedding rotates pairs of channels."
            )
        if self.feed_forward_multiple * self.width % 1 or self.feed_forward < 1:
            raise TransferError(
                f"model.feed_forward_multiple = {self.feed_forward_multiple} gives no whole number "
                f"above 0 at width {self.width}; expected a multiple that does at every width."
            )
        if not self.embedding_std > 0:
            raise TransferError(
                f"model.embedding_std is {self.embedding_std}; expected a std above 0."
            )
        if self.dtype not in DTYPES:
            raise TransferError(
                f'model.dtype "{self.dtype}" is unknown; expected one of {", ".join(DTYPES)}.'
            )
        if self.remat not in _POLICIES:
            raise TransferError(
                f'model.remat "{self.remat}" is unknown; expected '
                f"one of {', '.join(filter(None, _POLICIES))}, or nothing for what suits the "
                "hardware."
            )
        if self.layer_loop not in ("", *_LOOPS):
            raise TransferError(
                f'model.layer_loop "{self.layer_loop}" is unknown; expected '
                f"{' or '.join(_LOOPS)}, or nothing for what suits the hardware."
            )
        if self.attention and self.attention not in BACKENDS:
            raise TransferError(
                f'model.attention "{self.attention}" is unknown; expected one of '
                f"{', '.join(BACKENDS)}, or nothing for the hardware's best."
            )

    @property
    def size_per_head(self) -> int:
        """H, the head dimension at this width."""
        return self.head_dim or self.width // self.heads

    @property
    def query_heads(self) -> int:
        """N, the number of query heads at this width."""
        return self.heads or self.width // self.head_dim

    @property
    def kv_heads(self) -> int:
        """K, the number of key/value heads at this width."""
        return self.query_heads // self.queries_per_kv_head

    @property
    def feed_forward(self) -> int:
        """F, the width of the feed-forward layer."""
        return round(self.feed_forward_multiple * self.width)

    @property
    def description(self) -> str:
        """The shape in words, but for the width."""
        return f"{self.layers} layers"

    def require_fit(self, inputs: InputSpec) -> None:
        """Raise `TransferError` unless every token of the data has a row in the embedding table."""
        assert isinstance(inputs, TextInputs)  # `Experiment` pairs a model with what it reads
        inputs.require_vocabulary(self.vocabulary)

    def build(self, rngs: nnx.Rngs) -> "Transformer":
        """Make the module."""
        return Transformer(self, rngs)

    def plain(self, *, zero_init: bool = False) -> "TransformerConfig":
        """The same shape in float32, by XLA's attention; queries and readout may start at zero."""
        return dataclasses.replace(
            self,
            dtype="float32",
            attention="xla",
            layer_loop="scan",
            zero_init_query=zero_init,
            zero_init_readout=zero_init,
        )

    def on(self, platform: str, inputs: jax.ShapeDtypeStruct) -> "TransformerConfig":
        """The same with a platform's attention for these inputs and its `remat`, unless set."""
        selected = select_backend(
            platform, jnp.dtype(self.dtype), inputs.shape[-1], self.size_per_head
        )
        return dataclasses.replace(
            self,
            attention=self.attention or selected,
            remat=self.remat or ("elementwise" if platform == "tpu" else ""),
            layer_loop=self.layer_loop or select_loop(platform, self.layers),
        )

    def example(self, key: jax.Array) -> jax.Array:
        """Two sequences of 16 random tokens."""
        return jax.random.randint(key, (2, 16), 0, self.vocabulary)


def select_loop(platform: str, layers: int) -> str:
    """Name the faster way through the layers of which compiling does not take too long.

    A scan stores what the backward pass needs in stacks that hold all layers, fills them with zeros
    first and copies each layer out again, which CPUs do not hide behind products: a step of 3
    unrolled layers takes 0.83 of the time of scanned ones at width 256 and 0.75 at 64. Compiling a
    scan takes 3 to 4 s for any number of layers; unrolled, 2 layers take 3 s, 6 take 4, 12 take 6
    and 24 take 15. CPUs therefore unroll up to 6 layers, and accelerators none.

    Example:
      >>> select_loop("cpu", 3), select_loop("cpu", 24), select_loop("tpu", 3)
      ('unrolled', 'scan', 'scan')
    """
    return "unrolled" if platform == "cpu" and layers <= _UNROLLED_LAYERS else "scan"


class Attention(nnx.Module):
    """Causal grouped-query attention with rotary positions and optional QK-norm."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        D, N, K = (config.width,), config.query_heads, config.kv_heads
        H, dtype = config.size_per_head, jnp.dtype(config.dtype)
        query_gain = 0.0 if config.zero_init_query else 1.0
        q_axes, kv_axes = "embed -> heads head_dim", "embed -> kv_heads head_dim"
        self.query = Linear(rngs, q_axes, D, (N, H), gain=query_gain, dtype=dtype)
        self.key = Linear(rngs, kv_axes, D, (K, H), dtype=dtype)
        self.value = Linear(rngs, kv_axes, D, (K, H), dtype=dtype)
        self.out = Linear(
            rngs, "heads head_dim -> embed", (N, H), D, gain=_branch_gain(config), dtype=dtype
        )
        self.logit_multiplier = variables.multiplier("head_dim ->", (H,))
        gains = config.norm_gains
        self.query_norm = RMSNorm("head_dim", H, gains=gains) if config.qk_norm else None
        self.key_norm = RMSNorm("head_dim", H, gains=gains) if config.qk_norm else None
        self.backend: Backend | None = config.attention or None  # type: ignore[assignment]
        self.dtype = dtype

    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """Attend; keeps the shape (B, T, D)."""
        q_BTNH = collectives.activation(self.query(x_BTD), "batch time heads head_dim")
        k_BTKH = collectives.activation(self.key(x_BTD), "batch time kv_heads head_dim")
        v_BTKH = collectives.activation(self.value(x_BTD), "batch time kv_heads head_dim")
        if self.query_norm is not None and self.key_norm is not None:
            q_BTNH, k_BTKH = self.query_norm(q_BTNH), self.key_norm(k_BTKH)
        q_BTNH = (rotary(q_BTNH) * self.logit_multiplier[...]).astype(self.dtype)
        k_BTKH = rotary(k_BTKH).astype(self.dtype)
        return self.out(causal_attention(q_BTNH, k_BTKH, v_BTKH, self.backend))


class SwiGLU(nnx.Module):
    """down(silu(gate(x)) * up(x)), Shazeer, arXiv 2002.05202."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        D, F, dtype = (config.width,), (config.feed_forward,), jnp.dtype(config.dtype)
        self.gate = Linear(rngs, "embed -> feed_forward", D, F, dtype=dtype)
        self.up = Linear(rngs, "embed -> feed_forward", D, F, dtype=dtype)
        self.down = Linear(
            rngs, "feed_forward -> embed", F, D, gain=_branch_gain(config), dtype=dtype
        )

    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """Feed forward; keeps the shape (B, T, D)."""
        y_BTF = silu(self.gate(x_BTD)) * self.up(x_BTD)
        return self.down(collectives.activation(y_BTF, "batch time feed_forward"))


class Block(nnx.Module):
    """x + b attention(norm(x)), then x + b feed_forward(norm(x)), with b the branch multiplier."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        self.attention_norm = RMSNorm("embed", config.width, gains=config.norm_gains)
        self.attention = Attention(config, rngs)
        self.feed_forward_norm = RMSNorm("embed", config.width, gains=config.norm_gains)
        self.feed_forward = SwiGLU(config, rngs)
        self.branch_multiplier = variables.multiplier("->", ())

    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """Add both branches; keeps the shape (B, T, D)."""
        x_BTD = x_BTD + self._branch(self.attention(self.attention_norm(x_BTD)))
        x_BTD = x_BTD + self._branch(self.feed_forward(self.feed_forward_norm(x_BTD)))
        return collectives.activation(x_BTD, "batch time embed")

    def _branch(self, y_BTD: jax.Array) -> jax.Array:
        return (y_BTD * self.branch_multiplier[...]).astype(y_BTD.dtype)


class Transformer(nnx.Module):
    """The decoder: token ids (B, T) to logits (B, T, V) in float32 or better.

    Its weights are standard normal until `transfer.models.initialize` scales them by a recipe.
    """

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        dtype = jnp.dtype(config.dtype)
        self.embedding = Embedding(
            rngs,
            config.vocabulary,
            config.width,
            std=config.embedding_std,
            tied=config.tied,
            dtype=dtype,
        )
        self.blocks: Any = variables.stack(
            lambda rngs: Block(config, rngs), "layers", config.layers, rngs
        )
        self.norm = RMSNorm("embed", config.width, gains=config.norm_gains)
        self.readout = (
            None
            if config.tied
            else Linear(
                rngs,
                "embed -> vocab",
                (config.width,),
                (config.vocabulary,),
                gain=0.0 if config.zero_init_readout else 1.0,
                dtype=dtype,
                accumulate=exact(dtype),
            )
        )
        self.remat = config.remat
        self.unrolled = config.layer_loop == "unrolled"

    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        """Map token ids (B, T) to logits (B, T, V)."""
        x_BTD = self._features(tokens_BT)
        logits_BTV = self.embedding.logits(x_BTD) if self.readout is None else self.readout(x_BTD)
        return collectives.activation(logits_BTV, "batch time vocab")

    def scores(self, tokens_BT: jax.Array, labels_BT: jax.Array) -> Scores:
        """Score the logits of token ids (B, T) by labels (B, T), without holding all of them."""
        x_BTD = self._features(tokens_BT)
        if self.readout is None:
            return readout_scores(x_BTD, self.embedding.readout_kernel, labels_BT)
        return readout_scores(x_BTD, self.readout.effective_kernel, labels_BT)

    def _features(self, tokens_BT: jax.Array) -> jax.Array:
        def forward(block: Block, x_BTD: jax.Array) -> jax.Array:
            return block(x_BTD)

        if self.remat:
            # Two passes of a loop have no common subexpressions that would have to be kept apart.
            policy = _POLICIES[self.remat]
            each = nnx.remat(forward, prevent_cse=self.unrolled, policy=policy)
        else:
            each = forward
        x_BTD = collectives.activation(self.embedding(tokens_BT), "batch time embed")
        if self.unrolled:
            for block in variables.unstack(self.blocks):
                x_BTD = each(block, x_BTD)
        else:
            layers = nnx.scan(each, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
            x_BTD = layers(self.blocks, x_BTD)
        return self.norm(x_BTD)


def _branch_gain(config: TransformerConfig) -> float:
    # The 2L branches add up to a residual stream of size 1 at init (GPT-2's rule), whatever L. A
    # layout takes it from its base model, so under a depth rule L is the base depth.
    return 1.0 / math.sqrt(2 * config.layers)
