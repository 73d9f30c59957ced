"""The largest singular value of a convolution as a linear map of whole images."""

import jax
import jax.numpy as jnp

from transfer.errors import TransferError


def convolution_norm(kernel: jax.Array, height: int, width: int) -> jax.Array:
    """The exact operator norm of a convolution of stride 1 that wraps around the image's edges.

    Such a convolution is diagonal in Fourier space: at each of the height x width frequencies f it
    multiplies the channels by the matrix K(f) = sum_x kernel[x] exp(-2 pi i f x), so that

        norm = max over f of sigma_max(K(f)).

    The kernel's largest singular value as a matrix (fan-in, fan-out), which `top_singular_values`
    gives, is another number: the norm is at most sqrt(kernel area) times as large. With zeros
    around the image instead, the norm is at most that of an image larger by the zeros that the
    kernel reaches. Computed in float32 or better.

    Arguments:
      kernel: (kernel_height, kernel_width, in_channels, out_channels), as flax stores it.
      height, width: of the image, at least those of the kernel.

    Raises:
      TransferError: the kernel is larger than the image, or has other axes.

    Example:
      >>> identity = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))
      >>> print(convolution_norm(4 * identity, 8, 8))
      4.0

    Source: Sedghi, Gupta & Long, arXiv 1805.10408, Theorem 6.
    """
    if kernel.ndim != 4 or kernel.shape[0] > height or kernel.shape[1] > width:
        raise TransferError(
            f"The kernel has shape {kernel.shape} and the image {height} x {width} pixels; "
            "expected a kernel (height, width, in_channels, out_channels) no larger than the image."
        )
    exact = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
    # The kernel is real, so half the frequencies are conjugates of the others.
    frequencies = jnp.fft.rfft2(exact, (height, width), axes=(0, 1))
    return jnp.max(jnp.linalg.svd(frequencies, compute_uv=False))
