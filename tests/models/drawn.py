"""Tiny models drawn under a recipe.

The draws are NumPy's, one for each path: models of other depths then share the weights that they
have in common. JAX's own are tested in `test_initialize` and `test_draws`.
"""

import functools
import zlib
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from transfer.models import (
    MLPConfig,
    TransformerConfig,
    forward_pass,
    functional,
    initialize,
    map_paths,
    model_layout,
)
from transfer.scaling import Hyperparameters, Recipe

SMALL = TransformerConfig(
    width=16,
    layers=2,
    vocabulary=13,
    head_dim=4,
    queries_per_kv_head=2,
    feed_forward_multiple=1.5,
    qk_norm=True,
    dtype="float32",
)
MLP = MLPConfig(width=8, layers=2, features=5, outputs=3, biases=True)
TOKENS = jnp.asarray(np.random.default_rng(7).integers(0, SMALL.vocabulary, (2, 9)))

# Models this small do not pay for optimized code.
jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


def draw(
    config: Any,
    recipe: Recipe | None = None,
    *,
    base_width: int = 8,
    base_layers: int = 0,
    **multipliers: float,
):
    """Parameters and multipliers at init."""
    layout = model_layout(config, base_width, base_layers)
    settings = Hyperparameters(learning_rate=1.0, **multipliers)
    with mock.patch.object(functional, "standard_normals", _normals):
        return initialize(config, layout, recipe or Recipe(), settings, jax.random.key(0))


def _normals(key: jax.Array, shapes: Any, *, at_once: bool) -> dict[str, jax.Array]:
    del key, at_once
    return {path: jnp.asarray(_normal(path, shape), "float32") for path, shape in shapes.items()}


def _normal(path: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(path.encode())).standard_normal(shape)


def shake(parameters: Any) -> Any:
    """Parameters as training leaves them: gains and biases differ from entry to entry."""

    def shaken(path: str, leaf: jax.Array) -> jax.Array:
        return leaf + 0.2 * jnp.asarray(_normal("shake " + path, leaf.shape), leaf.dtype)

    return map_paths(shaken, parameters)


@functools.cache
def forward(config: Any) -> Any:
    return jit(forward_pass(config))


def logits(config: Any, parameters: Any, multipliers: Any, inputs: Any = TOKENS) -> np.ndarray:
    return np.asarray(forward(config)(parameters, multipliers, inputs))
