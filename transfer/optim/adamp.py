"""AdamP: AdamW without growing the norm of scale-invariant weights."""

import functools
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import optax

from transfer.optim.matrices import matrices, restored
from transfer.optim.scaled import LearningRate, Scalar, Shared, scaled
from transfer.paths import map_leaves
from transfer.scaling import Layout, Recipe


def adamp(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    delta: Scalar = 0.1,
    wd_ratio: Scalar = 0.1,
    **shared: Unpack[Shared],
) -> optax.GradientTransformation:
    """AdamP with a recipe's learning rate, decay and epsilon for every parameter of a layout.

    As `adamw`, but where a weight looks scale-invariant, |cos(g, w)| < delta / sqrt(dim), its
    radial part is taken off the step, p <- p - (w.p / w.w) w, and its decay is times `wd_ratio`.
    Tested first on every column of the annotation's matrix, the weights into one output, with
    dim the fan-in, where all columns have to pass; then on the matrix as a whole. (A column of an
    embedding table runs over the vocabulary; the paper's code, whose rows are outputs, takes a
    token's entries.) Parameters without a fan-in, gains and biases, keep AdamW's step. `shared`
    and errors are those of `scaled`.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, 1), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(2))
      >>> tx = adamp(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.array([[3.0], [4.0]])}
      >>> gradients = {"up": jnp.array([[4.0], [-3.0]])}  # orthogonal to the weight
      >>> updates, _ = tx.update(gradients, tx.init(params), params)
      >>> jnp.vdot(updates["up"], params["up"]).round(5)
      Array(0., dtype=float32)

    Source: Heo et al., arXiv 2006.08217 (Algorithm 2).
    """
    return scaled(
        lambda factors: _scale_by_adamp(
            optax.scale_by_adam(b1, b2, eps * factors.epsilon),
            layout,
            delta,
            weight_decay * factors.weight_decay,
            wd_ratio,
        ),
        learning_rate,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        **shared,
    )


def _scale_by_adamp(
    adam: optax.GradientTransformation,
    layout: Layout,
    delta: Scalar,
    decay: Scalar,
    wd_ratio: Scalar,
) -> optax.GradientTransformation:
    """Adam's steps and the decay, which is in here because it depends on the projection."""

    def update(gradients: Any, state: Any, parameters: Any) -> tuple[Any, Any]:
        steps, state = adam.update(gradients, state)

        def one(path: str, step: jax.Array, gradient: jax.Array, weight: jax.Array) -> jax.Array:
            parameter = layout[path]
            if not parameter.axes.inputs:
                return step + decay * weight
            moved, gradient, held = (matrices(leaf, parameter) for leaf in (step, gradient, weight))
            project = jax.vmap(functools.partial(_tangential, delta=delta))
            tangential, invariant = project(moved, gradient, held)
            ratio = jnp.where(invariant, wd_ratio, 1.0).astype(weight.dtype)[:, None, None]
            return restored(tangential + decay * ratio * held, parameter)

        return map_leaves(one, steps, gradients, parameters), state

    return optax.GradientTransformation(adam.init, update)


def _tangential(
    step: jax.Array, gradient: jax.Array, weight: jax.Array, *, delta: Scalar
) -> tuple[jax.Array, jax.Array]:
    """Return the step of one matrix without its radial part, and whether it had to go."""
    columns, matrix = 0, (0, 1)
    by_column, by_matrix = (
        _scale_invariant(gradient, weight, delta, axes) for axes in (columns, matrix)
    )
    radial = jnp.where(
        by_column,
        _radial(step, weight, columns),
        jnp.where(by_matrix, _radial(step, weight, matrix), 0.0),
    )
    return step - radial, by_column | by_matrix


def _scale_invariant(
    gradient: jax.Array, weight: jax.Array, delta: Scalar, axes: int | tuple[int, ...]
) -> jax.Array:
    """A loss that does not depend on a weight's norm has gradients orthogonal to the weight."""
    norms = jnp.linalg.norm(gradient, axis=axes) * jnp.linalg.norm(weight, axis=axes)
    # A weight or gradient of 0 is orthogonal to everything.
    cosines = jnp.abs(jnp.sum(gradient * weight, axis=axes)) / jnp.where(norms > 0.0, norms, 1.0)
    dimension = weight.size // cosines.size
    return jnp.max(cosines) < delta / dimension**0.5


def _radial(step: jax.Array, weight: jax.Array, axes: int | tuple[int, ...]) -> jax.Array:
    """The part of a step along the weight; 0 along a weight of 0."""
    square = jnp.sum(weight * weight, axis=axes, keepdims=True)
    along = jnp.sum(step * weight, axis=axes, keepdims=True)
    return along / jnp.where(square > 0.0, square, 1.0) * weight
