"""Singular values of every hidden matrix, and of a convolution as an operator on whole images."""

import math
import numbers
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from transfer import pytree_paths
from transfer.errors import TransferError
from transfer.precision import precise
from transfer.probes.alike import alike
from transfer.probes.lanczos import Triplets, lanczos
from transfer.probes.matrices import (
    Product,
    by_fan,
    one_at_a_time_on_cpu,
    over_stack,
    products,
    stack_axes,
    vectors_shape,
)
from transfer.recipe_arrays import AnyRecipe, resolved
from transfer.scaling import Layout, Parameter, Role


class Spectrum(NamedTuple):
    """What `measure_spectrum` returns: three dictionaries by path.

    Fields:
      values: (*stack, k), the largest singular values, largest first. The groups of a convolution
        are the last axis of its stack.
      bounds: (*stack, k), within which of each value some singular value lies.
      vectors: (*stack, k, *side), the singular vectors on the smaller side of each matrix, *inputs
        or *outputs: the next measurement's start.
    """

    values: dict[str, jax.Array]
    bounds: dict[str, jax.Array]
    vectors: dict[str, jax.Array]


def top_singular_values(
    parameters: Any,
    layout: Layout,
    *,
    k: int = 4,
    recipe: AnyRecipe | None = None,
    pairs: int | None = None,
) -> dict[str, jax.Array]:
    """The k largest singular values of every hidden matrix, largest first, by path.

    Each weight is seen as the matrix (fan-in, fan-out) that its annotation describes, kernel area
    included; stacked weights give (*stack, k), and k is capped by the smaller side. A grouped
    convolution is a block-diagonal matrix, whose singular values are those of all its groups. With
    a recipe they are those of the effective weight, multiplier times parameter, which forms of one
    class agree on. Computed in float32 or better: exactly, by LAPACK or the accelerator's own SVD,
    or with `pairs` by as many steps of Lanczos from a fixed random start (`measure_spectrum`).

    Raises `TransferError` for k below 1 and for a hidden matrix of another shape than the layout's.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(3))
      >>> top_singular_values({"up": jnp.diag(jnp.array([1.0, 3.0, 2.0]))}, layout, k=2)["up"]
      Array([3., 2.], dtype=float32)
    """
    _require_count(k)
    hidden = _hidden(parameters, layout)
    layout.require_shapes({path: weight.shape for path, weight in hidden.items()})
    if pairs is not None:
        start = initial_vectors(layout, k, jax.random.key(0))
        values = measure_spectrum(parameters, layout, start, pairs=pairs, recipe=recipe).values
    else:
        values = {
            path: _multiplier(layout[path], recipe) * _exact(weight, layout[path])
            for path, weight in hidden.items()
        }
    return {path: _of_all_groups(each, layout[path])[..., :k] for path, each in values.items()}


def _of_all_groups(values: jax.Array, parameter: Parameter) -> jax.Array:
    """Singular values of block-diagonal matrices from those of blocks (*stack, groups, k)."""
    if parameter.axes.groups == 1:
        return values
    together = values.reshape(*values.shape[:-2], -1)
    return jnp.sort(together, axis=-1, descending=True)


def initial_vectors(layout: Layout, k: int, key: jax.Array) -> dict[str, jax.Array]:
    """Random vectors for the first `measure_spectrum`, by path: (*stack, k, *side).

    They lie on the smaller side of each matrix, *inputs or *outputs, which also caps k.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("layers | embed -> heads head_dim")
      >>> kernel = lambda n: {"query": Annotated(axes=axes, shape=(5, n, n // 4, 4), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(8), probe=kernel(16), target=kernel(32))
      >>> initial_vectors(layout, 2, jax.random.key(0))["query"].shape
      (5, 2, 8, 4)
    """
    _require_count(k)
    shapes = {
        path: vectors_shape(each, min(k, each.fan_in, each.fan_out))
        for path, each in layout.parameters.items()
        if each.role == Role.HIDDEN
    }
    keys = jax.random.split(key, len(shapes))
    return {
        path: jax.random.normal(one, shape, jnp.float32)
        for one, (path, shape) in zip(keys, shapes.items(), strict=True)
    }


def measure_spectrum(
    parameters: Any,
    layout: Layout,
    start: dict[str, jax.Array],
    *,
    pairs: int,
    recipe: AnyRecipe | None = None,
    together: bool = False,
) -> Spectrum:
    """The largest singular values of every hidden matrix by Lanczos, with bounds and vectors.

    As `top_singular_values` sees the weights, at the price of `pairs` products of k vectors with
    each matrix and as many with its transpose (`transfer.probes.lanczos`). Values never exceed the
    true ones, beyond rounding. Started from `initial_vectors`, a flat spectrum (a Gaussian matrix
    of width 2048) takes 16 pairs to 5e-3 and 40 to 1e-4; one that falls as i^-0.18, as trained
    matrices have, 8 to 1e-4. Started from the last measurement's vectors, 4 pairs of a block of
    four give 1e-3, at worst 2e-3, once the learning rate has warmed up. A single vector does not
    follow as well: while another direction overtakes it, its value can be 5e-2 too small.

    A bound proves that some singular value lies that near. That it is the top one holds with a
    probability over the start. So that this stays so from one measurement to the next, every start
    is given a hundredth of one and the same random draw, which no weight knows of: a direction that
    the last vectors did not contain is found once it stands out.

    Runs inside jit, and under vmap over trials. Weights that are split over devices stay so, with
    their axes as they are: vectors are what is communicated.

    Arguments:
      parameters: any tree of arrays, with the layout's paths.
      start: `initial_vectors` or the `vectors` of the last measurement; carries k.
      pairs: no more are made than the smaller side over k, which are exact.
      recipe: gives the multipliers of effective weights; without one, those of the parameters.
      together: whether matrices of one size, up to 32 MiB of them, are measured in one loop, which
        is compiled once for all of them. It takes a copy of them, and would gather weights that
        are split over devices.

    Raises:
      TransferError: fewer than one pair, or vectors of another model.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(3))
      >>> start = initial_vectors(layout, 2, jax.random.key(0))
      >>> weights = {"up": jnp.diag(jnp.array([1.0, 3.0, 2.0]))}
      >>> found = measure_spectrum(weights, layout, start, pairs=4)
      >>> print(found.values["up"].round(4), (found.bounds["up"] < 1e-4).all())
      [3. 2.] True
    """
    hidden = _hidden(parameters, layout)
    if pairs < 1 or set(start) != set(hidden):
        raise TransferError(
            f"Asked for {pairs} pairs from the vectors of {', '.join(sorted(start)[:3])}; expected "
            "1 or more, and vectors from initial_vectors with the layout of this very model."
        )
    measured = Spectrum({}, {}, {})
    for group in alike(hidden, layout, together=together):
        found = _measure(group.weight, group.parameter, group.join(start), pairs)
        for whole, part in zip(measured, found, strict=True):
            whole.update(group.split(part))
    multiplier = {path: _multiplier(layout[path], recipe) for path in hidden}
    return Spectrum(
        {path: multiplier[path] * measured.values[path] for path in hidden},
        {path: multiplier[path] * measured.bounds[path] for path in hidden},
        {path: measured.vectors[path].reshape(start[path].shape) for path in hidden},
    )


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
    exact = precise(kernel)
    # The kernel is real, so half the frequencies are conjugates of the others.
    frequencies = jnp.fft.rfft2(exact, (height, width), axes=(0, 1))
    return jnp.max(jnp.linalg.svd(frequencies, compute_uv=False))


def _require_count(k: int) -> None:
    if not isinstance(k, numbers.Integral) or k < 1:
        raise TransferError(
            f"k is {k}; expected the number of singular values, a whole number of at least 1."
        )


def _hidden(parameters: Any, layout: Layout) -> dict[str, jax.Array]:
    leaves = pytree_paths.parameters(parameters)
    pytree_paths.require_real(leaves)
    return {path: leaf for path, leaf in leaves.items() if layout[path].role == Role.HIDDEN}


def _multiplier(parameter: Parameter, recipe: AnyRecipe | None) -> Any:
    return 1.0 if recipe is None else resolved(recipe).multiplier(parameter)


def _exact(weight: jax.Array, parameter: Parameter) -> jax.Array:
    def one(weight: jax.Array) -> jax.Array:
        matrix = weight.reshape(parameter.fan_in, parameter.fan_out)
        return jnp.linalg.svd(matrix, compute_uv=False)

    with jax.default_matmul_precision("highest"):
        return over_stack(one_at_a_time_on_cpu(one), parameter)(by_fan(weight, parameter))


# The length of the fixed draw in a start, whose own vectors have length one.
_FRESH = 0.01


def _measure(weight: jax.Array, parameter: Parameter, start: jax.Array, pairs: int) -> Triplets:
    weight = by_fan(weight, parameter)
    k, *side = start.shape[stack_axes(parameter) :]
    smaller = math.prod(side)
    draw = jax.random.normal(jax.random.key(0), (k, *side), weight.dtype) / smaller**0.5
    start = start.astype(weight.dtype) + _FRESH * draw

    def one(weight: jax.Array, start: jax.Array) -> Triplets:
        # Powers of two scale exactly; applying half before and half after avoids overflow and a
        # copy of the weight.
        _, exponent = jnp.frexp(jnp.max(jnp.abs(weight)))
        before, after = -(exponent // 2), exponent // 2 - exponent

        def scaled(product: Product) -> Product:
            return lambda vectors: jnp.ldexp(product(jnp.ldexp(vectors, before)), after)

        forward, backward = map(scaled, products(weight, parameter))
        # More pairs than span the smaller side would find nothing new.
        found = lanczos(forward, backward, start, min(pairs, -(-smaller // k)))
        values, bounds = (jnp.ldexp(each, exponent) for each in found[:2])
        return Triplets(values, bounds, found.vectors)

    with jax.default_matmul_precision("highest"):
        found: Triplets = over_stack(one_at_a_time_on_cpu(one), parameter)(weight, start)
    return found
