"""Adafactor, scaled by the size of each weight."""

from typing import Unpack

import jax
import optax

from transfer.optim.matrices import per_matrix
from transfer.optim.scaled import LearningRate, Scalar, Shared, scaled
from transfer.scaling import Layout, Parameter, Recipe


def adafactor(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    decay_rate: Scalar = 0.8,
    clipping_threshold: Scalar = 1.0,
    eps: Scalar = 1e-30,
    min_scale: Scalar = 1e-3,
    **shared: Unpack[Shared],
) -> optax.GradientTransformation:
    """Adafactor with a recipe's learning rate and decay for every parameter of a layout.

    For a weight with factors (c, d) and init std factor s,

        w <- w - c lr_t (max(s min_scale, rms(w)) u / max(1, rms(u) / clipping_threshold)
                         + d decay w),

    u being the gradient over the square root of a second moment of rank one, whose decay at step t
    is 1 - t^-decay_rate. Two things differ from `optax.adafactor`, by which width would change the
    algorithm: the second moment is factored by the annotation's fan-in and fan-out, whatever their
    sizes, where optax takes the two largest axes if both reach 128; and a stack's weights each have
    a second moment, a clipping and a size of their own. c d is the same at every width. `eps`,
    added to squared gradients, follows the gradient's size; `shared` and errors are those of
    `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> tx = adafactor(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.full((8, 8), 3.0)}
      >>> updates, _ = tx.update({"up": jnp.ones((8, 8))}, tx.init(params), params)
      >>> round(float(updates["up"][0, 0]), 6)  # -(0.5 / 4**0.5) * 3
      -0.75

    Source: Shazeer & Stern, arXiv 1804.04235 (Algorithms 4 and 5); exponents of arXiv 2407.05872
    (Table 1).
    """
    rules = recipe.rules(layout, "relative")

    def step(parameter: Parameter) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_factored_rms(
                decay_rate=decay_rate,
                min_dim_size_to_factor=1,
                epsilon=eps,
                decay_rate_fn=_second_moment_decay,
            ),
            optax.clip_by_block_rms(clipping_threshold),
            # The floor stands for the size of a weight, which differs from form to form.
            optax.scale_by_param_block_rms(min_scale * rules[parameter.path].std),
        )

    return scaled(
        # A gradient over its factor against eps is a gradient against eps times it squared, but no
        # product of the two small numbers can vanish.
        lambda factors: optax.chain(optax.scale(1.0 / factors.epsilon), per_matrix(step, layout)),
        learning_rate,
        weight_decay,
        family="relative",
        layout=layout,
        recipe=recipe,
        **shared,
    )


def _second_moment_decay(step: jax.Array, decay_rate: Scalar) -> jax.Array:
    """Optax's own, in the parameters' precision instead of float32."""
    return 1.0 - (step + 1.0) ** -decay_rate
