"""Lion."""

from typing import Unpack

import optax

from transfer.optim.scaled import LearningRate, Scalar, Shared, scaled
from transfer.scaling import Layout, Recipe


def lion(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    **shared: Unpack[Shared],
) -> optax.GradientTransformation:
    """Lion with a recipe's learning rate and decay for every parameter of a layout.

    For a parameter with factors (c, d): w <- w - c lr_t (sign(b1 m + (1 - b1) g) + d decay w), then
    m <- b2 m + (1 - b2) g. Every entry of the step is 1 or 0, so that it takes Adam's exponents; it
    has no epsilon. `shared` and errors are those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> tx = lion(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.ones((8, 8))}
      >>> updates, _ = tx.update({"up": jnp.full((8, 8), 1e-9)}, tx.init(params), params)
      >>> float(updates["up"][0, 0])  # -0.5 / 4
      -0.125

    Source: Chen et al., arXiv 2302.06675 (Algorithm 2); exponents of arXiv 2203.03466 for Adam.
    """
    return scaled(
        optax.scale_by_lion(b1, b2),
        learning_rate,
        weight_decay,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        **shared,
    )
