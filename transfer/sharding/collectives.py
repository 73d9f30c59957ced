"""Sharding constraints and hand-written collectives inside a model.

A model names the axes of its weights and activations and calls these functions. Whoever traces the
model on a mesh sets the rules with `use_rules`; without rules every function is its plain,
single-device equivalent, so that a model need not know whether it is sharded.

Shapes are written after a name: B batch, T time, D embed.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from transfer.scaling import Axes
from transfer.sharding.rules import Rules

_RULES: ContextVar[Rules | None] = ContextVar("rules", default=None)


@contextlib.contextmanager
def use_rules(rules: Rules) -> Iterator[None]:
    """Shard the arrays of models that are traced inside the block by these rules."""
    token = _RULES.set(rules)
    try:
        yield
    finally:
        _RULES.reset(token)


def activation(x: jax.Array, names: str) -> jax.Array:
    """Constrain an activation, with one name for each of its axes, to the sharding of the rules.

    Example:
      >>> activation(jnp.ones((2, 3)), "batch embed").shape
      (2, 3)
    """
    rules = _RULES.get()
    if rules is None:
        return x
    return jax.lax.with_sharding_constraint(x, rules.activation(tuple(names.split()), x.shape))


def gather(weight: jax.Array, axes: Axes) -> jax.Array:
    """Return a weight gathered for a product; `product` also reduce-scatters its gradient."""
    rules = _RULES.get()
    if rules is None:
        return weight
    return jax.lax.with_sharding_constraint(weight, rules.used(axes, weight.shape))


def product(
    multiply: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    weight: jax.Array,
    axes: Axes,
) -> jax.Array:
    """multiply(x, weight), linear in both: (batch, ..., *inputs) to (batch, ..., *outputs).

    The weight is gathered for the forward pass and again for the backward pass, so that a device
    stores only its shard in between; inside a scan over layers one layer is gathered at a time.
    Every device computes the weight's gradient for its own examples, and the gradients are
    reduce-scattered.

    Example:
      >>> product(jnp.matmul, jnp.ones((2, 3)), jnp.ones((3, 4)), Axes.parse("embed -> ffn")).shape
      (2, 4)
    """
    rules = _RULES.get()
    if rules is None:
        return multiply(x, weight)
    stored, used = rules.stored(axes, weight.shape), rules.used(axes, weight.shape)
    along_batch = rules.activation(("batch",), x.shape[:1])[0]
    if not any((*stored, *used, along_batch)):
        return multiply(x, weight)
    inputs = len(axes.inputs or ())

    def forwards(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, Any]:
        # The constraint is repeated because the compiler may otherwise keep every gathered layer.
        shard = jax.lax.with_sharding_constraint(weight, stored)
        return multiply(x, gather(weight, axes)), (x, shard)

    def backwards(kept: Any, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, weight = kept
        whole = gather(weight, axes)
        # Both are linear, so that the point at which they are differentiated makes no difference; a
        # `multiply` with a backward pass of its own has no transpose.
        (dx,) = jax.vjp(lambda x: multiply(x, whole), x)[1](dy)

        def of_shard(x: jax.Array, dy: jax.Array) -> jax.Array:
            nothing = jnp.zeros(_shard_shape(weight.shape, used), weight.dtype)
            (dw,) = jax.vjp(lambda weight: multiply(x, weight), nothing)[1](dy)
            return _reduce_scatter(dw, _names(along_batch), stored)

        specs = (
            _first_and_last_sharded(along_batch, used[:inputs], x.ndim),
            _first_and_last_sharded(along_batch, used[inputs:], dy.ndim),
        )
        return dx, _shard_map(of_shard, specs, stored)(x, dy)

    @jax.custom_vjp
    def multiplied(x: jax.Array, weight: jax.Array) -> jax.Array:
        return forwards(x, weight)[0]

    multiplied.defvjp(forwards, backwards)
    return multiplied(x, weight)


def lookup(table: jax.Array, indices_BT: jax.Array, axes: Axes) -> jax.Array:
    """Look rows of a table (rows, D) up by index: (B, T, D), without gathering the table.

    Every device looks up the rows that its shard holds, for all devices that need them, and the
    devices exchange what they found; neither the table nor its gradient is gathered.

    Example:
      >>> axes = Axes.parse("vocab -> embed")
      >>> lookup(jnp.eye(3), jnp.array([[2, 0]]), axes).tolist()
      [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    """
    rules = _RULES.get()
    if rules is None:
        return table[indices_BT]
    along_rows, along_row = rules.stored(axes, table.shape)
    along_batch, _ = batch = rules.activation(("batch", "time"), indices_BT.shape)
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

    return _shard_map(
        look_up, (PartitionSpec(along_rows, along_row), batch), PartitionSpec(along_batch)
    )(table, indices_BT)


def per_device(
    function: Callable[..., jax.Array], inputs: Sequence[str], output: str
) -> Callable[..., jax.Array]:
    """Apply a function that the compiler cannot shard to each device's own shards.

    `inputs` and `output` name the axes of each array; the output has the first input's shape.
    """
    rules = _RULES.get()
    if rules is None:
        return function

    def apply(*arrays: jax.Array) -> jax.Array:
        specs = tuple(
            rules.activation(tuple(names.split()), array.shape)
            for names, array in zip(inputs, arrays, strict=True)
        )
        result = rules.activation(tuple(output.split()), arrays[0].shape)
        return _shard_map(function, specs, result)(*arrays)

    return apply


def _shard_map(
    function: Callable[..., jax.Array], inputs: tuple[PartitionSpec, ...], output: PartitionSpec
) -> Callable[..., jax.Array]:
    """Run a function as a `shard_map` over all mesh axes that are not manual yet."""
    mesh = jax.sharding.get_abstract_mesh()
    return jax.shard_map(
        function,
        in_specs=inputs,
        out_specs=output,
        axis_names=set(mesh.axis_names) - set(mesh.manual_axes),
        check_vma=False,
    )


def _reduce_scatter(term: jax.Array, names: tuple[str, ...], stored: PartitionSpec) -> jax.Array:
    """Reduce-scatter over the axes that shard the result, and all-reduce over the others."""
    for name in names:
        if name in stored:
            term = jax.lax.psum_scatter(
                term, name, scatter_dimension=stored.index(name), tiled=True
            )
        else:
            term = jax.lax.psum(term, name)
    return term


def _names(along: Any) -> tuple[str, ...]:
    """Return the mesh axes of one entry of a spec."""
    return along if isinstance(along, tuple) else () if along is None else (along,)


def _shard_shape(shape: tuple[int, ...], spec: PartitionSpec) -> tuple[int, ...]:
    """Return the shape of a device's shard."""
    sizes = jax.sharding.get_abstract_mesh().shape
    ways = [math.prod(sizes[name] for name in _names(along)) for along in spec]
    return tuple(size // way for size, way in zip(shape, ways, strict=True))


def _first_and_last_sharded(first: Any, last: Sequence[Any], ndim: int) -> PartitionSpec:
    """Return a spec of `ndim` entries that shards the first axis and the last ones."""
    return PartitionSpec(first, *[None] * (ndim - 1 - len(last)), *last)
