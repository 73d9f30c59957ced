"""Normalization of images by the batch, by groups of channels, or by the channels of a pixel.

All compute in float32 or better, return their input's dtype, and end in a gain and a bias for each
channel. Shapes are written after a name: B batch, H height, W width, C channels, G groups.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.models import variables
from transfer.models.layers import exact

NORMS = ("batch", "group", "layer")
_EPSILON = 1e-5
_MOMENTUM = 0.9


class ImageNorm(nnx.Module):
    """What all norms share: (x - mean) / std, then a gain and a bias for each channel."""

    def __init__(self, channels: int, *, gain: float = 1.0):
        self.gain = variables.constant("channels", (channels,), gain)
        self.bias = variables.constant("channels", (channels,), 0.0)

    def _finished(self, x_BHWC: jax.Array, dtype: jnp.dtype) -> jax.Array:
        return (x_BHWC * self.gain[...] + self.bias[...]).astype(dtype)


class BatchNorm(ImageNorm):
    """(x - mean) / std of each channel over the batch and its pixels.

    In training they are those of the whole batch, across all devices that share it; were gradients
    accumulated over parts of a batch, they would be those of each part. A tenth of each batch's
    goes into the running averages, which serve in evaluation; the variance there is the batch's
    own, over n and not n - 1.

    Source: Ioffe & Szegedy, arXiv 1502.03167.
    """

    def __init__(self, channels: int, *, gain: float = 1.0):
        super().__init__(channels, gain=gain)
        self.mean = nnx.BatchStat(jnp.zeros((channels,), jnp.float32))
        self.variance = nnx.BatchStat(jnp.ones((channels,), jnp.float32))
        self.use_running_average = False  # the name by which nnx's `eval` and `train` know it

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Keep the shape; in training, move the running averages."""
        y = x_BHWC.astype(exact(x_BHWC.dtype))
        if self.use_running_average:
            mean, variance = self.mean[...], self.variance[...]
        else:
            mean, variance = _moments(y, (0, 1, 2))
            for average, new in ((self.mean, mean), (self.variance, variance)):
                moved = _MOMENTUM * average[...] + (1 - _MOMENTUM) * new.reshape(-1)
                average.set_value(moved.astype(average.dtype))
        return self._finished(_normalized(y, mean, variance), x_BHWC.dtype)


class GroupNorm(ImageNorm):
    """(x - mean) / std of each image over its pixels and a group of neighboring channels.

    Source: Wu & He, arXiv 1803.08494.
    """

    def __init__(self, channels: int, groups: int, *, gain: float = 1.0):
        super().__init__(channels, gain=gain)
        self.groups = groups

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Keep the shape."""
        B, H, W, C = x_BHWC.shape
        y = x_BHWC.astype(exact(x_BHWC.dtype)).reshape(B, H, W, self.groups, C // self.groups)
        y = _normalized(y, *_moments(y, (1, 2, 4))).reshape(B, H, W, C)
        return self._finished(y, x_BHWC.dtype)


class LayerNorm(ImageNorm):
    """(x - mean) / std of each pixel over its channels.

    Source: Ba et al., arXiv 1607.06450.
    """

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Keep the shape."""
        y = x_BHWC.astype(exact(x_BHWC.dtype))
        return self._finished(_normalized(y, *_moments(y, (3,))), x_BHWC.dtype)


def _moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    mean = jnp.mean(x, axis=axes, keepdims=True)
    return mean, jnp.mean(jnp.square(x - mean), axis=axes, keepdims=True)


def _normalized(x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
    return (x - mean) * jax.lax.rsqrt(variance + _EPSILON)
