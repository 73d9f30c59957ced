"""Adam-atan2: Adam without an epsilon."""

from typing import Any, Unpack

import jax
import jax.numpy as jnp
import optax

from transfer.optim.scaled import LearningRate, Scalar, Shared, scaled
from transfer.scaling import Layout, Recipe


def adam_atan2(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    a: Scalar = 1.0,
    b: Scalar = 1.0,
    **shared: Unpack[Shared],
) -> optax.GradientTransformation:
    """Adam-atan2 with a recipe's learning rate and decay for every parameter of a layout.

    For a parameter with factors (c, d): w <- w - c lr_t (a atan2(m, b sqrt(v)) + d decay w), m and
    v being Adam's debiased moments. The step is bounded without an epsilon and the same for any
    multiple of the gradients, so that no epsilon has to follow the gradient's size. `shared` and
    errors are those of `scaled`.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> tx = adam_atan2(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.ones((8, 8))}
      >>> updates, _ = tx.update({"up": jnp.full((8, 8), 1e-9)}, tx.init(params), params)
      >>> round(float(updates["up"][0, 0]), 6)  # -(0.5 / 4) * pi / 4
      -0.098175

    Source: Everett et al., arXiv 2407.05872 (Adam-atan2).
    """
    return scaled(
        _scale_by_adam_atan2(b1, b2, a, b),
        learning_rate,
        weight_decay,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        **shared,
    )


def _scale_by_adam_atan2(
    b1: Scalar, b2: Scalar, a: Scalar, b: Scalar
) -> optax.GradientTransformation:
    def init(parameters: Any) -> optax.ScaleByAdamState:
        zeros = optax.tree.zeros_like(parameters)
        return optax.ScaleByAdamState(count=jnp.zeros([], jnp.int32), mu=zeros, nu=zeros)

    def update(
        gradients: Any, state: optax.ScaleByAdamState, parameters: Any = None
    ) -> tuple[Any, optax.ScaleByAdamState]:
        del parameters
        count = optax.safe_increment(state.count)
        mu = optax.tree.update_moment(gradients, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(gradients, state.nu, b2, 2)
        steps = jax.tree.map(
            lambda m, v: a * jnp.arctan2(m, b * jnp.sqrt(v)),
            optax.tree.bias_correction(mu, b1, count),
            optax.tree.bias_correction(nu, b2, count),
        )
        return steps, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)
