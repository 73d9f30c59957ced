"""SGD, with momentum."""

from typing import Unpack

import optax

from transfer.optim.scaled import LearningRate, Scalar, Shared, scaled
from transfer.scaling import Layout, Recipe


def sgd(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    momentum: Scalar = 0.0,
    nesterov: bool = False,
    **shared: Unpack[Shared],
) -> optax.GradientTransformation:
    """SGD with momentum, decoupled decay, and a recipe's learning rate for every parameter.

    For a parameter with factors (c, d): w <- w - c lr_t (t + d decay w) with the trace t <- g +
    momentum t, or g + momentum t after that for Nesterov's. c d is the same at every width: SGD
    keeps lr * decay. `shared` and errors are those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("vocab -> embed")
      >>> table = lambda n: {"table": Annotated(axes=axes, shape=(3, n), std=1.0)}
      >>> layout = Layout.compare(base=table(2), probe=table(4), target=table(8))
      >>> tx = sgd(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"table": jnp.ones((3, 8))}
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> float(updates["table"][0, 0])  # -0.5 * 4
      -2.0

    Source: arXiv 2203.03466 (Tables 3, 8, 9); Sutskever et al., 2013 (momentum).
    """
    return scaled(
        optax.trace(decay=momentum, nesterov=nesterov),
        learning_rate,
        weight_decay,
        family="linear",
        layout=layout,
        recipe=recipe,
        **shared,
    )
