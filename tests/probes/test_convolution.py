"""The Fourier norm of a convolution against the dense matrix of the operator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.probes import convolution_norm


def convolved(kernel, images, padding="wrap"):
    """Convolve (B, H, W, C) as deep learning does, with stride 1."""
    before = [((size - 1) // 2, size // 2) for size in kernel.shape[:2]]
    padded = jnp.pad(images, ((0, 0), *before, (0, 0)), mode=padding)
    return jax.lax.conv_general_dilated(
        padded, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def dense(kernel, height, width, **padding):
    """The matrix of the operator: what becomes of an image of one pixel at each place."""
    size = height * width * kernel.shape[2]
    pixels = jnp.eye(size, dtype=kernel.dtype).reshape(size, height, width, -1)
    return np.asarray(convolved(kernel, pixels, **padding)).reshape(size, -1)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# Each example compiles a convolution and a decomposition.
@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    kernel=st.tuples(*(st.integers(1, 4) for _ in range(4))),
    beyond=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 99),
)
def test_it_is_the_largest_singular_value_of_the_dense_matrix(kernel, beyond, seed):
    height, width = kernel[0] + beyond[0], kernel[1] + beyond[1]
    with jax.enable_x64(True):
        weights = jnp.asarray(draw(*kernel, seed=seed))
        matrix = dense(weights, height, width)
        expected = np.linalg.svd(matrix, compute_uv=False)[0]
        assert float(convolution_norm(weights, height, width)) == pytest.approx(expected, rel=1e-12)


def test_the_matrix_view_is_another_number():
    kernel = draw(3, 3, 4, 4)
    norm = float(convolution_norm(jnp.asarray(kernel), 6, 6))
    view = float(np.linalg.svd(kernel.reshape(36, 4), compute_uv=False)[0])
    assert abs(norm / view - 1) > 0.1
    # Every entry of K(f) sums over the area.
    assert norm <= 3 * view * (1 + 1e-6)


def test_of_a_1x1_convolution_both_are_the_same():
    kernel = draw(1, 1, 5, 3)
    norm = float(convolution_norm(jnp.asarray(kernel), 4, 6))
    # A rounding of float32, a few times.
    assert norm == pytest.approx(np.linalg.svd(kernel[0, 0], compute_uv=False)[0], rel=1e-5)


def test_zeros_around_the_image_are_bounded_by_a_larger_image_that_wraps_around():
    kernel = draw(3, 3, 2, 3).astype(np.float32)
    zeros = np.linalg.svd(dense(kernel, 5, 5, padding="constant"), compute_uv=False)[0]
    assert zeros <= float(convolution_norm(jnp.asarray(kernel), 7, 7)) * (1 + 1e-5)


def test_it_is_reached_inside_jit_and_for_stacks():
    kernels = jnp.asarray(draw(2, 3, 3, 4, 4))
    norms = jax.jit(jax.vmap(lambda kernel: convolution_norm(kernel, 8, 8)))(kernels)
    for kernel, norm in zip(kernels, norms, strict=True):
        assert float(norm) == pytest.approx(float(convolution_norm(kernel, 8, 8)), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 4), (5, 3, 2, 2), (3, 9, 2, 2)])
def test_what_is_no_convolution_of_the_image_is_refused(shape):
    with refused():
        convolution_norm(jnp.ones(shape), 4, 8)
