"""A few training steps of a tiny model: what two recipes are compared by.

The model is drawn and its gradient compiled once per configuration; a recipe only scales the draw
and compiles its optimizer, so that many recipes cost little.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from transfer import optim
from transfer.models import (
    MLPConfig,
    ResNetConfig,
    TransformerConfig,
    forward_pass,
    initialize,
    model_layout,
)
from transfer.scaling import Hyperparameters, Recipe

MUP_FORMS = ("mup", "mup_table3", "mup_table9", "mean_field")
STANDARD_CLASS = ("standard", "ntk")
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
# Stem, inner convolutions, a 1x1 shortcut; gains and biases of batch norm.
RESNET = ResNetConfig(width=BASE_WIDTH, stages=(1, 1), image_channels=2, classes=3)
# The same as pre-activation bottlenecks, normalized by group.
PRE_ACTIVATION = dataclasses.replace(
    RESNET, block="bottleneck", pre_activation=True, norm="group", group_size=4
)
# Epsilon as large as the gradients, clipping on at every step, a decay that shows in so few steps,
# rates below the best ones (where a rounding would grow from step to step).
ADAMW = {"learning_rate": 0.02, "weight_decay": 0.5, "eps": 3e-3, "clip": 0.05}
SGD = {"learning_rate": 0.2, "weight_decay": 0.1, "momentum": 0.8, "clip": 0.2}
# Of each other one, all that could tell forms apart: epsilons and floors that bind, projections.
_PLAIN = {name: ADAMW[name] for name in ("learning_rate", "weight_decay", "clip")}
_OPTIMIZERS = {
    "adamw": (optim.adamw, ADAMW),
    "nadam": (optim.nadam, ADAMW),
    "sgd": (optim.sgd, SGD),
    "adam_atan2": (optim.adam_atan2, _PLAIN),
    "lion": (optim.lion, _PLAIN),
    "adamp": (optim.adamp, ADAMW | {"delta": 1.0}),
    "adafactor": (optim.adafactor, _PLAIN | {"learning_rate": 0.03, "eps": 1e-5, "min_scale": 0.2}),
    "muon": (optim.muon, ADAMW),
}

# Compiling is most of the time; optimized code would not pay for itself in so few steps.
_jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


def at_width(config: Any, m: int) -> Any:
    return dataclasses.replace(config, width=m * BASE_WIDTH)


@functools.cache
def train(
    config: Any,
    recipe: Recipe,
    *,
    steps: int = STEPS,
    dtype: str = "float64",
    optimizer: str | Callable[..., optax.GradientTransformation] = "adamw",
    **settings: Any,
) -> np.ndarray:
    """Losses before each step, and the outputs of the trained model, in a row.

    `optimizer` is `adamw`, `sgd` or a function of (layout, recipe); `settings` override those of
    the named two above.
    """
    with precision(dtype):
        config = dataclasses.replace(config, dtype=dtype)
        layout = model_layout(config, BASE_WIDTH)
        if isinstance(optimizer, str):
            make, defaults = _OPTIMIZERS[optimizer]
            settings = defaults | settings
        else:
            make = optimizer
        tx = make(layout=layout.parameters, recipe=recipe, **settings)
        parameters, multipliers = initialize(
            config, layout, recipe, Hyperparameters(learning_rate=1.0), jax.random.key(0)
        )
        gradient = _gradient(config)

        @_jit
        def update(gradients: Any, state: Any, parameters: Any) -> Any:
            updates, state = tx.update(gradients, state, parameters)
            return optax.apply_updates(parameters, updates), state

        state = tx.init(parameters)
        losses = []
        for _ in range(steps):
            (loss, _), gradients = gradient(parameters, multipliers)
            parameters, state = update(gradients, state, parameters)
            losses.append(loss)
        (_, outputs), _ = gradient(parameters, multipliers)
        trained = np.concatenate([np.asarray(losses), np.ravel(outputs)])
    assert trained.dtype == dtype
    assert np.isfinite(trained).all()
    trained.flags.writeable = False  # it is cached
    return trained


def precision(dtype: str) -> contextlib.AbstractContextManager[Any]:
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


@functools.cache
def _gradient(config: Any) -> Callable[..., Any]:
    inputs, targets, loss_of = _task(config)
    apply = forward_pass(config)

    def loss(parameters: Any, multipliers: Any) -> Any:
        outputs = apply(parameters, multipliers, inputs)
        return loss_of(outputs, targets), outputs

    return _jit(jax.value_and_grad(loss, has_aux=True))


def _task(config: Any) -> Any:
    keys = jax.random.split(jax.random.key(1), 2)
    if isinstance(config, MLPConfig):
        inputs = jax.random.normal(keys[0], (16, config.features)).astype(config.dtype)
        targets = jax.random.normal(keys[1], (16, config.outputs)).astype(config.dtype)
        return inputs, targets, lambda outputs, targets: jnp.mean((outputs - targets) ** 2)
    if isinstance(config, ResNetConfig):
        inputs = jax.random.normal(keys[0], (8, 4, 4, config.image_channels)).astype(config.dtype)
        return inputs, jax.random.randint(keys[1], (8,), 0, config.classes), _cross_entropy
    tokens = jax.random.randint(keys[0], (4, 9), 0, config.vocabulary)
    return tokens[:, :-1], tokens[:, 1:], _cross_entropy


def _cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets))


def deviation(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, over the largest value."""
    return float(np.max(np.abs(one - other)) / np.max(np.abs(one)))
