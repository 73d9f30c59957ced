"""Convolution and pooling of images.

Shapes are written after a name: B batch, H height, W width, C channels.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.models import variables

AXES = "kernel_height kernel_width in_channels -> out_channels"
_LAYOUT = ("NHWC", "HWIO", "NHWC")


class Convolution(nnx.Module):
    """y = (multiplier * kernel) convolved with x, without a bias; fan-in is area times channels.

    The kernel is square, of odd size, and stored in float32 or better; the product is taken in
    `dtype`. Zeros are padded by half the kernel on every side, as published weights expect, so that
    a stride of s divides height and width by s, rounded up.

    Example:
      >>> layer = Convolution(nnx.Rngs(0), 3, 2, 8, stride=2)
      >>> layer(jnp.ones((1, 5, 6, 2))).shape
      (1, 3, 3, 8)
    """

    def __init__(
        self,
        rngs: nnx.Rngs,
        size: int,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        gain: float = 1.0,
        dtype: jnp.dtype = jnp.float32,
    ):
        shape = (size, size, inputs, outputs)
        self.kernel = variables.weight(rngs, AXES, shape, gain=gain)
        self.multiplier = variables.multiplier(AXES, shape)
        self.padding = (size // 2, size // 2)
        self.stride = stride
        self.dtype = dtype

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Map (B, H, W, inputs) to (B, H / stride, W / stride, outputs)."""
        # The multiplier meets the weight before the cast, so bfloat16 rounds their product once.
        kernel = (self.kernel[...] * self.multiplier[...]).astype(self.dtype)
        return jax.lax.conv_general_dilated(
            x_BHWC.astype(self.dtype),
            kernel,
            window_strides=(self.stride, self.stride),
            padding=(self.padding, self.padding),
            dimension_numbers=_LAYOUT,
        )


def max_pool(x_BHWC: jax.Array) -> jax.Array:
    """Largest value of every 3x3 window, two apart: halves height and width, rounded up."""
    return nnx.max_pool(x_BHWC, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
