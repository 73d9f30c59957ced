"""Weights as the matrices that their annotations describe."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from transfer.pytree_paths import map_leaves
from transfer.scaling import Layout, Parameter


def matrices(leaf: jax.Array, parameter: Parameter) -> jax.Array:
    """A parameter's stack of weights as (stack, fan-in, fan-out); without a fan-in each is a row.

    Each group of a grouped convolution is a weight of its own.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("layers | embed -> heads head_dim")
      >>> kernel = lambda n: {"query": Annotated(axes=axes, shape=(2, n, n, 3), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(4), probe=kernel(8), target=kernel(4))
      >>> matrices(jnp.ones((2, 4, 4, 3)), layout["query"]).shape
      (2, 4, 12)
    """
    stack, inputs, outputs = parameter.split_places
    ordered = leaf.reshape(parameter.split_shape).transpose(*stack, *inputs, *outputs)
    return ordered.reshape(-1, parameter.fan_in, parameter.fan_out)


def restored(stack: jax.Array, parameter: Parameter) -> jax.Array:
    """Undo `matrices`."""
    places = [place for side in parameter.split_places for place in side]
    ordered = stack.reshape([parameter.split_shape[place] for place in places])
    split = ordered.transpose(sorted(range(len(places)), key=places.__getitem__))
    return split.reshape(parameter.shape)


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


def with_groups_apart(
    transformation: optax.GradientTransformation, layout: Layout
) -> optax.GradientTransformation:
    """Show an optax transformation every grouped kernel with its groups as an axis of their own."""

    def split(tree: Any) -> Any:
        return map_leaves(lambda path, leaf: leaf.reshape(layout[path].split_shape), tree)

    def init(parameters: Any) -> Any:
        return transformation.init(split(parameters))

    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        whole = None if parameters is None else split(parameters)
        steps, state = transformation.update(split(gradients), state, whole)
        return map_leaves(lambda path, leaf: leaf.reshape(layout[path].shape), steps), state

    return optax.GradientTransformation(init, update)
