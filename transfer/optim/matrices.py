"""Weights as the matrices that their annotations describe."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from transfer.pytree_paths import map_leaves
from transfer.scaling import Layout, Parameter


def matrices(leaf: jax.Array, parameter: Parameter) -> jax.Array:
    """A parameter's stack of weights as (stack, fan-in, fan-out); without a fan-in each is a row.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("layers | embed -> heads head_dim")
      >>> kernel = lambda n: {"query": Annotated(axes=axes, shape=(2, n, n, 3), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(4), probe=kernel(8), target=kernel(4))
      >>> matrices(jnp.ones((2, 4, 4, 3)), layout["query"]).shape
      (2, 4, 12)
    """
    ordered = leaf.transpose(parameter.axes.places)
    return ordered.reshape(-1, parameter.fan_in, parameter.fan_out)


def restored(stack: jax.Array, parameter: Parameter) -> jax.Array:
    """Undo `matrices`."""
    places = parameter.axes.places
    ordered = stack.reshape([parameter.shape[place] for place in places])
    return ordered.transpose(sorted(range(len(places)), key=places.__getitem__))


def per_matrix(
    transformation: Callable[[Parameter], optax.GradientTransformation], layout: Layout
) -> optax.GradientTransformation:
    """Apply an optax transformation to every matrix of every stack on its own.

    A transformation that works on whole arrays would otherwise take the layers of a stack, or a
    head and its dimensions, for axes of one array. The state holds that of the transformation for
    each parameter, with a leading stack axis.
    """

    def init(parameters: Any) -> Any:
        def one(path: str, weight: jax.Array) -> Any:
            parameter = layout[path]
            return jax.vmap(transformation(parameter).init)(matrices(weight, parameter))

        return map_leaves(one, parameters)

    def update(gradients: Any, states: Any, parameters: Any) -> tuple[Any, Any]:
        def one(path: str, gradient: jax.Array, state: Any, weight: jax.Array) -> Any:
            parameter = layout[path]
            step, state = jax.vmap(transformation(parameter).update)(
                matrices(gradient, parameter), state, matrices(weight, parameter)
            )
            return restored(step, parameter), state

        updated = map_leaves(one, gradients, states, parameters)
        steps, states = (
            jax.tree.map(lambda _, pair, i=i: pair[i], gradients, updated) for i in (0, 1)
        )
        return steps, states

    return optax.GradientTransformation(init, update)
