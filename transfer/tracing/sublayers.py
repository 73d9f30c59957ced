"""How much larger or smaller every weight of a forward pass makes what it is multiplied with."""

from collections.abc import Callable
from typing import Any

import jax

from transfer.scaling import Layout, Role
from transfer.tracing.infer import read
from transfer.tracing.intermediates import rms, tapped
from transfer.tracing.interpreter import Location
from transfer.tracing.user_model import Foreign


def sublayer_gains(
    forward: Callable[..., Any], layout: Layout
) -> Callable[..., dict[str, jax.Array]]:
    """Return a function with the gains of all hidden weights in a forward pass, by path.

    The gain is rms(outputs) / rms(inputs) of the product in which a weight meets the activations,
    over all examples and positions; weights in a scan give one for every step (layers,). Products
    are found by reading the forward pass, and sizes are taken where they are made, so that no
    activation is kept. A weight that is used twice is measured where it comes first. What scales
    the output after the product is not part of it.

    Arguments:
      forward: forward(parameters, state, *inputs), as the function that is returned; the
        parameters have the layout's paths.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> kernel = lambda n: {"up": Annotated(axes=Axes.parse("embed -> ffn"), shape=(n, n))}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(2))
      >>> gains = sublayer_gains(lambda tree, state, x: jnp.tanh(x @ tree["up"]), layout)
      >>> print(gains({"up": 3 * jnp.eye(2)}, (), jnp.ones((5, 2)))["up"])
      3.0
    """

    def run(parameters: Any, state: Any, *inputs: Any) -> dict[str, jax.Array]:
        reader = read(Foreign(parameters, state, forward), inputs)
        names: dict[Location, str] = {}
        for at, met in sorted(reader.products.items()):
            path = min(met)
            hidden = len(met) == 1 and layout[path].role == Role.HIDDEN
            if hidden and path not in names.values():
                names[at] = path

        def gain(at: Location, operands: Any, output: jax.Array) -> jax.Array:
            return rms(output) / rms(operands[reader.activations[at]])

        _, gains = tapped(forward, names, gain)(parameters, state, *inputs)
        return gains

    return run
