"""Optimizers that keep a running mean of gradients alone: SGD with momentum, and Lion."""

import optax

from transfer.optim.factors import LearningRate, Scalar, scaled
from transfer.recipe_arrays import AnyRecipe
from transfer.scaling import Layout


def sgd(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    momentum: Scalar = 0.0,
    nesterov: bool = False,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """SGD with momentum, decoupled decay, and a recipe's learning rate for every parameter.

    For a parameter with factors (c, d): w <- w - c lr_t (t + d decay w) with the trace t <- g +
    momentum t, or g + momentum t after that for Nesterov's. c d is the same at every width: SGD
    keeps lr * decay. The other arguments and errors are those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes, Recipe
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
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
    )


def lion(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Lion with a recipe's learning rate and decay for every parameter of a layout.

    For a parameter with factors (c, d): w <- w - c lr_t (sign(b1 m + (1 - b1) g) + d decay w), then
    m <- b2 m + (1 - b2) g. Every entry of the step is 1 or 0, so that it takes Adam's exponents; it
    has no epsilon. The other arguments and errors are those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes, Recipe
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
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
    )
