"""Convolution and pooling of images.

Shapes are written after a name: B batch, H height, W width, C channels.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.errors import TransferError
from transfer.models import variables
from transfer.scaling import Axes
from transfer.sharding import collectives

AXES = "kernel_height kernel_width in_channels -> out_channels"
_KERNEL = Axes.parse(AXES)
_LAYOUT = ("NHWC", "HWIO", "NHWC")

BACKENDS = ("xla", "product")


def select_backend(platform: str) -> str:
    """Name the faster way to convolve inside a compiled loop on a platform.

    CPUs have no fast convolution inside a loop, as training is: there the gradient of one took 30
    times as long as that of `product`, a matrix product of the kernel and all windows.

    Example:
      >>> select_backend("cpu"), select_backend("tpu")
      ('product', 'xla')
    """
    return "product" if platform == "cpu" else "xla"


def convolve(
    x_BHWC: jax.Array, kernel_KKCF: jax.Array, stride: int = 1, backend: str = ""
) -> jax.Array:
    """Convolve with a square kernel of odd size K: (B, H, W, C) to (B, H / stride, W / stride, F).

    Zeros are padded by half the kernel on every side. `backend` is selected for the default device
    unless it is given, which compiling ahead of time for another platform needs.

    Example:
      >>> kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(2.0)
      >>> convolve(jnp.arange(4.0).reshape(1, 2, 2, 1), kernel)[0, :, :, 0]
      Array([[0., 2.],
             [4., 6.]], dtype=float32)
    """
    backend = backend or select_backend(jax.default_backend())
    if backend not in BACKENDS:
        raise TransferError(
            f'The convolution backend "{backend}" is unknown; expected one of '
            f"{', '.join(BACKENDS)}."
        )
    K = kernel_KKCF.shape[0]
    around = (K // 2, K // 2)
    if backend == "product":
        return _product(x_BHWC, kernel_KKCF, stride, around)
    return jax.lax.conv_general_dilated(
        x_BHWC,
        kernel_KKCF,
        window_strides=(stride, stride),
        padding=(around, around),
        dimension_numbers=_LAYOUT,
    )


def _product(
    x_BHWC: jax.Array, kernel_KKCF: jax.Array, stride: int, around: tuple[int, int]
) -> jax.Array:
    """The kernel times every window: K^2 shifted views of the image, side by side."""
    _, H, W, C = x_BHWC.shape
    K = kernel_KKCF.shape[0]
    padded = jnp.pad(x_BHWC, ((0, 0), around, around, (0, 0)))
    views = [padded[:, i : i + H : stride, j : j + W : stride] for i in range(K) for j in range(K)]
    windows = jnp.concatenate(views, axis=-1)
    windows = windows.reshape(*windows.shape[:3], K, K, C)
    return jax.lax.dot_general(windows, kernel_KKCF, (((3, 4, 5), (0, 1, 2)), ((), ())))


class Convolution(nnx.Module):
    """y = (multiplier * kernel) convolved with x, without a bias; fan-in is area times channels.

    The kernel is square, of odd size, and stored in float32 or better; the product is taken in
    `dtype`, as `convolve` does it. A stride of s divides height and width by s, rounded up.

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
        backend: str = "",
    ):
        shape = (size, size, inputs, outputs)
        self.kernel = variables.weight(rngs, AXES, shape, gain=gain)
        self.multiplier = variables.multiplier(AXES, shape)
        self.stride = stride
        self.dtype = dtype
        self.backend = backend

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Map (B, H, W, inputs) to (B, H / stride, W / stride, outputs)."""
        # The multiplier meets the weight before the cast, so bfloat16 rounds their product once.
        kernel = (self.kernel[...] * self.multiplier[...]).astype(self.dtype)

        def multiply(x_BHWC: jax.Array, kernel_KKCF: jax.Array) -> jax.Array:
            return convolve(x_BHWC, kernel_KKCF, self.stride, self.backend)

        y_BHWC = collectives.product(multiply, x_BHWC.astype(self.dtype), kernel, _KERNEL)
        return collectives.activation(y_BHWC, "batch height width channels")


def max_pool(x_BHWC: jax.Array) -> jax.Array:
    """Largest value of every 3x3 window, two apart: halves height and width, rounded up."""
    return nnx.max_pool(x_BHWC, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
