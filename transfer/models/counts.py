"""The cost of a forward pass: exact counts from its trace; nothing is allocated."""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
from flax import nnx
from jax.extend import core

from transfer.models.functional import ModelConfig


class _OneKey(nnx.Rngs):
    """Gives every weight the same key, because none is drawn.

    An `nnx.Rngs` counts its keys. Under tracing each count takes time that grows with the number of
    earlier ones, so that a thousand blocks would take minutes.
    """

    def params(self) -> jax.Array:
        return jax.random.key(0)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Trained scalars, floating-point operations, and elements of the outputs of matrix products.

    `flops` are those of convolutions and matrix products, 2 for a multiplication with its addition;
    products with padded zeros count. `activations` are the elements of their outputs.
    """

    parameters: int
    flops: int
    activations: int


@functools.cache  # because it traces the model, and several ask before and after a run
def count(config: ModelConfig, inputs: jax.ShapeDtypeStruct) -> Counts:
    """Count one forward pass of any model at its width and depth, for a batch of these inputs.

    Example:
      >>> from transfer.models import CNNConfig
      >>> image = jax.ShapeDtypeStruct((1, 8, 8, 1), "float32")
      >>> count(CNNConfig(width=4, layers=1), image)
      Counts(parameters=220, flops=9296, activations=330)
    """
    module = nnx.eval_shape(lambda: config.build(_OneKey(0)))
    graph, state = nnx.split(module)
    trained = jax.tree.leaves(nnx.state(module, nnx.Param))
    jaxpr = jax.make_jaxpr(lambda state, x: nnx.merge(graph, state)(x))(state, inputs)
    products = list(_products(jaxpr.jaxpr, 1))
    return Counts(
        parameters=sum(leaf.size for leaf in trained),
        flops=sum(flops for flops, _ in products),
        activations=sum(outputs for _, outputs in products),
    )


def _products(jaxpr: core.Jaxpr, times: int) -> Iterator[tuple[int, int]]:
    """FLOPs and outputs of every product in a jaxpr that runs so many times."""
    for equation in jaxpr.eqns:
        if (terms := _terms(equation)) is not None:
            outputs = times * math.prod(_shape(equation.outvars[0]))
            yield 2 * outputs * terms, outputs
        # Only a scan has a length.
        repeated = times * equation.params.get("length", 1)
        for parameter in equation.params.values():
            body = getattr(parameter, "jaxpr", parameter)
            if isinstance(body, core.Jaxpr):
                yield from _products(body, repeated)


def _terms(equation: Any) -> int | None:
    """Terms in the sum of each output of a product; None for anything else."""
    if equation.primitive.name == "conv_general_dilated":
        # Kernel area, and the channels of one group.
        kernel = _shape(equation.invars[1])
        return math.prod(kernel[axis] for axis in equation.params["dimension_numbers"].rhs_spec[1:])
    if equation.primitive.name == "dot_general":
        left = _shape(equation.invars[0])
        (contracted, _), _ = equation.params["dimension_numbers"]
        return math.prod(left[axis] for axis in contracted)
    return None


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape
