"""Clipping by a recipe's norm of the gradient."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from transfer.errors import TransferError
from transfer.paths import leaves
from transfer.scaling import Layout, Recipe, Rule


def gradient_norm(gradients: Any, layout: Layout, recipe: Recipe) -> jax.Array:
    """The norm that `clip` bounds: sqrt(sum_l c_l |g_l|^2).

    c_l is 1 for raw clipping and the form's full-alignment SGD learning-rate factor for the
    invariant norm: g scales by theta and c by theta^-2 between forms of one class.
    """
    return _norm(gradients, recipe.rules(layout))


def clip_by_norm(bound: float, rules: Mapping[str, Rule]) -> optax.GradientTransformation:
    """Scale the whole gradient down to a norm of at most `bound`.

    Raises `TransferError` unless the bound is above 0.
    """
    if not bound > 0:
        raise TransferError(f"clip is {bound}; expected a bound above 0, or None for no clipping.")

    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        del parameters
        scale = bound / jnp.maximum(_norm(gradients, rules), bound)
        return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), gradients), state

    return optax.GradientTransformation(lambda parameters: optax.EmptyState(), update)


def _norm(gradients: Any, rules: Mapping[str, Rule]) -> jax.Array:
    return jnp.sqrt(
        sum(
            rules[path].clip * jnp.sum(jnp.square(leaf)) for path, leaf in leaves(gradients).items()
        )
    )
