"""The model that a check measures, at any width and seed: a user's, or one of this library."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from transfer.errors import TransferError, explained
from transfer.models import ModelConfig, forward_pass, initialize, model_layout
from transfer.scaling import Hyperparameters, Layout, Recipe
from transfer.tracing import infer_layout, rescale_init
from transfer.tracing.infer import OWN_CALL, explained_model
from transfer.tracing.user_model import Inputs, UserModel, concrete


@dataclasses.dataclass(frozen=True)
class ModelUnderTest:
    """A model as a function of width, with the recipe it is meant to follow.

    `layout` takes a width, `draw` a width and a seed; `inputs` are the arrays of the batch that
    everything is measured on.
    """

    recipe: Recipe
    base_width: int
    inputs: tuple[Any, ...]
    layout: Callable[[int], Layout]
    draw: Callable[[int, int], UserModel]


def user_model(
    build: Callable[[int, int], Any],
    *,
    base_width: int,
    recipe: Recipe | str,
    inputs: Any,
    apply: Callable[..., Any] | None = None,
    axes: Mapping[str, str] | None = None,
    multiplied: Iterable[str] = (),
    rescale: bool = False,
) -> ModelUnderTest:
    """Return a user's model; `build` takes a width and a seed, the rest is as in `infer_layout`.

    The parameters are checked as they come from `build`, unless `rescale` says that training will
    pass them through `transfer.rescale_init` first.
    """
    batch = Inputs.of(inputs)
    multiplied = tuple(multiplied)
    recipe = Recipe.of(recipe)

    build, apply = explained_model(build, apply)

    @functools.cache
    def layout(width: int) -> Layout:
        return infer_layout(
            lambda each: build(each, 0),
            base_width=base_width,
            width=width,
            apply=apply,
            inputs=inputs,
            axes=axes,
            multiplied=multiplied,
        )

    @functools.cache
    def base(seed: int) -> Any:
        with explained(*OWN_CALL):
            return concrete(build(base_width, seed), seed, apply, batch).parameters

    def draw(width: int, seed: int) -> UserModel:
        with explained(*OWN_CALL):
            model = concrete(build(width, seed), seed, apply, batch)
        if model.forward is None:
            raise TransferError(
                "A tree of parameters has no forward pass to check; expected apply=."
            )
        if not rescale:
            return model
        scaled = rescale_init(model.parameters, base(seed), layout(width), recipe)
        return dataclasses.replace(model, parameters=scaled)

    return ModelUnderTest(recipe, base_width, batch.arrays, layout, draw)


def built_in_model(
    config: ModelConfig,
    *,
    base_width: int,
    recipe: Recipe | str,
    inputs: jax.Array,
    hyperparameters: Hyperparameters,
) -> ModelUnderTest:
    """Return a model of this library to check, with the init and multipliers of the recipe."""

    recipe = Recipe.of(recipe)

    def at(width: int) -> Any:
        return dataclasses.replace(config, width=width)  # type: ignore[type-var]

    @functools.cache
    def made(width: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
        layout = model_layout(at(width), base_width)
        drawn = jax.jit(lambda key: initialize(at(width), layout, recipe, hyperparameters, key))
        return drawn, forward_pass(at(width))

    def draw(width: int, seed: int) -> UserModel:
        drawn, forward = made(width)
        parameters, multipliers = drawn(jax.random.key(seed))
        return UserModel(parameters, multipliers, forward)

    return ModelUnderTest(
        recipe,
        base_width,
        (inputs,),
        lambda width: model_layout(at(width), base_width).parameters,
        draw,
    )
