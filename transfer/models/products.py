"""Products of matrices whose backward passes are fast on CPUs too."""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def matrix_product(
    x: jax.Array, kernel: jax.Array, accumulate: jnp.dtype | None = None
) -> jax.Array:
    """x kernel for x (..., inputs) and kernel (inputs, outputs): (..., outputs).

    It and both gradients are products of two matrices, and that of the kernel reads x transposed in
    memory, because XLA's fast kernels for CPUs take no other form. `accumulate` is the dtype of the
    result where it is not that of the inputs.

    Example:
      >>> matrix_product(jnp.ones((2, 3, 4)), jnp.ones((4, 5))).shape
      (2, 3, 5)
    """
    inputs, outputs = kernel.shape
    y = jnp.matmul(x.reshape(-1, inputs), kernel, preferred_element_type=accumulate)
    return y.reshape(*x.shape[:-1], outputs)


def _forwards(
    x: jax.Array, kernel: jax.Array, accumulate: jnp.dtype | None
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return matrix_product(x, kernel, accumulate), (x, kernel)


def _backwards(
    accumulate: jnp.dtype | None, kept: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    del accumulate
    x, kernel = kept
    inputs, outputs = kernel.shape
    rows, dy = x.reshape(-1, inputs), dy.reshape(-1, outputs)
    dx = jnp.matmul(dy, kernel.T).astype(x.dtype)
    return dx.reshape(x.shape), jnp.matmul(transposed(rows), dy).astype(kernel.dtype)


matrix_product.defvjp(_forwards, _backwards)


def transposed(x: jax.Array) -> jax.Array:
    """Swap the last two axes; on CPUs the result is written to memory.

    Otherwise XLA folds the transpose into the product that it reads, or that reads it, which then
    misses the fast path.

    Example:
      >>> transposed(jnp.ones((2, 3))).shape
      (3, 2)
    """

    def written(x: jax.Array) -> jax.Array:
        barrier = jax.lax.optimization_barrier
        return barrier(barrier(x).mT)

    return jax.lax.platform_dependent(x, cpu=written, default=lambda x: x.mT)
