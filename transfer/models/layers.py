"""Layers that every model here is made of; none of them knows a parametrization.

Shapes are written after a name: B batch, T time, D embed, N heads, K kv heads, H head dim.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from transfer.errors import TransferError
from transfer.models import variables
from transfer.models.products import matrix_product
from transfer.precision import precise_dtype
from transfer.scaling import Axes
from transfer.sharding import collectives

# What a policy of rematerialization calls the outputs of products with weights: it cannot see the
# products themselves, because they have backward passes of their own.
PRODUCT = "product"
DTYPES = ("bfloat16", "float32", "float64")


def exact(dtype: jnp.dtype) -> jnp.dtype:
    """Return float32, or float64 in a float64 model: the type of norms, positions and logits.

    Raises `TransferError` for float64 without JAX's switch, because JAX would take float32 instead.
    """
    if dtype == jnp.float64 != jax.dtypes.canonicalize_dtype(jnp.float64):
        raise TransferError(
            "model.dtype is float64, which JAX turns into float32 unless its switch is on; "
            "expected model.dtype=float32, or JAX_ENABLE_X64=1 in the environment."
        )
    return precise_dtype(dtype)


class Linear(nnx.Module):
    """y = (multiplier * kernel) x, contracting the trailing axes of x with the leading of kernel.

    The kernel is stored in float32 or better; the product is taken in `dtype`.

    Example:
      >>> layer = Linear(nnx.Rngs(0), "embed -> heads head_dim", (8,), (2, 4))
      >>> layer(jnp.ones((3, 8))).shape
      (3, 2, 4)
    """

    def __init__(
        self,
        rngs: nnx.Rngs,
        axes: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        gain: float = 1.0,
        dtype: jnp.dtype = jnp.float32,
        accumulate: jnp.dtype | None = None,
    ):
        self.kernel = variables.weight(rngs, axes, inputs + outputs, gain=gain)
        self.multiplier = variables.multiplier(axes, inputs + outputs)
        self.axes = Axes.parse(axes)
        self.inputs = inputs
        self.dtype = dtype
        self.accumulate = accumulate

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (..., *inputs) to (..., *outputs)."""
        y = collectives.product(
            self._multiply, x.astype(self.dtype), self.effective_kernel, self.axes
        )
        return checkpoint_name(y, PRODUCT)

    @property
    def effective_kernel(self) -> jax.Array:
        """The kernel times its multiplier, (*inputs, *outputs) in `dtype`."""
        # The multiplier meets the weight before the cast, so bfloat16 rounds their product once.
        return (self.kernel[...] * self.multiplier[...]).astype(self.dtype)

    def _multiply(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        inputs = len(self.inputs)
        batch, outputs = x.shape[: x.ndim - inputs], kernel.shape[inputs:]
        fan_in = math.prod(kernel.shape[:inputs])
        y = matrix_product(x.reshape(*batch, fan_in), kernel.reshape(fan_in, -1), self.accumulate)
        return y.reshape(*batch, *outputs)


# The axes of an embedding table, and of its transpose as a readout.
_TABLE, _READOUT = Axes.parse("vocab -> embed"), Axes.parse("embed -> vocab")


class Embedding(nnx.Module):
    """A table of token vectors, which may also serve as the readout."""

    def __init__(
        self,
        rngs: nnx.Rngs,
        vocabulary: int,
        width: int,
        *,
        std: float,
        tied: bool,
        dtype: jnp.dtype,
    ):
        shape = (vocabulary, width)
        self.table = variables.weight(rngs, "vocab -> embed", shape, std=std, tied=tied)
        self.multiplier = variables.multiplier("vocab -> embed", shape)
        if tied:
            # The table's std does not fall with fan-in as the std of a separate readout would, so
            # the multiplier has to.
            self.readout_multiplier = variables.multiplier(
                "embed -> vocab", shape[::-1], gain=1.0 / std
            )
        self.dtype = dtype

    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        """Look up token ids (B, T): vectors (B, T, D)."""
        x_BTD = collectives.lookup(self.table[...], tokens_BT, _TABLE)
        return (x_BTD * self.multiplier[...]).astype(self.dtype)

    @property
    def readout_kernel(self) -> jax.Array:
        """The table as the kernel (D, V) of a readout."""
        return (self.table[...] * self.readout_multiplier[...]).astype(self.dtype).T

    def logits(self, x_BTD: jax.Array) -> jax.Array:
        """Use the table as readout: logits in float32 or better."""

        def multiply(x_BTD: jax.Array, kernel_DV: jax.Array) -> jax.Array:
            return matrix_product(x_BTD, kernel_DV, exact(self.dtype))

        return collectives.product(multiply, x_BTD, self.readout_kernel, _READOUT)


class RMSNorm(nnx.Module):
    """x / rms(x), times a gain per channel where `gains` is on; in float32 or better."""

    def __init__(self, axes: str, size: int, *, gains: bool, epsilon: float = 1e-6):
        self.gain = variables.constant(axes, (size,), 1.0) if gains else None
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalize the last axis; returns x's dtype."""
        y = x.astype(exact(x.dtype))
        y *= jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.epsilon)
        if self.gain is not None:
            y *= self.gain[...]
        return y.astype(x.dtype)


def rotary(x_BTNH: jax.Array, base: float = 10_000.0) -> jax.Array:
    """Rotate pairs of channels (i, i + H/2) by position * base^(-2i/H), in float32 or better.

    Source: Su et al., arXiv 2104.09864, in the half-split layout of the published LLaMA weights.
    """
    half, dtype = x_BTNH.shape[-1] // 2, exact(x_BTNH.dtype)
    frequencies_h = base ** (-jnp.arange(half, dtype=dtype) / half)
    angles_Th = jnp.arange(x_BTNH.shape[1], dtype=dtype)[:, None] * frequencies_h
    cos_Th, sin_Th = jnp.cos(angles_Th), jnp.sin(angles_Th)
    cos_TNH = jnp.concatenate([cos_Th, cos_Th], axis=-1)[:, None, :]
    sin_TNH = jnp.concatenate([-sin_Th, sin_Th], axis=-1)[:, None, :]
    # Swap before the cast, so that the cast copy needs no memory of its own.
    swapped_BTNH = jnp.roll(x_BTNH, half, axis=-1)
    return x_BTNH.astype(dtype) * cos_TNH + swapped_BTNH.astype(dtype) * sin_TNH


def silu(x: jax.Array) -> jax.Array:
    """x sigmoid(x), in float32 or better by the sigmoid's form as a tanh.

    CPUs compute it faster than the exponential and the division of the other form, but in 16 bits
    it would leave nothing of the sigmoid of large negative numbers.

    Example:
      >>> [round(each, 4) for each in silu(jnp.array([0.0, 1.0])).tolist()]
      [0.0, 0.7311]
    """
    if x.dtype != exact(x.dtype):
        return jax.nn.silu(x)
    return x * (0.5 * jnp.tanh(0.5 * x) + 0.5)
