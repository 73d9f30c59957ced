"""AdamW."""

from typing import Unpack

import optax

from transfer.optim.scaled import LearningRate, Scalar, Shared, scaled
from transfer.scaling import Layout, Recipe


def adamw(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    **shared: Unpack[Shared],
) -> optax.GradientTransformation:
    """AdamW with a recipe's learning rate, decay and epsilon for every parameter of a layout.

    For a parameter with factors (c, d, e): w <- w - c lr_t (m / (sqrt(v) + e eps) + d decay w), so
    that w shrinks by c lr_t * d decay per step. `shared` are `clip`, `input_learning_rate` and
    `readout_learning_rate`, which mean what they mean to `scaled`, and errors are those of
    `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> tx = adamw(0.5, 0.1, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.ones((8, 8))}
      >>> updates, _ = tx.update({"up": jnp.zeros((8, 8))}, tx.init(params), params)
      >>> float(updates["up"][0, 0])  # -(0.5 / 4) * (0.1 * 4**0.5)
      -0.02500000037252903

    Source: arXiv 2510.15262 (rules), Loshchilov & Hutter 1711.05101 (AdamW, in optax's convention).
    """
    return scaled(
        lambda factors: optax.scale_by_adam(b1, b2, eps * factors.epsilon),
        learning_rate,
        weight_decay,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        **shared,
    )
