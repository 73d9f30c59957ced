"""AdamW and SGD whose per-parameter factors follow a layout and a recipe.

Both are `optax.partition`s of plain optax optimizers, one per distinct set of factors, behind the
clipping of the whole tree. Learning rate, decay, betas and epsilon may be traced values, and the
learning rate may be an optax schedule.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from transfer import paths
from transfer.errors import TransferError, nearest
from transfer.scaling import Layout, Recipe, Role, Rule

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


def adamw(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    clip: float | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformation:
    """AdamW with a recipe's learning rate, decay and epsilon for every parameter of a layout.

    For a parameter with factors (c, d, e): w <- w - c lr_t (m / (sqrt(v) + e eps) + d decay w), so
    that w shrinks by c lr_t * d decay per step. `clip` bounds the recipe's norm of the gradient.
    Parameters may be any pytree whose paths are the layout's. Raises `TransferError` at `init` when
    they are not.

    Example:
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

    def group(factors: Factors) -> optax.GradientTransformation:
        return optax.adamw(
            _times(learning_rate, factors.learning_rate * knobs.get(factors.role, 1.0)),
            b1=b1,
            b2=b2,
            eps=eps * factors.epsilon,
            weight_decay=weight_decay * factors.weight_decay,
        )

    knobs = {Role.INPUT: input_learning_rate, Role.OUTPUT: readout_learning_rate}
    return _partition(group, recipe.rules(layout, "entrywise"), layout, clip)


def sgd(
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    layout: Layout,
    recipe: Recipe,
    momentum: Scalar = 0.0,
    nesterov: bool = False,
    clip: float | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
) -> optax.GradientTransformation:
    """SGD with momentum, decoupled decay, and a recipe's learning rate for every parameter.

    For a parameter with factors (c, d): w <- w - c lr_t (trace(g) + d decay w), where c d is the
    same at every width: SGD keeps lr * decay. Arguments and errors are those of `adamw`.

    Source: arXiv 2203.03466 (Tables 3, 8, 9).
    """

    def group(factors: Factors) -> optax.GradientTransformation:
        return optax.chain(
            optax.trace(decay=momentum, nesterov=nesterov),
            optax.add_decayed_weights(weight_decay * factors.weight_decay),
            optax.scale_by_learning_rate(
                _times(learning_rate, factors.learning_rate * knobs.get(factors.role, 1.0))
            ),
        )

    knobs = {Role.INPUT: input_learning_rate, Role.OUTPUT: readout_learning_rate}
    return _partition(group, recipe.rules(layout, "linear"), layout, clip)


def gradient_norm(gradients: Any, layout: Layout, recipe: Recipe) -> jax.Array:
    """The norm that `clip` bounds: sqrt(sum_l c_l |g_l|^2).

    c_l is 1 for raw clipping and the form's full-alignment SGD learning-rate factor for the
    invariant norm: g scales by theta and c by theta^-2 between forms of one class.
    """
    return _norm(gradients, recipe.rules(layout))


def schedule(name: str, steps: int, warmup: int = 0, decay: int = 0) -> optax.Schedule:
    """A learning-rate schedule with peak 1 after `warmup` linear steps.

    `constant`; `linear` and `cosine`, which fall to 0 at `steps`; `wsd` (warmup-stable-decay),
    which stays at 1 until `decay` steps before the end and falls linearly to 0. Step t of the
    warmup has (t + 1) / warmup, so that no step is wasted at 0. Raises `TransferError` for an
    unknown name or phases longer than the run.

    Example:
      >>> [round(float(schedule("linear", 4)(t)), 2) for t in range(4)]
      [1.0, 0.75, 0.5, 0.25]
    """
    shapes: dict[str, Callable[[int], optax.Schedule]] = {
        "constant": lambda rest: optax.constant_schedule(1.0),
        "linear": lambda rest: optax.linear_schedule(1.0, 0.0, rest),
        "cosine": lambda rest: optax.cosine_decay_schedule(1.0, rest),
        "wsd": lambda rest: optax.linear_schedule(1.0, 0.0, decay, rest - decay),
    }
    if name not in shapes:
        raise TransferError(
            f'The schedule "{name}" is unknown; expected one of {", ".join(shapes)}'
            f"{nearest(name, shapes)}."
        )
    if min(warmup, decay) < 0 or warmup + decay >= steps:
        raise TransferError(
            f"A warmup of {warmup} and a decay of {decay} steps do not fit a run of {steps}; "
            "expected fewer steps in both together than in the run."
        )
    if (name == "wsd") != (decay > 0):
        raise TransferError(
            f'The schedule "{name}" was given {decay} decay steps; expected some for wsd and none '
            "for the others."
        )
    after = shapes[name](steps - warmup)
    if not warmup:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(1.0 / warmup, 1.0, warmup - 1 or 1), after], [warmup]
    )


def _partition(
    group: Callable[[Factors], optax.GradientTransformation],
    rules: dict[str, Rule],
    layout: Layout,
    clip: float | None,
) -> optax.GradientTransformation:
    factors = {
        path: Factors(rule.role, rule.learning_rate, rule.weight_decay, rule.epsilon)
        for path, rule in rules.items()
    }

    def labels(parameters: Any) -> Any:
        leaves = jax.tree_util.tree_leaves_with_path(parameters)
        layout.require(paths.path(keys) for keys, _ in leaves)
        return jax.tree_util.tree_map_with_path(
            lambda keys, _: str(factors[paths.path(keys)]), parameters
        )

    groups = optax.partition({str(each): group(each) for each in factors.values()}, labels)
    if clip is None:
        return groups
    if not clip > 0:
        raise TransferError(f"clip is {clip}; expected a bound above 0, or None for no clipping.")
    return optax.named_chain(("clip", _clip(clip, rules)), ("optimizer", groups))


def _clip(bound: float, rules: dict[str, Rule]) -> optax.GradientTransformation:
    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        del parameters
        scale = bound / jnp.maximum(_norm(gradients, rules), bound)
        return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), gradients), state

    return optax.GradientTransformation(lambda parameters: optax.EmptyState(), update)


def _norm(gradients: Any, rules: dict[str, Rule]) -> jax.Array:
    return jnp.sqrt(
        sum(
            rules[paths.path(keys)].clip * jnp.sum(jnp.square(leaf))
            for keys, leaf in jax.tree_util.tree_leaves_with_path(gradients)
        )
    )


def _times(learning_rate: LearningRate, factor: Scalar) -> LearningRate:
    if callable(learning_rate):
        return lambda step: learning_rate(step) * factor
    return learning_rate * factor
