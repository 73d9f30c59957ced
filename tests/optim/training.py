"""A few training steps of a tiny model: what two recipes are compared by."""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from transfer import optim
from transfer.models import MLPConfig, TransformerConfig, forward_pass, initialize, model_layout
from transfer.scaling import Hyperparameters, Recipe

BASE_WIDTH = 8
STEPS = 24
# Every kind of parameter: grouped heads, QK gains (of a fixed head dimension), gains, a readout.
TRANSFORMER = TransformerConfig(
    width=BASE_WIDTH,
    layers=1,
    vocabulary=11,
    head_dim=4,
    queries_per_kv_head=2,
    feed_forward_multiple=2.0,
    qk_norm=True,
    embedding_std=0.5,
)
# The same with a head dimension that grows.
GROWING_HEADS = dataclasses.replace(TRANSFORMER, head_dim=0, heads=2, qk_norm=False)
MLP = MLPConfig(width=BASE_WIDTH, layers=2, features=5, outputs=3, activation="tanh", biases=True)
# Epsilon as large as the gradients, clipping on at every step, rates below the best ones. SGD's
# rate is larger since its decay per step, lr * decay, has to be seen in as many steps.
ADAMW = {"learning_rate": 0.02, "weight_decay": 0.1, "eps": 3e-3, "clip": 0.05}
SGD = {"learning_rate": 0.2, "weight_decay": 0.1, "momentum": 0.8, "clip": 0.2}


def at_width(config: Any, m: int) -> Any:
    return dataclasses.replace(config, width=m * BASE_WIDTH)


def train(
    config: Any,
    recipe: Recipe,
    *,
    steps: int = STEPS,
    dtype: str = "float64",
    optimizer: str = "adamw",
    **settings: Any,
) -> np.ndarray:
    """Losses and gradient norms before each step, and the outputs of the trained model, in a row.

    `settings` override those of the optimizer above.
    """
    double = jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()
    with double:
        config = dataclasses.replace(config, dtype=dtype)
        layout = model_layout(config, BASE_WIDTH)
        make, defaults = (optim.adamw, ADAMW) if optimizer == "adamw" else (optim.sgd, SGD)
        settings = defaults | settings
        tx = make(layout=layout.parameters, recipe=recipe, **settings)
        inputs, targets, loss_of = _task(config)
        apply = forward_pass(config)

        def loss(parameters: Any, multipliers: Any) -> jax.Array:
            return loss_of(apply(parameters, multipliers, inputs), targets)

        @jax.jit
        def run(key: jax.Array) -> jax.Array:
            parameters, multipliers = initialize(
                config, layout, recipe, Hyperparameters(learning_rate=1.0), key
            )

            def step(carry: Any, _: None) -> Any:
                parameters, state = carry
                value, gradients = jax.value_and_grad(loss)(parameters, multipliers)
                updates, state = tx.update(gradients, state, parameters)
                return (optax.apply_updates(parameters, updates), state), value

            carry = (parameters, tx.init(parameters))
            (parameters, _), losses = jax.lax.scan(step, carry, None, length=steps)
            outputs = apply(parameters, multipliers, inputs)
            return jnp.concatenate([losses, outputs.ravel()])

        trained = np.asarray(run(jax.random.key(0)))
    assert trained.dtype == dtype
    assert np.isfinite(trained).all()
    return trained


def _task(config: Any) -> Any:
    keys = jax.random.split(jax.random.key(1), 2)
    if isinstance(config, MLPConfig):
        inputs = jax.random.normal(keys[0], (16, config.features)).astype(config.dtype)
        targets = jax.random.normal(keys[1], (16, config.outputs)).astype(config.dtype)
        return inputs, targets, lambda outputs, targets: jnp.mean((outputs - targets) ** 2)
    tokens = jax.random.randint(keys[0], (4, 9), 0, config.vocabulary)
    return (
        tokens[:, :-1],
        tokens[:, 1:],
        lambda logits, targets: jnp.mean(
            optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        ),
    )


def deviation(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, over the largest value."""
    return float(np.max(np.abs(one - other)) / np.max(np.abs(one)))
