"""Any optax transformation with a recipe's factors: what every optimizer here is made of.

The transformation is an `optax.partition` of plain chains (direction, decay, learning rate), one
for each distinct set of factors, after the gradient of the whole tree has been clipped. Learning
rate and decay may be traced values, and the learning rate may be an optax schedule.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypedDict

import jax
import jax.numpy as jnp
import optax

from transfer.errors import TransferError
from transfer.pytree_paths import leaves, map_leaves
from transfer.scaling import Family, Layout, Recipe, Role, Rule

Scalar = float | jax.Array
LearningRate = Scalar | Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Factors:
    """What tells one group of parameters from another; as text, its name in the state."""

    role: Role
    learning_rate: float
    weight_decay: float
    epsilon: float

    def __str__(self) -> str:
        return (
            f"{self.role}: lr x {self.learning_rate!r}, decay x {self.weight_decay!r}, "
            f"epsilon x {self.epsilon!r}"
        )


Direction: TypeAlias = (
    optax.GradientTransformation | Callable[[Factors], optax.GradientTransformation]
)


class Shared(TypedDict, total=False):
    """What every optimizer takes besides its own settings; `scaled` says what they mean."""

    clip: float | None
    input_learning_rate: Scalar
    readout_learning_rate: Scalar


def scaled(
    direction: Direction,
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    family: Family,
    layout: Layout,
    recipe: Recipe,
    clip: float | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformation:
    """Take steps in an optax direction, at a recipe's learning rate and decay for each parameter.

    For a parameter with factors (c, d): w <- w - c lr_t (direction(g) + d decay w), so that w
    shrinks by c lr_t * d decay per step.

    Arguments:
      direction: the step before learning rate and decay, such as `optax.scale_by_yogi()`, or a
        function of a group's `Factors` that makes it, for one whose epsilon has to follow the size
        of the gradient: `lambda factors: optax.scale_by_yogi(eps=1e-3 * factors.epsilon)`.
      learning_rate: a number or an optax schedule.
      family: the size of the direction, which says how the learning rate follows width (`Recipe`).
      layout: of the parameters, which may be any pytree of the layout's paths.
      clip: bounds the recipe's norm of the gradient.
      input_learning_rate, readout_learning_rate: times the learning rate of these two roles.

    Raises `TransferError` for an unknown family, and at `init` when parameters and layout differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
      >>> sign = optax.scale_by_sign()
      >>> tx = scaled(sign, 0.5, family="entrywise", layout=layout, recipe=Recipe("mup"))
      >>> params = {"up": jnp.ones((8, 8))}
      >>> updates, _ = tx.update({"up": jnp.full((8, 8), 3.0)}, tx.init(params), params)
      >>> float(updates["up"][0, 0])  # -0.5 / 4
      -0.125

    Source: arXiv 2203.03466 (Tables 3, 8, 9), 2407.05872 (Table 1), 2310.17813, by family.
    """
    rules = recipe.rules(layout, family)
    knobs = {Role.INPUT: input_learning_rate, Role.OUTPUT: readout_learning_rate}
    factors = {
        path: Factors(rule.role, rule.learning_rate, rule.weight_decay, rule.epsilon)
        for path, rule in rules.items()
    }

    def group(each: Factors) -> optax.GradientTransformation:
        return optax.chain(
            direction(each) if callable(direction) else direction,
            optax.add_decayed_weights(weight_decay * each.weight_decay),
            optax.scale_by_learning_rate(
                _times(learning_rate, each.learning_rate * knobs.get(each.role, 1.0))
            ),
        )

    def labels(parameters: Any) -> Any:
        layout.require(leaves(parameters))
        return map_leaves(lambda path, _: str(factors[path]), parameters)

    groups = optax.partition({str(each): group(each) for each in factors.values()}, labels)
    if clip is None:
        return groups
    return optax.named_chain(("clip", _clip_by_norm(clip, rules)), ("optimizer", groups))


def _times(learning_rate: LearningRate, factor: Scalar) -> LearningRate:
    if callable(learning_rate):
        return lambda step: learning_rate(step) * factor
    return learning_rate * factor


def gradient_norm(gradients: Any, layout: Layout, recipe: Recipe) -> jax.Array:
    """Return the norm of the gradient that `clip` bounds: sqrt(sum_l c_l |g_l|^2).

    c_l is 1 for raw clipping. For the invariant norm it is the form's full-alignment SGD
    learning-rate factor: between forms of one class g scales by theta and c by theta^-2.
    """
    return _norm(gradients, recipe.rules(layout))


def _clip_by_norm(bound: float, rules: Mapping[str, Rule]) -> optax.GradientTransformation:
    """Scale the whole gradient down to a norm of at most `bound`.

    Raises `TransferError` unless the bound is above 0.
    """
    if not bound > 0:
        raise TransferError(f"clip is {bound}; expected a bound above 0, or None for no clipping.")

    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        del parameters
        scale = bound / jnp.maximum(_norm(gradients, rules), bound)
        return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), gradients), state

    return optax.GradientTransformation(lambda parameters: optax.EmptyState(), update)


def _norm(gradients: Any, rules: Mapping[str, Rule]) -> jax.Array:
    return jnp.sqrt(
        sum(
            rules[path].clip * jnp.sum(jnp.square(leaf)) for path, leaf in leaves(gradients).items()
        )
    )
