"""Where the arrays inside a model lie, which models are told and need not know.

A model names the axes of its weights and activations; whoever runs it on a mesh says, for as long
as it is traced, which axes of the mesh split them. Told nothing, an array lies where it is.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Protocol

import jax
from jax.sharding import PartitionSpec

from transfer.scaling import Axes


class Partition(Protocol):
    """Which axes of a mesh split an array, by the names and sizes of its axes."""

    def activation(self, names: tuple[str, ...], shape: tuple[int, ...]) -> PartitionSpec:
        """Of what a model computes."""

    def stored(self, axes: Axes, shape: tuple[int, ...]) -> PartitionSpec:
        """Of a weight and its gradient where they are kept."""

    def used(self, axes: Axes, shape: tuple[int, ...]) -> PartitionSpec:
        """Of a weight where it meets activations."""


_PARTITION: ContextVar[Partition | None] = ContextVar("partition", default=None)


@contextlib.contextmanager
def partitioned(partition: Partition) -> Iterator[None]:
    """Inside, models that are traced for a mesh are told where their arrays lie."""
    token = _PARTITION.set(partition)
    try:
        yield
    finally:
        _PARTITION.reset(token)


def activation(x: jax.Array, names: str) -> jax.Array:
    """Lay an activation, with one name for each of its axes, where the partition says.

    Example:
      >>> activation(jax.numpy.ones((2, 3)), "batch embed").shape
      (2, 3)
    """
    partition = _PARTITION.get()
    if partition is None:
        return x
    return jax.lax.with_sharding_constraint(x, partition.activation(tuple(names.split()), x.shape))


def used(weight: jax.Array, axes: Axes) -> jax.Array:
    """Gather a weight for a product; the way back scatters its gradient to where it is kept.

    Inside a scan over layers that is one layer at a time.
    """
    partition = _PARTITION.get()
    if partition is None:
        return weight
    stored, gathered = partition.stored(axes, weight.shape), partition.used(axes, weight.shape)

    @jax.custom_vjp
    def gather(weight: jax.Array) -> jax.Array:
        return jax.lax.with_sharding_constraint(weight, gathered)

    def scatter(_: None, gradient: jax.Array) -> tuple[jax.Array]:
        return (jax.lax.with_sharding_constraint(gradient, stored),)

    gather.defvjp(lambda weight: (gather(weight), None), scatter)
    return gather(weight)


def locally(
    function: Callable[..., jax.Array], inputs: Sequence[str], output: str
) -> Callable[..., jax.Array]:
    """Apply a function that the compiler cannot split to each device's own part of its arrays.

    Of the same shape as the output has to be the first input; all have one name for each axis.
    """
    partition = _PARTITION.get()
    if partition is None:
        return function

    def apply(*arrays: jax.Array) -> jax.Array:
        mesh = jax.sharding.get_abstract_mesh()
        return jax.shard_map(
            function,
            in_specs=tuple(
                partition.activation(tuple(names.split()), array.shape)
                for names, array in zip(inputs, arrays, strict=True)
            ),
            out_specs=partition.activation(tuple(output.split()), arrays[0].shape),
            axis_names=set(mesh.axis_names) - set(mesh.manual_axes),
            check_vma=False,
        )(*arrays)

    return apply
