"""AdamW and its relatives, which divide a mean of gradients by the root mean of their squares.

Every entry of such a step is about one in size, whatever the size of the gradient, so that all of
them take the exponents of the entrywise family.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from transfer.optim.factors import LearningRate, Scalar, require_whole, scaled
from transfer.optim.matrices import matrices, restored
from transfer.precision import precise
from transfer.pytree_paths import map_leaves
from transfer.recipe_arrays import AnyRecipe, resolved
from transfer.scaling import Layout


def adamw(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """AdamW with a recipe's learning rate, decay and epsilon for every parameter of a layout.

    For a parameter with factors (c, d, e): w <- w - c lr_t (m / (sqrt(v) + e eps) + d decay w), so
    that w shrinks by c lr_t * d decay per step. `clip`, `input_learning_rate` and
    `readout_learning_rate` mean what they mean to `scaled`, and errors are those of `scaled`.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes, Recipe
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
        optax.scale_by_adam(b1, b2, eps),
        learning_rate,
        weight_decay,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
        rescale_gradients=True,
    )


def nadam(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """NAdam with a recipe's learning rate, decay and epsilon for every parameter of a layout.

    For a parameter with factors (c, d, e), Adam's moments m and v after step t, and the momentum n
    that Nesterov's step looks ahead with,

        n = b1 m / (1 - b1^(t + 1)) + (1 - b1) g / (1 - b1^t)
        w <- w - c lr_t (n / (sqrt(v / (1 - b2^t)) + e eps) + d decay w).

    The step has the size of Adam's, so it takes Adam's exponents. As in `optax.nadamw`, two things
    differ from the paper: b1 is the same at every step, and the decay is decoupled. The other
    arguments and errors are those of `scaled`.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Recipe
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> tx = nadam(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.ones((8, 8))}
      >>> updates, _ = tx.update({"up": jnp.ones((8, 8))}, tx.init(params), params)
      >>> round(float(updates["up"][0, 0]), 6)  # -(0.5 / 4) * (1 + 0.9 / 1.9)
      -0.18421

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016 (Algorithm 2);
    exponents of arXiv 2203.03466 for Adam.
    """
    return scaled(
        optax.scale_by_adam(b1, b2, eps, nesterov=True),
        learning_rate,
        weight_decay,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
        rescale_gradients=True,
    )


def adam_atan2(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    a: Scalar = 1.0,
    b: Scalar = 1.0,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Adam-atan2 with a recipe's learning rate and decay for every parameter of a layout.

    For a parameter with factors (c, d): w <- w - c lr_t (a atan2(m, b sqrt(v)) + d decay w), m and
    v being Adam's debiased moments. The step is bounded without an epsilon and the same for any
    multiple of the gradients, so that no epsilon has to follow the gradient's size. The other
    arguments and errors are those of `scaled`.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Recipe
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
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
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


def adamp(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: AnyRecipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    delta: Scalar = 0.1,
    wd_ratio: Scalar = 0.1,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """AdamP with a recipe's learning rate, decay and epsilon for every parameter of a layout.

    As `adamw`, but where a weight looks scale-invariant, |cos(g, w)| < delta / sqrt(dim), its
    radial part is taken off the step, p <- p - (w.p / w.w) w, and its decay is times `wd_ratio`.
    Tested first on every column of the annotation's matrix, the weights into one output, with
    dim the fan-in, where all columns have to pass; then on the matrix as a whole. (A column of an
    embedding table runs over the vocabulary; the paper's code, whose rows are outputs, takes a
    token's entries.) Parameters without a fan-in, gains and biases, keep AdamW's step. The
    other arguments and errors are those of `scaled`.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Recipe
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, 1), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(2))
      >>> tx = adamp(0.5, layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.array([[3.0], [4.0]])}
      >>> gradients = {"up": jnp.array([[4.0], [-3.0]])}  # orthogonal to the weight
      >>> updates, _ = tx.update(gradients, tx.init(params), params)
      >>> jnp.vdot(updates["up"], params["up"]).round(5)
      Array(0., dtype=float32)

    Source: Heo et al., arXiv 2006.08217 (Algorithm 2).
    """
    require_whole(layout, "The projection of AdamP")
    decay = {path: rule.weight_decay for path, rule in resolved(recipe).rules(layout).items()}
    return scaled(
        _scale_by_adamp(
            optax.scale_by_adam(b1, b2, eps), layout, delta, precise(weight_decay), decay, wd_ratio
        ),
        learning_rate,
        family="entrywise",
        layout=layout,
        recipe=recipe,
        clip=clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
        rescale_gradients=True,
    )


def _scale_by_adamp(
    adam: optax.GradientTransformation,
    layout: Layout,
    delta: Scalar,
    weight_decay: Scalar,
    factors: Mapping[str, float],
    wd_ratio: Scalar,
) -> optax.GradientTransformation:
    """Adam's steps and the decay, which is in here because it depends on the projection."""

    def update(gradients: Any, state: Any, parameters: Any) -> tuple[Any, Any]:
        steps, state = adam.update(gradients, state)

        def one(path: str, step: jax.Array, gradient: jax.Array, weight: jax.Array) -> jax.Array:
            parameter, decay = layout[path], weight_decay * factors[path]
            if not parameter.axes.inputs:
                return step + decay * weight
            moved, gradient, held = (matrices(leaf, parameter) for leaf in (step, gradient, weight))
            project = jax.vmap(functools.partial(_tangential, delta=delta))
            tangential, invariant = project(moved, gradient, held)
            ratio = jnp.where(invariant, wd_ratio, 1.0).astype(weight.dtype)[:, None, None]
            return restored(tangential + decay * ratio * held, parameter)

        return map_leaves(one, steps, gradients, parameters), state

    return optax.GradientTransformation(adam.init, update)


def _tangential(
    step: jax.Array, gradient: jax.Array, weight: jax.Array, *, delta: Scalar
) -> tuple[jax.Array, jax.Array]:
    """Return the step of one matrix without its radial part, and whether it had to go."""
    columns, matrix = 0, (0, 1)
    by_column, by_matrix = (
        _scale_invariant(gradient, weight, delta, axes) for axes in (columns, matrix)
    )
    radial = jnp.where(
        by_column,
        _radial(step, weight, columns),
        jnp.where(by_matrix, _radial(step, weight, matrix), 0.0),
    )
    return step - radial, by_column | by_matrix


def _scale_invariant(
    gradient: jax.Array, weight: jax.Array, delta: Scalar, axes: int | tuple[int, ...]
) -> jax.Array:
    """A loss that does not depend on a weight's norm has gradients orthogonal to the weight."""
    norms = jnp.linalg.norm(gradient, axis=axes) * jnp.linalg.norm(weight, axis=axes)
    # A weight or gradient of 0 is orthogonal to everything.
    cosines = jnp.abs(jnp.sum(gradient * weight, axis=axes)) / jnp.where(norms > 0.0, norms, 1.0)
    dimension = weight.size // cosines.size
    return jnp.max(cosines) < delta / dimension**0.5


def _radial(step: jax.Array, weight: jax.Array, axes: int | tuple[int, ...]) -> jax.Array:
    """The part of a step along the weight; 0 along a weight of 0."""
    square = jnp.sum(weight * weight, axis=axes, keepdims=True)
    along = jnp.sum(step * weight, axis=axes, keepdims=True)
    return along / jnp.where(square > 0.0, square, 1.0) * weight
