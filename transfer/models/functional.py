"""From a model's declaration to arrays: layout, initialization, forward pass.

Parameters, multipliers and statistics are plain nested dictionaries of arrays, named as the module
is; a path joins the names with dots (`blocks.attention.query.kernel`). Statistics are the running
averages of batch normalization; a model without it has none.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, Self, cast

import jax
import jax.numpy as jnp
from flax import nnx, traverse_util

from transfer.errors import TransferError
from transfer.models.draws import standard_normals
from transfer.models.layers import exact
from transfer.models.scores import Scores, scores
from transfer.models.variables import Multiplier
from transfer.recipe_arrays import AnyRecipe, RecipeArrays, resolved
from transfer.scaling import Annotated, Hyperparameters, Layout, Parameter, Recipe, Role

Arrays = dict[str, Any]


class ModelConfig(Hashable, Protocol):
    """The interface of every model family's configuration."""

    @property
    def width(self) -> int:
        """Size of the axes that grow."""

    @property
    def dtype(self) -> str:
        """Name of the compute dtype."""

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """Make the module."""

    def plain(self, *, zero_init: bool = False) -> Self:
        """The same shape in float32, by operations of XLA alone, as counts and checks want it.

        With `zero_init`, every weight that may start at zero does.
        """

    def on(self, platform: str, inputs: jax.ShapeDtypeStruct) -> Self:
        """The same with the kernels that a platform has for these inputs, unless they are set."""

    def example(self, key: jax.Array) -> jax.Array:
        """Random inputs, as few as measure a model."""


class StatefulPass(Protocol):
    """A model as a pure function: outputs, and the statistics after the inputs."""

    def __call__(
        self,
        parameters: Arrays,
        multipliers: Arrays,
        statistics: Arrays,
        inputs: jax.Array,
        *,
        training: bool,
    ) -> tuple[jax.Array, Arrays]:
        """Run the model."""


class ScoredPass(Protocol):
    """A model as a pure function: how it scores, and the statistics after the inputs."""

    def __call__(
        self,
        parameters: Arrays,
        multipliers: Arrays,
        statistics: Arrays,
        inputs: jax.Array,
        labels: jax.Array,
        *,
        training: bool,
    ) -> tuple[Scores, Arrays]:
        """Run the model."""


@dataclasses.dataclass(frozen=True)
class ModelLayout:
    """Layouts of what is trained and of what scales the forward pass."""

    parameters: Layout
    multipliers: Layout


def model_layout(config: ModelConfig, base_width: int, base_layers: int = 0) -> ModelLayout:
    """Compare a model with itself at the base width and depth; nothing is allocated.

    The base depth of 0 is the model's own. Raises `TransferError` when the base width is below 1 or
    does not fit the architecture, and when another base depth is asked of a model whose layers are
    not stacked.

    Example:
      >>> from transfer.models import TransformerConfig
      >>> layout = model_layout(TransformerConfig(width=64), base_width=16)
      >>> layout.parameters["blocks.attention.query.kernel"].m_in
      Fraction(4, 1)
    """
    if base_width < 1:
        raise TransferError(
            f"The base width is {base_width}; expected the width, of at least 1, at which the "
            "learning rate is meant as it stands."
        )
    if base_layers and not hasattr(config, "layers"):
        raise TransferError(
            f"The base depth is {base_layers} layers, but {type(config).__name__} has no number of "
            "layers; expected 0, the model's own depth."
        )
    base_depth = {"layers": base_layers} if base_layers else {}
    base, probe, target = (
        _declare(dataclasses.replace(config, **changes))  # type: ignore[type-var]
        for changes in (
            {"width": base_width, **base_depth},
            {"width": 2 * base_width, **base_depth},
            {},
        )
    )

    def annotated(declared: Mapping[type, Any], kind: type) -> dict[str, Annotated]:
        return {_path(keys): each.annotated for keys, each in declared[kind].items()}

    def compare(kind: type) -> Layout:
        return Layout.compare(
            base=annotated(base, kind),
            probe=annotated(probe, kind),
            target=annotated(target, kind),
        )

    return ModelLayout(parameters=compare(nnx.Param), multipliers=compare(Multiplier))


def initialize(
    config: ModelConfig,
    layout: ModelLayout,
    recipe: AnyRecipe,
    hyperparameters: Hyperparameters,
    key: jax.Array,
    *,
    at_once: bool = True,
) -> tuple[Arrays, Arrays]:
    """Draw parameters and set multipliers as a recipe says; returns both as nested dictionaries.

    Both are float32, or float64 for a model in float64: the same draw, scaled more exactly.
    Jittable, with the key, the hyperparameters and the recipe's numbers traced.

    Arguments:
      key: a threefry key, as `jax.random.key` makes them by default.
      at_once: draw all weights from one stream at once; see `standard_normals`. Either way gives
        the same bits.
    """
    recipe = resolved(recipe)
    dtype = exact(jnp.dtype(config.dtype))
    random = {
        path: parameter.shape
        for path, parameter in layout.parameters.items()
        if parameter.base_std is not None
    }
    units = standard_normals(key, random, at_once=at_once)

    def start(path: str, declared: _Declared) -> jax.Array:
        std = recipe.init_std(layout.parameters[path])
        if std is None:
            return jnp.full(declared.shape, declared.start, dtype)
        return units[path].astype(dtype) * jnp.asarray(std * hyperparameters.init_scale, dtype)

    def scale(path: str, declared: _Declared) -> jax.Array:
        value = multiplier_value(layout.multipliers[path], recipe, hyperparameters)
        return jnp.full(declared.shape, value, dtype)

    declared = _declare(config)
    return tuple(  # type: ignore[return-value]
        map_paths(make, traverse_util.unflatten_dict(declared[kind]))
        for kind, make in ((nnx.Param, start), (Multiplier, scale))
    )


def initial_statistics(config: ModelConfig) -> Arrays:
    """Statistics before any batch: means of 0 and variances of 1, in float32 or better."""
    if not _declare(config)[nnx.BatchStat]:
        return {}
    dtype = exact(jnp.dtype(config.dtype))
    # Under jit the unused parameters are never drawn.
    state = jax.jit(lambda: nnx.state(config.build(nnx.Rngs(0)), nnx.BatchStat))()
    return jax.tree.map(lambda leaf: leaf.astype(dtype), nnx.to_pure_dict(state))


def forward_pass(config: ModelConfig) -> Callable[[Arrays, Arrays, jax.Array], jax.Array]:
    """Return apply(parameters, multipliers, inputs), the model as a pure function.

    Batch normalization uses the moments of the inputs, as in training.
    """
    stateful, statistics = stateful_pass(config), initial_statistics(config)

    def apply(parameters: Arrays, multipliers: Arrays, inputs: jax.Array) -> jax.Array:
        outputs, _ = stateful(parameters, multipliers, statistics, inputs, training=True)
        return outputs

    return apply


def stateful_pass(config: ModelConfig) -> StatefulPass:
    """Return the model as a pure function that also takes and returns its statistics.

    In training, batch normalization uses the mean and variance of the inputs, and the statistics
    move towards them; otherwise it uses the statistics, which stay as they are.
    """
    run = _pass(config)

    def apply(
        parameters: Arrays,
        multipliers: Arrays,
        statistics: Arrays,
        inputs: jax.Array,
        *,
        training: bool,
    ) -> tuple[jax.Array, Arrays]:
        return run((parameters, multipliers, statistics), training, lambda model: model(inputs))

    return apply


def scored_pass(config: ModelConfig) -> ScoredPass:
    """Return the model as `stateful_pass` does, but with scores by labels in place of logits.

    A model may have its own method `scores(inputs, labels)`, which need not hold all logits.
    """
    run = _pass(config)

    def apply(
        parameters: Arrays,
        multipliers: Arrays,
        statistics: Arrays,
        inputs: jax.Array,
        labels: jax.Array,
        *,
        training: bool,
    ) -> tuple[Scores, Arrays]:
        def score(model: Any) -> Scores:
            if hasattr(model, "scores"):
                return model.scores(inputs, labels)
            return scores(model(inputs), labels)

        return run((parameters, multipliers, statistics), training, score)

    return apply


def _pass(config: ModelConfig) -> Callable[..., Any]:
    """Return run(values, training, use): `use` of the filled model, and its statistics after."""
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    graph = nnx.graphdef(module)
    states = nnx.state(module, nnx.Param, Multiplier, nnx.BatchStat)

    def run(values: tuple[Arrays, ...], training: bool, use: Callable[[Any], Any]) -> Any:
        filled = [_filled(state, value) for state, value in zip(states, values, strict=True)]
        made = nnx.merge(graph, *filled)
        made.train() if training else made.eval()
        outputs = use(made)
        return outputs, nnx.to_pure_dict(nnx.state(made, nnx.BatchStat))

    return run


def map_paths(function: Callable[[str, Any], Any], tree: Arrays) -> Arrays:
    """Map function(path, leaf) over a nested dictionary."""
    flat = traverse_util.flatten_dict(tree)
    mapped = {keys: function(_path(keys), leaf) for keys, leaf in flat.items()}
    return traverse_util.unflatten_dict(mapped)


def _path(keys: tuple[Any, ...]) -> str:
    return ".".join(map(str, keys))


def parameter_count(layout: Layout) -> int:
    """Number of trained scalars."""
    return sum(math.prod(parameter.shape) for parameter in layout.values())


def multiplier_value(
    declared: Parameter, recipe: Recipe | RecipeArrays, hyperparameters: Hyperparameters
) -> Any:
    """The number in the forward pass that a declared multiplier stands for."""
    base = 1.0 if declared.base_std is None else declared.base_std
    if declared.activations and declared.axes.inputs:
        knob = hyperparameters.attention_logits
    elif declared.role == Role.INPUT:
        knob = hyperparameters.embedding_output
    else:
        knob = hyperparameters.readout_output if declared.role == Role.OUTPUT else 1.0
    return base * recipe.multiplier(declared) * knob


@dataclasses.dataclass(frozen=True)
class _Declared:
    """A variable of a model: its shape, its annotation, and what a constant starts at."""

    shape: tuple[int, ...]
    annotated: Annotated
    start: float


@functools.cache
def _declare(config: Hashable) -> Mapping[type, Mapping[tuple[Any, ...], _Declared]]:
    """The variables of a model configuration by their keys in its module; nothing is allocated."""
    model = cast(ModelConfig, config)
    module = nnx.eval_shape(lambda: model.build(nnx.Rngs(0)))
    return {
        kind: {
            keys: _Declared(
                tuple(variable.shape),
                variable.get_metadata().get("annotated"),
                variable.get_metadata().get("start", 0.0),
            )
            for keys, variable in nnx.to_flat_state(nnx.state(module, kind))
        }
        for kind in (nnx.Param, Multiplier, nnx.BatchStat)
    }


def _filled(state: nnx.State, values: Arrays) -> nnx.State:
    flat = traverse_util.flatten_dict(values)
    return nnx.from_flat_state(
        [(keys, variable.replace(flat[keys])) for keys, variable in nnx.to_flat_state(state)]
    )
