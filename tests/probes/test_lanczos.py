"""How near Lanczos comes to the exact values, cold, and what its bound says of any matrix."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transfer.probes import initial_vectors, measure_spectrum

from .drawn import gaussian, layout_of, quick, true_values, with_values

# Values are sums of float32 products: a few roundings of 6e-8, of the largest.
ROUNDING = 1e-6


def measure(weight, key, *, k, pairs):
    layout = layout_of(*weight.shape)
    start = initial_vectors(layout, k, key)
    values, bounds, _ = measure_spectrum({"w": weight}, layout, start, pairs=pairs)
    return values["w"], bounds["w"]


measure_large = jax.jit(measure, static_argnames=("k", "pairs"))
measure = quick(measure, static_argnames=("k", "pairs"))


def cold_error(matrix, largest, pairs):
    """Median over starts of the relative error of the largest value."""
    found = [
        measure_large(matrix, jax.random.key(seed), k=1, pairs=pairs)[0][0] for seed in range(5)
    ]
    assert max(found) <= largest * (1 + ROUNDING)
    return 1 - np.median(found) / largest


@functools.cache
def flat(n):
    """A Gaussian matrix, whose top values lie as close as they come, and its largest value."""
    matrix = gaussian(n, n)
    # Float64 by way of the square, which takes LAPACK half as long.
    square = matrix.astype(np.float64) @ matrix.T.astype(np.float64)
    return jnp.asarray(matrix), np.linalg.eigvalsh(square)[-1] ** 0.5


@pytest.mark.parametrize("n", [1024, 2048])
def test_of_a_gaussian_matrix_16_pairs_give_5e_3_and_40_give_1e_4(n):
    matrix, largest = flat(n)
    assert cold_error(matrix, largest, pairs=16) < 5e-3
    assert cold_error(matrix, largest, pairs=40) < 1e-4
    # Fewer are not enough.
    assert cold_error(matrix, largest, pairs=4) > 5e-3


@pytest.mark.parametrize("n", [512, 2048])
def test_of_a_spectrum_as_trained_matrices_have_8_pairs_give_1e_4(n):
    # As random as rotations of both sides could make it, for starts that no rotation changes.
    matrix = np.diag(np.arange(1, n + 1) ** -0.18).astype(np.float32)
    assert cold_error(jnp.asarray(matrix), 1.0, pairs=8) < 1e-4


def test_a_block_finds_a_repeated_value_as_often_as_it_is_there():
    matrix = with_values(np.array([3.0] * 3 + [1.0] * 40), 60, 50).astype(np.float32)
    for k, expected in ((4, [3, 3, 3, 1]), (2, [3, 3])):
        values, _ = measure(jnp.asarray(matrix), jax.random.key(0), k=k, pairs=8)
        np.testing.assert_allclose(values, expected, rtol=ROUNDING)


def test_without_orthogonalizing_a_value_would_be_found_twice():
    """The three-term recurrence in float32: ghosts, which whole bases are there to prevent."""
    matrix = with_values(0.8 ** np.arange(40), 40, 40).astype(np.float32)
    pairs, right = 40, np.zeros((41, 40), np.float32)
    left, B = np.zeros((40, 40), np.float32), np.zeros((40, 40), np.float32)
    right[0] = gaussian(40)
    right[0] /= np.linalg.norm(right[0])
    for j in range(pairs):
        u = matrix @ right[j] - (B[j - 1, j] * left[j - 1] if j else 0)
        B[j, j] = np.linalg.norm(u)
        left[j] = u / B[j, j]
        v = left[j] @ matrix - B[j, j] * right[j]
        if j + 1 < pairs:
            B[j, j + 1] = np.linalg.norm(v)
            right[j + 1] = v / B[j, j + 1]
    ghosts = np.linalg.svd(B, compute_uv=False)[:4]
    assert ghosts[1] == pytest.approx(1.0, rel=1e-3)

    values, _ = measure(jnp.asarray(matrix), jax.random.key(0), k=4, pairs=10)
    np.testing.assert_allclose(values, 0.8 ** np.arange(4), rtol=1e-5)


KINDS = ("gaussian", "zero", "rank one", "repeated", "half zero", "graded", "diagonal")


def drawn(kind, rows, columns, scale, seed):
    n = min(rows, columns)
    matrix = {
        "gaussian": lambda: gaussian(rows, columns, seed=seed).astype(np.float64),
        "zero": lambda: np.zeros((rows, columns)),
        "rank one": lambda: with_values(np.ones(1), rows, columns, seed),
        "repeated": lambda: with_values(np.where(np.arange(n) < 3, 1, 0.5), rows, columns, seed),
        "half zero": lambda: with_values(np.arange(n) < (n + 1) // 2, rows, columns, seed),
        "graded": lambda: with_values(0.1 ** np.arange(n), rows, columns, seed),
        # Zero products: each start vector sees only the directions that it is made of.
        "diagonal": lambda: np.eye(rows, columns) * np.arange(columns, 0, -1) / columns,
    }[kind]()
    return (scale * matrix).astype(np.float32)


# Shapes are few, because each compiles; what fills them is free.
@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(1, 1), (1, 7), (7, 1), (5, 5), (40, 3), (23, 30)]),
    kind=st.sampled_from(KINDS),
    exponent=st.integers(-30, 36),
    products=st.sampled_from([(1, 1), (3, 2), (1, 100), (3, 100)]),
    seed=st.integers(0, 99),
)
@example(shape=(23, 30), kind="repeated", exponent=36, products=(3, 100), seed=0)
def test_never_above_and_within_the_bound_of_some_value(shape, kind, exponent, products, seed):
    k, pairs = products
    matrix = drawn(kind, *shape, 10.0**exponent, seed)
    exact = true_values(matrix)
    found = measure(jnp.asarray(matrix), jax.random.key(seed), k=k, pairs=pairs)
    values, bounds = (np.asarray(each, np.float64) for each in found)

    assert np.all(np.diff(values) <= 0)
    assert np.all(values >= 0)
    assert np.all(values <= exact[: len(values)] + ROUNDING * exact[0])
    assert np.all(np.abs(exact[:, None] - values).min(0) <= bounds)
    if pairs == 100:
        # The whole space, hence all values; those lost in squares are as small as roundings.
        np.testing.assert_allclose(values, exact[: len(values)], atol=2e-6 * exact[0], rtol=0)


def test_a_bound_without_the_residual_would_be_false():
    matrix = gaussian(60, 50)
    values, bounds = measure(jnp.asarray(matrix), jax.random.key(0), k=1, pairs=2)
    away = np.abs(true_values(matrix) - float(values[0])).min()
    assert away <= bounds[0]
    # Roundings alone, which is what the bound of a converged value is made of.
    assert away > measure(jnp.asarray(matrix), jax.random.key(0), k=1, pairs=50)[1][0]


def test_a_bound_does_not_prove_that_a_value_is_the_top_one():
    """The start is orthogonal to the top vector, but for a draw that one pair leaves too small."""
    layout = layout_of(30, 30)
    matrix = jnp.diag(jnp.array([2.0, 1.0] + [0.0] * 28))
    found = quick(lambda v: measure_spectrum({"w": matrix}, layout, {"w": v}, pairs=1))
    values, bounds, _ = found(jnp.eye(30)[1:2])
    assert float(values["w"][0]) < 1.1
    assert float(bounds["w"][0]) < 0.1
