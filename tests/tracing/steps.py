"""The first AdamW step of a model of one's own: how far it moves activations, over width."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from transfer import optim
from transfer.recipe_arrays import RecipeArrays
from transfer.scaling import Layout, Recipe
from transfer.tracing import rescale_init

# Small enough that a step moves every activation by a small part of itself.
LEARNING_RATE = 2.0**-10
# Compiling is most of the time; optimized code would not pay for itself in one step.
jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


Activations = Callable[[Any], dict[str, jax.Array]]


def slopes(
    widths: Sequence[int],
    draw: Callable[[int], Any],
    activations: Activations,
    layout: Callable[[int], Layout],
    recipes: Sequence[str],
) -> dict[str, dict[str, float]]:
    """d log movement / d log width of each activation, by the recipe of the step.

    Movement is the root mean square of an activation's change in the first step of AdamW; that of
    the logits is along what the loss asks of them, since beside it every other token moves them
    too, by less the wider a model is. All start from one init, rescaled by `mup_table3`, so that
    recipes differ in their steps alone.
    """
    base = draw(widths[0])
    moved: dict[str, list[dict[str, float]]] = {recipe: [] for recipe in recipes}
    for width in widths:
        parameters = rescale_init(draw(width), base, layout(width), Recipe("mup_table3"))
        evaluate = _gradients(activations)
        gradients, before = evaluate(parameters)
        step = _step(layout(width))
        for recipe in recipes:
            arrays = RecipeArrays.of(recipe, layout(width))
            _, after = evaluate(step(parameters, gradients, arrays))
            moved[recipe].append(
                {name: _movement(name, after[name] - before[name]) for name in before}
            )
    return {
        recipe: {
            name: float(np.polyfit(np.log(widths), np.log([each[name] for each in found]), 1)[0])
            for name in found[0]
        }
        for recipe, found in moved.items()
    }


def _gradients(activations: Activations) -> Callable[[Any], tuple[Any, dict[str, jax.Array]]]:
    # The loss is linear in the logits, with fixed random signs: a loss whose slope depends on the
    # logits would add their own scaling with width.
    def loss(parameters: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        found = activations(parameters)
        logits = found["logits"]
        return jnp.sum(logits * _signs(logits)), found

    return jit(jax.grad(loss, has_aux=True))


def _movement(name: str, change: jax.Array) -> float:
    if name == "logits":
        return float(jnp.abs(jnp.mean(change * _signs(change))))
    return float(jnp.sqrt(jnp.mean(jnp.square(change))))


def _signs(logits: jax.Array) -> jax.Array:
    return jax.random.rademacher(jax.random.key(5), logits.shape)


def _step(layout: Layout) -> Callable[..., Any]:
    """Return the step, compiled once for all recipes, which are data of it."""

    # With next to no epsilon every entry of the step is of one size, as it is later in training.
    def step(parameters: Any, gradients: Any, recipe: RecipeArrays) -> Any:
        tx = optim.adamw(LEARNING_RATE, layout=layout, recipe=recipe, eps=1e-20)
        updates, _ = tx.update(gradients, tx.init(parameters), parameters)
        return jax.tree.map(jnp.add, parameters, updates)

    return jit(step)
