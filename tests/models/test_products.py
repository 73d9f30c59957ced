"""Products of matrices: their gradients, and the form in which CPUs are given them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transfer.models.products import matrix_product

from .drawn import jit


def drawn(dtype):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in ((2, 3, 4), (4, 5))]


def both_gradients(product, x, kernel):
    return jax.grad(lambda *pair: jnp.sum(jnp.sin(product(*pair))), argnums=(0, 1))(x, kernel)


def test_gradients_are_those_of_a_plain_product():
    with jax.enable_x64(True):
        x, kernel = drawn("float64")
        np.testing.assert_allclose(matrix_product(x, kernel), x @ kernel, rtol=1e-14)
        for one, other in zip(
            both_gradients(matrix_product, x, kernel),
            both_gradients(jnp.matmul, x, kernel),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_results_may_be_more_exact_than_inputs_and_gradients_have_their_dtype():
    x, kernel = drawn("bfloat16")
    assert matrix_product(x, kernel).dtype == jnp.bfloat16
    assert matrix_product(x, kernel, jnp.dtype("float32")).dtype == jnp.float32
    exact = both_gradients(lambda *pair: matrix_product(*pair, jnp.dtype("float32")), x, kernel)
    assert [each.dtype for each in exact] == [jnp.bfloat16, jnp.bfloat16]


@pytest.mark.parametrize(("product", "rows"), [(matrix_product, True), (jnp.matmul, False)])
def test_cpus_multiply_rows_of_the_left_matrix_alone(product, rows):
    program = jit(lambda *pair: both_gradients(product, *pair)).lower(*drawn("float32")).compile()
    contracted = re.findall(r" dot\(.*lhs_contracting_dims=\{([\d,]+)\}", program.as_text())
    assert len(contracted) == 3
    assert (set(contracted) == {"1"}) == rows


def test_only_cpus_write_the_transpose():
    traced = jax.jit(lambda *pair: both_gradients(matrix_product, *pair)).trace(*drawn("float32"))
    written = {
        platform: "optimization_barrier" in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert written == {"cpu": True, "cuda": False, "tpu": False}
