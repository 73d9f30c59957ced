"""How a sublayer changes the size of its inputs, and how weight decay changes its weights.

For a sublayer y = W x with singular values sigma_1 >= sigma_2 >= ...,

    gain = rms(y) / rms(x) = sqrt(fan_in / fan_out) * sigma_1 * alignment

Source: arXiv 2510.15262, Figure 1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from transfer.precision import precise
from transfer.probes.matrices import by_fan, stack_axes
from transfer.scaling import Parameter

Number = TypeVar("Number", float, np.ndarray, jax.Array)


class Sublayer(NamedTuple):
    """What has been measured of one hidden weight, for each weight of its stack.

    Fields:
      parameter: the weight's annotation and sizes.
      weight: its entries now.
      earlier: its entries one step before.
      gain: rms(outputs) / rms(inputs), (*stack,).
      largest: the largest singular value of the effective weight, (*stack,).
      rms: of the entries of the effective weight, (*stack,).
    """

    parameter: Parameter
    weight: jax.Array
    earlier: jax.Array
    gain: jax.Array
    largest: jax.Array
    rms: jax.Array


def weight_rms(weight: jax.Array, parameter: Parameter) -> jax.Array:
    """Root mean square of every weight of a stack: (*stack,), in float32 or better.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Layout
      >>> axes = Axes.parse("layers | embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(2, n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(3))
      >>> print(weight_rms(jnp.stack([jnp.ones((3, 3)), -2 * jnp.ones((3, 3))]), layout["up"]))
      [1. 2.]
    """
    exact = by_fan(weight, parameter)
    stack = stack_axes(parameter)
    return jnp.sqrt(jnp.mean(jnp.square(exact), axis=tuple(range(stack, exact.ndim))))


def alignment(gain: jax.Array, largest: jax.Array, parameter: Parameter) -> jax.Array:
    """How much of the largest singular value the inputs meet: gain / (sqrt(fan_in / fan_out) * it).

    1 where all inputs lie along the first right singular vector; for inputs of no direction, the
    root of the stable rank over the fan-in.

    Arguments:
      gain: rms(outputs) / rms(inputs), of any shape.
      largest: the largest singular value of the effective weight, of the same shape.
    """
    return gain / ((parameter.fan_in / parameter.fan_out) ** 0.5 * largest)


def stable_rank(rms: jax.Array, largest: jax.Array, parameter: Parameter) -> jax.Array:
    """The sum of all squared singular values over the largest: |W|_F^2 / sigma_1^2, at least 1.

    Arguments:
      rms: of the entries of the weight whose singular values they are.
      largest: the largest singular value, of the same shape.
    """
    return parameter.fan_in * parameter.fan_out * jnp.square(rms / largest)


def spectrum_shape(values: jax.Array) -> jax.Array:
    """sigma_i / sigma_1 of singular values (..., k), largest first.

    Example:
      >>> print(spectrum_shape(jnp.array([4.0, 2.0, 1.0])))
      [1.   0.5  0.25]
    """
    return values / values[..., :1]


def relative_update(after: jax.Array, before: jax.Array, parameter: Parameter) -> jax.Array:
    """rms(after - before) / rms(before) of every weight of a stack: (*stack,)."""
    change = weight_rms(precise(after) - precise(before), parameter)
    return change / weight_rms(before, parameter)


# What training measures of every sublayer: each quantity is a column of the table of gains.
SUBLAYER_QUANTITIES: Mapping[str, Callable[[Sublayer], jax.Array]] = {
    "gain": lambda sublayer: sublayer.gain,
    "alignment": lambda sublayer: alignment(sublayer.gain, sublayer.largest, sublayer.parameter),
    "stable_rank": lambda sublayer: stable_rank(sublayer.rms, sublayer.largest, sublayer.parameter),
    "rms": lambda sublayer: sublayer.rms,
    "update": lambda sublayer: relative_update(
        sublayer.weight, sublayer.earlier, sublayer.parameter
    ),
}


def equilibrium_rms(learning_rate: Number, weight_decay: float, b1: float) -> Number:
    """RMS at which AdamW's steps and its decay balance, where gradients are mostly noise.

    With a = 1 - lr * decay it is

        lr sqrt((1 - b1) / (1 + b1)) sqrt((1 + a b1) / ((1 - a^2) (1 - a b1))),

    which tends to sqrt(lr / (2 decay)) for small lr * decay, whatever the width and the size of
    gradients. All are those of the parameter itself: what the recipe's factors make of them. It is
    reached after some 1 / (lr * decay) steps at one learning rate; infinite without decay.

    Example:
      >>> round(equilibrium_rms(0.01, 0.5, 0.9), 4), round((0.01 / (2 * 0.5)) ** 0.5, 4)
      (0.0978, 0.1)

    Source: the steady state of w' = a w - lr u with u a running mean of noise of size 1.
    """
    a = 1 - learning_rate * weight_decay
    mean = (1 - b1) / (1 + b1)
    return learning_rate * (mean * (1 + a * b1) / ((1 - a**2) * (1 - a * b1))) ** 0.5
