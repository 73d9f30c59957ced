"""A parameter as the matrices that its annotation describes, one for each weight of its stack."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from transfer.scaling import Parameter

Product = Callable[[jax.Array], jax.Array]


def by_fan(weight: jax.Array, parameter: Parameter) -> jax.Array:
    """The weight as (*stack, *inputs, *outputs), in float32 or better.

    Its axes stay apart: to merge them would gather what is split over devices.
    """
    exact = weight.astype(jnp.promote_types(weight.dtype, jnp.float32))
    return exact.transpose(parameter.axes.places)


def vectors_shape(parameter: Parameter, k: int) -> tuple[int, ...]:
    """Return the shape of k vectors for each weight, on its smaller side: (*stack, k, *side)."""
    sizes = [parameter.shape[place] for place in parameter.axes.places]
    stack, fan_in, fan_out = _sides(parameter)
    side = fan_in if parameter.fan_in < parameter.fan_out else fan_out
    return *sizes[stack], k, *sizes[side]


def products(weight: jax.Array, parameter: Parameter) -> tuple[Product, Product]:
    """The products of a single weight (*inputs, *outputs) with k vectors at once.

    The first takes vectors of the smaller side to the larger one, the second back. The vectors come
    first in both: XLA on a CPU takes 30 times as long for A.T @ u as for u @ A.
    """
    stack, fan_in, fan_out = _sides(parameter)

    def contract(side: slice) -> Product:
        axes = tuple(range(side.start - stack.stop, side.stop - stack.stop))
        vector = tuple(range(1, 1 + len(axes)))
        return lambda vectors: jnp.tensordot(vectors, weight, axes=(vector, axes))

    if parameter.fan_in < parameter.fan_out:
        return contract(fan_in), contract(fan_out)
    return contract(fan_out), contract(fan_in)


def over_stack(function: Callable[..., Any], parameter: Parameter) -> Callable[..., Any]:
    """Map a function of single weights over arrays with the parameter's leading stack axes."""
    for _ in parameter.axes.stack:
        function = jax.vmap(function)
    return function


def one_at_a_time_on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same function, which vmap on a CPU runs for one weight after the other.

    A weight then stays in the cache from product to product, and products with a single matrix are
    those that XLA does well there: 2 to 5 times faster. Accelerators take all weights at once.

    It also prevents a deadlock. jaxlib hands a batch of matrices for LAPACK to XLA's threads, and
    waits for them on one of these threads; with one device per core as many calls wait as there are
    threads, and none of them ends. A call of one matrix waits for no other thread.
    """
    in_turn = jax.custom_batching.sequential_vmap(function)
    return lambda *arrays: jax.lax.platform_dependent(*arrays, cpu=in_turn, default=function)


def _sides(parameter: Parameter) -> tuple[slice, slice, slice]:
    """Where stack, inputs and outputs are among the axes of `by_fan`."""
    stack = len(parameter.axes.stack)
    inputs = stack + len(parameter.axes.inputs or ())
    return slice(0, stack), slice(stack, inputs), slice(inputs, len(parameter.shape))
