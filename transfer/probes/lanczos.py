"""The largest singular values of one operator by block Golub-Kahan Lanczos, or decomposed."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Triplets(NamedTuple):
    """The k largest singular values, largest first, how far each may be off, and right vectors.

    Fields:
      values: (k,); zeros beyond the rank.
      bounds: (k,); some singular value lies within the bound of each value (see `lanczos`).
      vectors: (k, *smaller), the orthonormal right singular vectors of the values.
    """

    values: jax.Array
    bounds: jax.Array
    vectors: jax.Array


def lanczos(
    forward: Callable[[jax.Array], jax.Array],
    backward: Callable[[jax.Array], jax.Array],
    start: jax.Array,
    pairs: int,
) -> Triplets:
    """Singular values of A on the Krylov spaces of A'A and AA' that `start` spans.

    Each pair of products, A V_j and A' U_j, adds a block of k orthonormal vectors to each of two
    bases, every vector orthogonalized against the whole of its basis. The values are those of the
    small matrix B = U'AV, whose left singular vectors are the columns w below. Being those of A
    between two subspaces, they never exceed the true ones, beyond rounding; a block of k finds a
    value that is repeated up to k times as often as it is there.

    Since A V = U B, all that separates a triplet from a true one is the part r of A'Uw outside the
    span of V. By Weyl's theorem some singular value then lies within

        |r| / sqrt(2)

    of the value; to this `bounds` add sqrt(larger + smaller) roundings of the largest value. That
    it is the largest, second largest, ... that lies there, no residual can prove: a start
    orthogonal to a singular vector never sees it. For a start drawn at random it holds with a
    probability that tends to one as pairs are added, and fast.

    A has at least as many rows as columns: seen from the larger side, the bound could be that of a
    zero which is no singular value.

    Arguments:
      forward: (k, *smaller) to (k, *larger), k products A v at once.
      backward: (k, *larger) to (k, *smaller), k products A' u at once.
      start: (k, *smaller), of any length but zero; gives k.
      pairs: how many times each product is made, at least 1.

    Example:
      >>> A = jnp.diag(jnp.array([1.0, 3.0, 2.0]))
      >>> found = lanczos(lambda v: v @ A.T, lambda u: u @ A, jnp.ones((1, 3)), pairs=3)
      >>> print(found.values.round(4))
      [3.]

    Source: Golub & Kahan 1965; Golub, Luk & Overton 1981 for blocks; Parlett 1998, section 6.9,
    for orthogonalizing twice and section 4.5 for the bound.
    """
    k, *smaller = start.shape
    larger = jax.eval_shape(forward, start).shape[1:]
    right, _ = _extend(jnp.zeros(((pairs + 1) * k, *smaller), start.dtype), 0, start)
    left = jnp.zeros((pairs * k, *larger), start.dtype)
    B = jnp.zeros((pairs * k, pairs * k), start.dtype)

    def pair(j: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        right, left, B, _ = carry
        now, following = j * k, (j + 1) * k
        left, columns = _extend(left, now, forward(_block(right, now, k)))
        right, beyond = _extend(right, following, backward(_block(left, now, k)))
        B = jax.lax.dynamic_update_slice_in_dim(B, columns, now, axis=1)
        return right, left, B, _block(beyond, following, k)

    carry = right, left, B, jnp.zeros((k, k), start.dtype)
    right, left, B, beyond = jax.lax.fori_loop(0, pairs, pair, carry)
    W, values, Z = _top(B, k)
    # Residuals: A v - value u is rounding, A' u - value v is the error of the subspaces.
    inexact = jnp.linalg.norm(B @ Z.T - W * values, axis=0)
    outside = jnp.linalg.norm(beyond @ W[-k:], axis=0)
    rounding = _rounding((left[0].size, right[0].size), values)
    bounds = jnp.hypot(inexact, outside) / 2**0.5 + rounding
    return Triplets(values, bounds, jnp.tensordot(Z, right[: pairs * k], axes=1))


def decompose(matrix: jax.Array, k: int) -> Triplets:
    """The k largest singular values of a matrix with at most as many rows as columns, directly.

    As accurate as those of a whole SVD and bounded in the same way as those of `lanczos`; the
    vectors are those of the columns. The cost is that of the product of the matrix with its
    transpose and of the eigenvectors of that.

    Example:
      >>> print(decompose(jnp.diag(jnp.array([1.0, 3.0, 2.0])), k=2).values)
      [3. 2.]
    """
    W, values, Z = _top(matrix, k)
    residual = jnp.linalg.norm(matrix @ Z.T - W * values, axis=0)
    return Triplets(values, residual / 2**0.5 + _rounding(matrix.shape, values), Z)


def _rounding(shape: tuple[int, ...], values: jax.Array) -> jax.Array:
    """sqrt(rows + columns) roundings of the largest value."""
    return jnp.finfo(values.dtype).eps * sum(shape) ** 0.5 * values[0]


def _top(B: jax.Array, k: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The k largest singular values of a small matrix, with left columns and right rows.

    On two cores that others use too, LAPACK's threads take 100 ms for the whole SVD of 64 x 64 and
    0.3 ms for its eigenvectors. Those of BB' span the right space, but for values below
    sqrt(eps) of the largest, which the squares lose; the k values themselves are not squared.
    """
    _, vectors = jnp.linalg.eigh(B @ B.T)
    span = vectors[:, -k:]
    within, values, Z = jnp.linalg.svd(span.T @ B, full_matrices=False)
    return span @ within, values, Z


def _extend(basis: jax.Array, place: jax.Array | int, block: jax.Array) -> tuple[jax.Array, ...]:
    """Put the vectors of a block into a basis from a place on, orthonormal to all that is there.

    Places not yet taken are zero. Returns the basis and the block's coefficients in it, a column
    for each vector. A vector that the basis holds already leaves a place zero: from there on its
    products are zero too, and the space stays as large as it is.
    """
    inside, once, coefficients = _outside(basis, block, shortest=0.0)
    # A second pass keeps the length of unit vectors that lie outside the basis; a vector that it
    # shrinks was only the rounding error of vectors in the basis.
    correction, twice, change = _outside(basis, once, shortest=0.5)
    basis = jax.lax.dynamic_update_slice_in_dim(basis, twice, place, axis=0)
    columns = inside + correction @ coefficients
    return basis, jax.lax.dynamic_update_slice_in_dim(columns, change @ coefficients, place, axis=0)


def _outside(
    basis: jax.Array, block: jax.Array, shortest: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A block split by Gram and Schmidt into basis' inside + new' coefficients, vectors as rows."""
    axes = tuple(range(1, block.ndim))
    inside = jnp.tensordot(basis, block, axes=(axes, axes))
    block = block - jnp.tensordot(inside.T, basis, axes=1)

    def add(new: jax.Array, j: jax.Array) -> tuple[jax.Array, jax.Array]:
        among = jnp.tensordot(new, block[j], axes=(axes, tuple(range(len(axes)))))
        rest = block[j] - jnp.tensordot(among, new, axes=1)
        length = jnp.linalg.norm(rest)
        taken = length > shortest
        new = new.at[j].set(jnp.where(taken, rest / length, 0))
        return new, among.at[j].set(jnp.where(taken, length, 0))

    new, rows = jax.lax.scan(add, jnp.zeros_like(block), jnp.arange(len(block)))
    return inside, new, rows.T


def _block(rows: jax.Array, place: jax.Array, k: int) -> jax.Array:
    return jax.lax.dynamic_slice_in_dim(rows, place, k)
