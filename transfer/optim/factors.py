"""Any optax transformation with a recipe's factors: what every optimizer here is made of.

One transformation sees the whole tree, and each leaf meets the factors of its own parameter before
it (the gradient's size) and after it (decay and learning rate). The state therefore depends on the
parameters and the direction alone: a run may be restored after its recipe, decay, clipping or
learning rate were changed. All arithmetic is in float32 or better, because squares of float16
overflow, sums in bfloat16 stop growing, and products of small factors become 0.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from transfer.errors import TransferError, explained
from transfer.precision import precise
from transfer.pytree_paths import flatten, leaves, map_leaves, require_real
from transfer.recipe_arrays import AnyRecipe, resolved
from transfer.scaling import Family, Layout, Role, Rule

Scalar = float | jax.Array
LearningRate = Scalar | Callable[[Any], Any]

# What a step needs beside gradients that fit the layout.
STEP = "the state that init of this very optimizer returned for parameters of these shapes"


class ScaledState(NamedTuple):
    """State of `scaled`: the number of steps taken, and the direction's own state."""

    step: jax.Array
    direction: Any


def scaled(
    direction: optax.GradientTransformation,
    learning_rate: LearningRate,
    weight_decay: Scalar = 0.0,
    *,
    family: Family,
    layout: Layout,
    recipe: AnyRecipe,
    clip: Scalar | None = None,
    input_learning_rate: Scalar = 1.0,
    readout_learning_rate: Scalar = 1.0,
    rescale_gradients: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Take steps in an optax direction, at a recipe's learning rate and decay for each parameter.

    For a parameter with factors (c, d): w <- w - c lr_t (direction(g) + d decay w), so that w
    shrinks by c lr_t * d decay per step. The direction sees gradients and parameters in float32 or
    better, and its state is as exact; updates have the gradients' dtype.

    Arguments:
      direction: the step before learning rate and decay, such as `optax.scale_by_yogi()`.
      learning_rate: a number or an optax schedule.
      family: the size of the direction, which says how the learning rate follows width (`Recipe`).
      layout: of the parameters, which may be any pytree of the layout's paths and shapes. Some of
        them are given through optax's masks (`optax.masked`, `optax.partition`) or with
        `Layout.subset`, trees with an extra leading axis with `Layout.stacked`, and a device's own
        parts inside `jax.shard_map` with `Layout.sharded`.
      clip: bounds the recipe's norm of the gradient (`gradient_norm`).
      input_learning_rate, readout_learning_rate: times the learning rate of these two roles.
      rescale_gradients: divide gradients by the recipe's epsilon factor before the direction sees
        them. They then have their size at the base width, so that an epsilon of the direction
        follows the gradient's size: for directions that are the same for any multiple of the
        gradients but for their epsilon.

    All numbers may be traced, and `init` of shapes (`jax.ShapeDtypeStruct`) is a state of shapes.
    Raises `TransferError` for an unknown family, a direction that is no optax transformation, a
    setting that is no number, and a clip that is not above 0; at `init` and `update` for paths or
    shapes other than the layout's, for leaves that are no floating point numbers, and for the state
    of another optimizer or of other shapes.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Recipe
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
    _require_numbers(
        learning_rate=0.0 if callable(learning_rate) else learning_rate,
        weight_decay=weight_decay,
        clip=1.0 if clip is None else clip,
        input_learning_rate=input_learning_rate,
        readout_learning_rate=readout_learning_rate,
    )
    rules = resolved(recipe).rules(layout, family)
    if not isinstance(direction, optax.GradientTransformation):
        raise TransferError(
            f"The direction is a {type(direction).__name__}; expected an optax transformation such "
            "as optax.scale_by_yogi(eps=1e-3), whose epsilon follows the gradient's size with "
            "rescale_gradients=True."
        )
    if family in ("relative", "spectral"):
        require_whole(layout, f"A step of the {family} family")
    if clip is not None:
        require_whole(layout, "Clipping")
        _require_bound(clip)
    inner = optax.with_extra_args_support(direction)
    knobs = {Role.INPUT: input_learning_rate, Role.OUTPUT: readout_learning_rate}
    decaying = {path for path, rule in rules.items() if not _is(rule.weight_decay, 0.0)}
    decays = bool(decaying) and not _is(weight_decay, 0.0)

    def at_base_size(path: str, gradient: jax.Array) -> jax.Array:
        epsilon = rules[path].epsilon
        if not rescale_gradients or _is(epsilon, 1.0):
            return gradient
        return gradient * jnp.asarray(1.0 / epsilon, gradient.dtype)

    # Arguments have optax's names, because its wrappers pass them by name.
    def init(params: Any) -> ScaledState:
        require_layout(layout, params)

        def begin(params: Any) -> ScaledState:
            own = inner.init(jax.tree.map(precise, params))
            return ScaledState(jnp.zeros([], jnp.int32), own)

        abstract = [isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(params)]
        return jax.eval_shape(begin, params) if any(abstract) else begin(params)

    def update(
        updates: Any, state: ScaledState, params: Any = None, **extra_args: Any
    ) -> tuple[Any, ScaledState]:
        require_layout(layout, updates)
        if not isinstance(state, ScaledState):
            raise TransferError(
                f"The state is a {type(state).__name__}; expected what init of this very optimizer "
                "returned."
            )
        weights = None
        if params is not None:
            require_layout(layout, params)
            weights = jax.tree.map(precise, params)
        elif decays:
            raise TransferError(
                "The update was given no parameters, which weight decay needs; expected "
                "tx.update(gradients, state, parameters), or weight_decay=0."
            )
        rate = precise(learning_rate(state.step) if callable(learning_rate) else learning_rate)

        def descend(
            path: str, step: jax.Array, gradient: jax.Array, *weights: jax.Array
        ) -> jax.Array:
            rule = rules[path]
            if decays and path in decaying:
                decay = precise(weight_decay) * rule.weight_decay
                step = step + jnp.asarray(decay, step.dtype) * weights[0]
            size = rate * (rule.learning_rate * precise(knobs.get(rule.role, 1.0)))
            return (jnp.asarray(-size, step.dtype) * step).astype(jnp.result_type(gradient))

        clipped = jax.tree.map(precise, updates)
        if clip is not None:
            bound, norm = precise(clip), _norm(clipped, rules)
            # A norm that overflows says nothing of the gradient: the update is NaN, and not 0.
            known = jnp.where(norm < jnp.inf, norm, jnp.nan)
            scale = jnp.where(norm <= bound, 1.0, bound / known)
            clipped = jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), clipped)
        with explained("The optimizer's step", STEP):
            steps, own = inner.update(
                map_leaves(at_base_size, clipped), state.direction, weights, **extra_args
            )
        weighted = (weights,) if decays else ()
        steps = map_leaves(descend, steps, updates, *weighted)
        return steps, ScaledState(optax.safe_increment(state.step), own)

    return optax.GradientTransformationExtraArgs(init, update)


def gradient_norm(gradients: Any, layout: Layout, recipe: AnyRecipe) -> jax.Array:
    """Return the norm of the gradient that `clip` bounds: sqrt(sum_l c_l |g_l|^2).

    c_l is 1 for raw clipping. For the invariant norm it is the form's full-alignment SGD
    learning-rate factor: between forms of one class g scales by theta and c by theta^-2. Squares
    and sums are in float32 or better, whatever the gradients' dtype. Raises `TransferError` for
    paths or shapes other than the layout's.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Recipe
      >>> gain = lambda n: {"gain": Annotated(axes=Axes.parse("head_dim"), shape=(4,))}
      >>> layout = Layout.compare(base=gain(2), probe=gain(4), target=gain(8))
      >>> gradients = {"gain": jnp.full(4, 200.0, jnp.float16)}  # whose squares are inf in float16
      >>> float(gradient_norm(gradients, layout, Recipe("mup")))
      400.0
    """
    require_whole(layout, "The norm of a gradient")
    require_layout(layout, gradients)
    return _norm(gradients, resolved(recipe).rules(layout))


def _norm(gradients: Any, rules: Mapping[str, Rule]) -> jax.Array:
    squares = (
        rules[path].clip * jnp.sum(jnp.square(precise(leaf)))
        for path, leaf in leaves(gradients).items()
    )
    return jnp.sqrt(sum(squares, start=jnp.zeros((), jnp.float32)))


def _require_numbers(**values: Any) -> None:
    """Raise `TransferError` for an argument that is no number, traced or not."""
    for name, value in values.items():
        if not isinstance(value, int | float | np.generic | np.ndarray | jax.Array):
            raise TransferError(f"{name} is {value!r}; expected a number.")


def _require_bound(clip: Any) -> None:
    """Raise `TransferError` for a clip that is known to be no number above 0."""
    if isinstance(clip, jax.core.Tracer):
        return
    if not clip > 0:
        raise TransferError(f"clip is {clip}; expected a bound above 0, or None for no clipping.")


def _is(value: Any, number: float) -> bool:
    """Whether a number is known to be this one; a traced one may be any."""
    return isinstance(value, int | float) and value == number


def require_layout(layout: Layout, tree: Any) -> None:
    """Raise `TransferError` unless a tree has the layout's paths and shapes, in real numbers.

    Parameters that optax has masked may be missing.
    """
    nodes = flatten(tree, is_leaf=_is_masked)
    given = {path: node for path, node in nodes if not _is_masked(node)}
    for path, leaf in given.items():
        if not (isinstance(leaf, int | float) or hasattr(leaf, "dtype")):
            raise TransferError(
                f"{path} is a {type(leaf).__name__} and no array; expected the parameters alone, "
                "such as equinox.filter(model, equinox.is_inexact_array)."
            )
    require_real(given)
    for path, leaf in given.items():
        dtype = getattr(leaf, "dtype", jnp.float32)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TransferError(
                f"{path} is {dtype}; expected floating point numbers: mask what is not trained "
                "(optax.masked), and take the layout's subset(paths) of what is."
            )
    layout.require(given, (path for path, node in nodes if _is_masked(node)))
    # A leaf without a shape is a Python number.
    layout.require_shapes({name: getattr(leaf, "shape", ()) for name, leaf in given.items()})


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def require_whole(layout: Layout, what: str) -> None:
    """Raise `TransferError` for a layout of a device's own parts."""
    if Layout.of(layout).local_shapes is not None:
        raise TransferError(
            f"{what} depends on whole matrices or the whole gradient, and the layout is sharded "
            "into the parts that each device holds; expected an entrywise or linear optimizer "
            "without clip, or whole arrays that the compiler shards."
        )
