"""Where the arrays inside a model lie, which models are told and need not know.

A model names the axes of its weights and activations; whoever runs it on a mesh says, for as long
as it is traced, which axes of the mesh split them. Told nothing, an array lies where it is.

Shapes are written after a name: B batch, T time, D embed.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import jax
import jax.numpy as jnp
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
      >>> activation(jnp.ones((2, 3)), "batch embed").shape
      (2, 3)
    """
    partition = _PARTITION.get()
    if partition is None:
        return x
    return jax.lax.with_sharding_constraint(x, partition.activation(tuple(names.split()), x.shape))


def gathered(weight: jax.Array, axes: Axes) -> jax.Array:
    """A weight as products take it; for one whose gradient is nobody's, see `product`."""
    partition = _PARTITION.get()
    if partition is None:
        return weight
    return jax.lax.with_sharding_constraint(weight, partition.used(axes, weight.shape))


def product(
    multiply: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    weight: jax.Array,
    axes: Axes,
) -> jax.Array:
    """multiply(x, weight), linear in both: (batch, ..., *inputs) to (batch, ..., *outputs).

    The weight is gathered for the product, and again for the way back, so that between the two no
    device keeps more than its part; inside a scan over layers that is one layer at a time. Of the
    weight's gradient every device sums its own examples and is sent the sum of its part.

    Example:
      >>> product(jnp.matmul, jnp.ones((2, 3)), jnp.ones((3, 4)), Axes.parse("embed -> ffn")).shape
      (2, 4)
    """
    partition = _PARTITION.get()
    if partition is None:
        return multiply(x, weight)
    stored, used = partition.stored(axes, weight.shape), partition.used(axes, weight.shape)
    along_batch = partition.activation(("batch",), x.shape[:1])[0]
    if not any((*stored, *used, along_batch)):
        return multiply(x, weight)
    inputs = len(axes.inputs or ())

    def forwards(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, Any]:
        # Said once more, or the compiler may keep the gathered one of every layer.
        part = jax.lax.with_sharding_constraint(weight, stored)
        return multiply(x, gathered(weight, axes)), (x, part)

    def backwards(kept: Any, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, weight = kept
        whole = gathered(weight, axes)
        (dx,) = jax.linear_transpose(lambda x: multiply(x, whole), x)(dy)

        def of_part(x: jax.Array, dy: jax.Array) -> jax.Array:
            like = jax.ShapeDtypeStruct(_part(weight.shape, used), weight.dtype)
            (dw,) = jax.linear_transpose(lambda weight: multiply(x, weight), like)(dy)
            return _summed(dw, _names(along_batch), stored)

        specs = (
            _first_and_last(along_batch, used[:inputs], x.ndim),
            _first_and_last(along_batch, used[inputs:], dy.ndim),
        )
        return dx, _by_hand(of_part, specs, stored)(x, dy)

    @jax.custom_vjp
    def multiplied(x: jax.Array, weight: jax.Array) -> jax.Array:
        return forwards(x, weight)[0]

    multiplied.defvjp(forwards, backwards)
    return multiplied(x, weight)


def looked_up(table: jax.Array, indices_BT: jax.Array, axes: Axes) -> jax.Array:
    """Rows of a table (rows, D) by index: (B, T, D), without gathering the table or its gradient.

    Every device looks up what it keeps, its rows and its part of each, for all who need them; what
    it found is exchanged.

    Example:
      >>> axes = Axes.parse("vocab -> embed")
      >>> looked_up(jnp.eye(3), jnp.array([[2, 0]]), axes).tolist()
      [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    """
    partition = _PARTITION.get()
    if partition is None:
        return table[indices_BT]
    along_rows, along_row = partition.stored(axes, table.shape)
    along_batch, _ = batch = partition.activation(("batch", "time"), indices_BT.shape)
    if not any((along_rows, along_row, along_batch)):
        return table[indices_BT]
    shared = along_row in _names(along_batch)

    def look_up(table: jax.Array, indices_BT: jax.Array) -> jax.Array:
        if shared:
            indices_BT = jax.lax.all_gather(indices_BT, along_row, tiled=True)
        if along_rows is None:
            x_BTD = table[indices_BT]
        else:
            here = indices_BT - jax.lax.axis_index(along_rows) * len(table)
            kept = (here >= 0) & (here < len(table))
            x_BTD = jnp.where(kept[..., None], table[jnp.where(kept, here, 0)], 0.0)
            x_BTD = jax.lax.psum(x_BTD, along_rows)
        if shared:
            return jax.lax.all_to_all(x_BTD, along_row, 0, 2, tiled=True)
        if along_row is not None:
            return jax.lax.all_gather(x_BTD, along_row, axis=2, tiled=True)
        return x_BTD

    return _by_hand(
        look_up, (PartitionSpec(along_rows, along_row), batch), PartitionSpec(along_batch)
    )(table, indices_BT)


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
        specs = tuple(
            partition.activation(tuple(names.split()), array.shape)
            for names, array in zip(inputs, arrays, strict=True)
        )
        result = partition.activation(tuple(output.split()), arrays[0].shape)
        return _by_hand(function, specs, result)(*arrays)

    return apply


def _by_hand(
    function: Callable[..., jax.Array], inputs: tuple[PartitionSpec, ...], output: PartitionSpec
) -> Callable[..., jax.Array]:
    """Split a function over all axes of the mesh that the compiler is left with."""
    mesh = jax.sharding.get_abstract_mesh()
    return jax.shard_map(
        function,
        in_specs=inputs,
        out_specs=output,
        axis_names=set(mesh.axis_names) - set(mesh.manual_axes),
        check_vma=False,
    )


def _summed(part: jax.Array, names: tuple[str, ...], stored: PartitionSpec) -> jax.Array:
    """The sum over devices of what each of them holds; each is sent what it stores."""
    for name in names:
        if name in stored:
            part = jax.lax.psum_scatter(
                part, name, scatter_dimension=stored.index(name), tiled=True
            )
        else:
            part = jax.lax.psum(part, name)
    return part


def _names(along: Any) -> tuple[str, ...]:
    """The axes of the mesh in one place of a spec."""
    return along if isinstance(along, tuple) else () if along is None else (along,)


def _part(shape: tuple[int, ...], spec: PartitionSpec) -> tuple[int, ...]:
    """The shape of what a device holds."""
    sizes = jax.sharding.get_abstract_mesh().shape
    ways = [math.prod(sizes[name] for name in _names(along)) for along in spec]
    return tuple(size // way for size, way in zip(shape, ways, strict=True))


def _first_and_last(first: Any, last: Sequence[Any], ndim: int) -> PartitionSpec:
    """Split the first of so many axes, and the last ones."""
    return PartitionSpec(first, *[None] * (ndim - 1 - len(last)), *last)
