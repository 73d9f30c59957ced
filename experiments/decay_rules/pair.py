"""Two matrices in a row that learn nothing: what AdamW makes of noise alone.

y = W2 act(W1 x) is trained on the loss <g, y>, with x and the output gradient g drawn anew from
N(0, I) at every step. No step is any better than its opposite, so all structure that the matrices
have in the end comes from the optimizer and from each acting on what the other lets through.
"""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import optax

import transfer
from transfer.models.mlp import ACTIVATIONS
from transfer.scaling import Annotated, Axes, Layout, Recipe

BASE_WIDTH = 32
# 50 steps are one decay time at the base width; RMS settles at sqrt(lr / (2 decay)) = 0.1.
LEARNING_RATE, WEIGHT_DECAY = 0.02, 1.0
NAMES = ("first", "second")
GAIN_BATCH = 1024
INIT, TRAINING, GAIN = range(3)  # what a seed is used for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """`width` inputs and outputs, `aspect` times as many in between, `batch` inputs a step.

    `normalised` divides y by its RMS. With one matrix, W1 is alone: nothing acts on its input or on
    the gradient of its output, which is the control. `per_step` is lr * decay at the base width,
    at a ratio that is always the same.
    """

    activation: str = "linear"
    normalised: bool = False
    aspect: Fraction = Fraction(2)
    batch: int = 32
    matrices: int = 2
    per_step: float = LEARNING_RATE * WEIGHT_DECAY

    def layout(self, width: int) -> Layout:
        """The matrices at a width, seen from the base width."""
        return Layout.compare(
            base=self._annotated(BASE_WIDTH),
            probe=self._annotated(2 * BASE_WIDTH),
            target=self._annotated(width),
        )

    def optimizer(self, layout: Layout, recipe: Recipe) -> optax.GradientTransformation:
        """AdamW with the factors of the recipe."""
        faster = (self.per_step / (LEARNING_RATE * WEIGHT_DECAY)) ** 0.5
        return transfer.adamw(
            LEARNING_RATE * faster, WEIGHT_DECAY * faster, layout=layout, recipe=recipe
        )

    def decay_per_step(self, layout: Layout, recipe: Recipe) -> float:
        """The share that a matrix loses at every step; one over it is the decay time."""
        rule = recipe.rules(layout)["first"]
        return self.per_step * rule.learning_rate * rule.weight_decay

    def acted_on(self, weights: dict[str, jax.Array], x: jax.Array) -> list[jax.Array]:
        """What each matrix acts on, and last what the network puts out, from inputs [batch, in]."""
        found = []
        for weight in weights.values():
            x = ACTIVATIONS[self.activation](x) if found else x
            found.append(x)
            x = x @ weight
        if self.normalised:
            x = x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True))
        return [*found, x]

    def _annotated(self, width: int) -> dict[str, Annotated]:
        sizes = {"embed": width, "hidden": int(self.aspect * width)}
        axes = {"first": ("embed", "hidden"), "second": ("hidden", "embed")}
        return {
            name: Annotated(
                axes=Axes.parse(" -> ".join(axes[name])),
                shape=(sizes[axes[name][0]], sizes[axes[name][1]]),
                gain=1.0,
            )
            for name in NAMES[: self.matrices]
        }


def trained(
    pair: Pair, recipe: Recipe, width: int, seeds: int, steps: Sequence[int]
) -> list[dict[str, Any]]:
    """Train one pair per seed and measure it after each number of `steps`, in increasing order.

    Returns a row for every seed, matrix and number of steps: `sigma_1`, `rms` of the entries,
    `gain` = rms(output) / rms(input) on fresh inputs, and `alignment`, the gain over the largest
    that sigma_1 allows.
    """
    layout = pair.layout(width)
    optimizer = pair.optimizer(layout, recipe)
    keys = jax.random.split(jax.random.key(0), seeds)

    @jax.jit
    def start(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        draws = jax.random.split(jax.random.fold_in(key, INIT), pair.matrices)
        weights = {
            name: recipe.init_std(parameter) * jax.random.normal(draw, parameter.shape)
            for draw, (name, parameter) in zip(draws, layout.items(), strict=True)
        }
        return weights, optimizer.init(weights)

    def step(number: jax.Array, key: jax.Array, state: Any) -> Any:
        weights, memory = state
        draws = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, TRAINING), number))
        x = jax.random.normal(draws[0], (pair.batch, width))

        def loss(weights: dict[str, jax.Array]) -> jax.Array:
            y = pair.acted_on(weights, x)[-1]
            return jnp.mean(jnp.sum(jax.random.normal(draws[1], y.shape) * y, axis=-1))

        updates, memory = optimizer.update(jax.grad(loss)(weights), memory, weights)
        return optax.apply_updates(weights, updates), memory

    @jax.jit
    def advance(states: Any, first: int, last: int) -> Any:
        # A seed at a time: on CPUs a batch of matrix products is slower than one after another.
        return jax.lax.map(
            lambda each: jax.lax.fori_loop(
                first, last, lambda number, state: step(number, each[0], state), each[1]
            ),
            (keys, states),
        )

    @jax.jit
    def measure(weights: dict[str, jax.Array], key: jax.Array) -> list[dict[str, jax.Array]]:
        x = jax.random.normal(jax.random.fold_in(key, GAIN), (GAIN_BATCH, width))
        inputs = pair.acted_on(weights, x)
        return [_measured(weight, x) for weight, x in zip(weights.values(), inputs, strict=False)]

    rows = []
    states, done = jax.vmap(start)(keys), 0
    for target in steps:
        states, done = advance(states, done, target), target
        for seed in range(seeds):
            weights = jax.tree.map(lambda leaf, seed=seed: leaf[seed], states[0])
            for name, found in zip(weights, measure(weights, keys[seed]), strict=True):
                sizes = {quantity: float(value) for quantity, value in found.items()}
                rows.append({"seed": seed, "step": target, "matrix": name, **sizes})
    return rows


def _measured(weight: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
    sigma_1 = jnp.linalg.svd(weight, compute_uv=False)[0]
    gain = _rms(x @ weight) / _rms(x)
    d_in, d_out = weight.shape
    return {
        "sigma_1": sigma_1,
        "rms": _rms(weight),
        "gain": gain,
        "alignment": gain / ((d_in / d_out) ** 0.5 * sigma_1),
    }


def _rms(values: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(values**2))
