"""Optimizers whose step depends on a weight as a matrix: Muon on its singular values, Adafactor on
its rows and columns.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import optax
import optax.contrib

from transfer.optim.factors import LearningRate, Scalar, scaled
from transfer.optim.matrices import per_matrix, with_groups_apart
from transfer.pytree_paths import map_leaves
from transfer.recipe_arrays import AnyRecipe, resolved
from transfer.scaling import Layout, Parameter, Role


def muon(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    momentum: Scalar = 0.95,
    nesterov: bool = True,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Muon on hidden matrices and AdamW elsewhere, with a recipe's factors for every parameter.

    For a hidden matrix with factors (c, d): w <- w - c lr_t (s O + d decay w), O being the
    orthogonalized momentum, by five Newton-Schulz iterations on the annotation's (fan-in, fan-out)
    matrix, each weight of a stack on its own. Its singular values are about 1 at any width, so that
    width asks for no more than c = sqrt(m_out / m_in) over the form's multiplier, which is 1 for
    matrices whose sides grow alike. s is `optax.contrib.muon`'s own sqrt(max(1, fan-out / fan-in))
    at the base width: taken at every width it would be a second scaling of rectangular matrices,
    and one that stops at fan-out = fan-in. c d is the same at every width. `b1`, `b2` are AdamW's;
    `eps` is added to its sqrt(v) and to Muon's |momentum|, each following the gradient's size.
    `input_learning_rate` and `readout_learning_rate` tune AdamW's rate against Muon's; the other
    arguments and errors are those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes, Recipe
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> tx = muon(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.ones((8, 8))}
      >>> updates, _ = tx.update({"up": 1e-3 * jnp.eye(8)}, tx.init(params), params)
      >>> bool(0.7 < jnp.linalg.norm(updates["up"], 2) / 0.5 < 1.2)
      True

    Source: Jordan et al., Muon, 2024 (in optax's form: momentum debiased as in Nadam); Yang, Simon
    & Bernstein, arXiv 2310.17813 (Condition 1, the width's exponents).
    """
    axes = {path: _dimension_numbers(parameter) for path, parameter in layout.items()}
    shape = {path: _base_shape_scale(parameter) for path, parameter in layout.items()}
    # Muon's epsilon meets the norm of a whole gradient, sqrt(m_in m_out) times that of its entries.
    norm = {path: math.sqrt(each.m_in * each.m_out) for path, each in layout.items()}

    orthogonalized = optax.chain(
        _scale_by({path: 1.0 / each for path, each in norm.items()}),
        with_groups_apart(
            optax.contrib.scale_by_muon(
                beta=momentum,
                eps=eps,
                nesterov=nesterov,
                weight_dimension_numbers=lambda tree: map_leaves(lambda path, _: axes[path], tree),
            ),
            layout,
        ),
        _scale_by(shape),
    )
    direction = optax.partition(
        {"muon": orthogonalized, "adam": optax.scale_by_adam(b1, b2, eps)},
        lambda tree: map_leaves(
            lambda path, _: "muon" if layout[path].role == Role.HIDDEN else "adam", tree
        ),
    )
    return scaled(
        direction,
        learning_rate,
        weight_decay,
        family="spectral",
        layout=layout,
        recipe=recipe,
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
        rescale_gradients=True,
    )


def _dimension_numbers(parameter: Parameter) -> optax.contrib.MuonDimensionNumbers:
    """Which axes Muon sums over and which it produces; it takes the rest for a stack."""
    _, inputs, outputs = parameter.split_places
    return optax.contrib.MuonDimensionNumbers(reduction_axis=inputs, output_axis=outputs)


def _base_shape_scale(parameter: Parameter) -> float:
    fan_out, fan_in = parameter.fan_out / parameter.m_out, parameter.fan_in / parameter.m_in
    return math.sqrt(max(1.0, float(fan_out / fan_in)))


def _scale_by(factors: Mapping[str, float]) -> optax.GradientTransformation:
    def scale(tree: Any, parameters: Any = None) -> Any:
        del parameters
        return map_leaves(lambda path, leaf: factors[path] * leaf, tree)

    return optax.stateless(scale)


def adafactor(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    decay_rate: Scalar = 0.8,
    clipping_threshold: Scalar = 1.0,
    eps: Scalar = 1e-30,
    min_scale: Scalar = 1e-3,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Adafactor with a recipe's learning rate and decay for every parameter of a layout.

    For a weight with factors (c, d) and init std factor s,

        w <- w - c lr_t (max(s min_scale, rms(w)) u / max(1, rms(u) / clipping_threshold)
                         + d decay w),

    u being the gradient over the square root of a second moment of rank one, whose decay at step t
    is 1 - t^-decay_rate. Two things differ from `optax.adafactor`, by which width would change the
    algorithm: the second moment is factored by the annotation's fan-in and fan-out, whatever their
    sizes, where optax takes the two largest axes if both reach 128; and a stack's weights each have
    a second moment, a clipping and a size of their own. c d is the same at every width. `eps`,
    added to squared gradients, follows the gradient's size; the other arguments and errors are
    those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes, Recipe
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
    rules = resolved(recipe).rules(layout, "relative")

    def step(parameter: Parameter) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_factored_rms(
                decay_rate=decay_rate,
                min_dim_size_to_factor=1,
                epsilon=eps,
                decay_rate_fn=_second_moment_decay,
            ),
            optax.clip_by_block_rms(clipping_threshold),
            # The floor replaces the size of a weight, which differs between forms.
            optax.scale_by_param_block_rms(min_scale * rules[parameter.path].std),
        )

    return scaled(
        per_matrix(step, layout),
        learning_rate,
        weight_decay,
        family="relative",
        layout=layout,
        recipe=recipe,
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
        rescale_gradients=True,
    )


def _second_moment_decay(step: jax.Array, decay_rate: Scalar) -> jax.Array:
    """Optax's own, in the parameters' precision instead of float32."""
    return 1.0 - (step + 1.0) ** -decay_rate
