"""Singular values of every matrix-like parameter."""

from typing import Any

import jax
import jax.numpy as jnp

from transfer import paths
from transfer.scaling import Layout, Parameter, Recipe, Role


def top_singular_values(
    parameters: Any, layout: Layout, *, k: int = 4, recipe: Recipe | None = None
) -> dict[str, jax.Array]:
    """The k largest singular values of every hidden matrix, largest first, by path.

    Each weight is seen as the matrix (fan-in, fan-out) that its annotation describes, kernel area
    included; stacked weights give (*stack, k), and k is capped by the smaller side. With a recipe
    they are those of the effective weight, multiplier times parameter, which forms of one class
    agree on. Computed exactly, by LAPACK or the accelerator's own SVD, in float32.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(3))
      >>> top_singular_values({"up": jnp.diag(jnp.array([1.0, 3.0, 2.0]))}, layout, k=2)["up"]
      Array([3., 2.], dtype=float32)
    """
    return {
        path: _singular_values(leaf, layout[path], k, recipe)
        for path, leaf in paths.leaves(parameters).items()
        if layout[path].role == Role.HIDDEN
    }


def _singular_values(
    weight: jax.Array, parameter: Parameter, k: int, recipe: Recipe | None
) -> jax.Array:
    weight = weight.transpose(parameter.axes.places)
    stack = weight.shape[: len(parameter.axes.stack)]
    matrix = weight.reshape(*stack, parameter.fan_in, parameter.fan_out)
    scale = 1.0 if recipe is None else recipe.multiplier(parameter)
    values = jnp.linalg.svd(matrix.astype(jnp.float32), compute_uv=False)
    return scale * values[..., :k]
