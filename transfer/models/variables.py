"""The two kinds of arrays a model declares, each with its annotation."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.scaling import Annotated, Axes


class Multiplier(nnx.Variable):
    """A forward multiplier: set from a recipe, scaled by its hyperparameter, never trained."""


def weight(
    rngs: nnx.Rngs,
    axes: str,
    shape: tuple[int, ...],
    *,
    gain: float | None = None,
    std: float | None = None,
    tied: bool = False,
) -> nnx.Param:
    """Declare a random weight; its values are standard normal until a recipe scales them.

    Give `gain` for an init std of gain / sqrt(fan-in) at the base width, or `std` for one that does
    not depend on fan-in. A gain of 0 is a zero init.
    """
    annotated = Annotated(axes=Axes.parse(axes), shape=shape, gain=gain, std=std, tied=tied)
    return nnx.Param(jax.random.normal(rngs.params(), shape, jnp.float32), annotated=annotated)


def constant(axes: str, shape: tuple[int, ...], value: float) -> nnx.Param:
    """Declare a parameter that starts at a constant: a gain at 1, a bias at 0."""
    annotated = Annotated(axes=Axes.parse(axes), shape=shape)
    return nnx.Param(jnp.full(shape, value, jnp.float32), annotated=annotated, start=value)


def multiplier(axes: str, shape: tuple[int, ...], *, gain: float | None = None) -> Multiplier:
    """Declare the multiplier of a product with these axes; 1 until a recipe sets it.

    `head_dim ->` with shape (head_dim,) is a contraction of two activations over the head
    dimension: it produces no axis of its own. `->` with shape () is the branch of a residual block,
    once stacked. With `gain` the multiplier is gain / sqrt(fan-in) at the base width, else 1.
    """
    parsed = Axes.parse(axes)
    annotated = Annotated(axes=parsed, shape=shape, gain=gain, activations=not parsed.outputs)
    return Multiplier(jnp.ones((), jnp.float32), annotated=annotated)


def stack(
    make: Callable[[nnx.Rngs], nnx.Module], axis: str, size: int, rngs: nnx.Rngs
) -> nnx.Module:
    """Make `size` copies of a module with a leading axis on every variable, named in each."""
    stacked = nnx.vmap(make, in_axes=0, out_axes=0)(rngs.split(size))
    for _, variable in nnx.iter_graph(stacked):
        if isinstance(variable, nnx.Variable) and "annotated" in variable.get_metadata():
            variable.set_metadata(annotated=variable.get_metadata("annotated").stacked(axis, size))
    return stacked


def unstack(stacked: nnx.Module) -> Iterator[Any]:
    """Take the copies of a `stack` apart again, in their order."""
    graph, state = nnx.split(stacked)
    leaves, tree = jax.tree.flatten(state)
    size = len(leaves[0])
    # The gradient of a split joins the copies' gradients; that of a slice would add each to zeros.
    parts = [jax.lax.split(leaf, [1] * size) for leaf in leaves]
    for copy in zip(*parts, strict=True):
        yield nnx.merge(graph, jax.tree.unflatten(tree, [leaf.squeeze(0) for leaf in copy]))
