"""A parameter as the matrices that its annotation describes, one for each weight of its stack."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from transfer.precision import precise
from transfer.scaling import Parameter

Product = Callable[[jax.Array], jax.Array]


def by_fan(weight: jax.Array, parameter: Parameter) -> jax.Array:
    """The weight as (*stack, *inputs, *outputs), in float32 or better.

    Its axes stay apart: to merge them would gather what is split over devices. The groups of a
    grouped convolution are the last axis of the stack.
    """
    exact = precise(weight)
    stack, inputs, outputs = parameter.split_places
    return exact.reshape(parameter.split_shape).transpose(*stack, *inputs, *outputs)


def stack_axes(parameter: Parameter) -> int:
    """Return how many axes enumerate the weights of `by_fan`: those of the stack, and groups."""
    return len(parameter.split_places[0])


def vectors_shape(parameter: Parameter, k: int) -> tuple[int, ...]:
    """Return the shape of k vectors for each weight, on its smaller side: (*stack, k, *side)."""
    stack, inputs, outputs = parameter.split_places
    side = inputs if parameter.fan_in < parameter.fan_out else outputs
    sizes = parameter.split_shape
    return *(sizes[place] for place in stack), k, *(sizes[place] for place in side)


def products(weight: jax.Array, parameter: Parameter) -> tuple[Product, Product]:
    """The products of a single weight (*inputs, *outputs) with k vectors at once.

    The first takes vectors of the smaller side to the larger one, the second back. The vectors come
    first in both: XLA on a CPU takes 30 times as long for A.T @ u as for u @ A.
    """
    _, inputs, outputs = map(len, parameter.split_places)

    def contract(axes: range) -> Product:
        vector = tuple(range(1, 1 + len(axes)))
        return lambda vectors: jnp.tensordot(vectors, weight, axes=(vector, tuple(axes)))

    from_inputs, from_outputs = contract(range(inputs)), contract(range(inputs, inputs + outputs))
    if parameter.fan_in < parameter.fan_out:
        return from_inputs, from_outputs
    return from_outputs, from_inputs


def over_stack(function: Callable[..., Any], parameter: Parameter) -> Callable[..., Any]:
    """Map a function of single weights over arrays with the parameter's leading stack axes."""
    for _ in range(stack_axes(parameter)):
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
