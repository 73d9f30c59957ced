"""Tiny models drawn under a recipe.

The draws are NumPy's: compiling JAX's own takes longer than all that is tested with them, and they
are tested in `test_initialize`.
"""

import dataclasses
import functools
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from transfer.models import (
    MLPConfig,
    TransformerConfig,
    forward_pass,
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
    graph, state = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    filled = nnx.merge(
        graph,
        nnx.from_flat_state(
            [(path, _fill(path, variable)) for path, variable in nnx.to_flat_state(state)]
        ),
    )
    settings = Hyperparameters(learning_rate=1.0, **multipliers)
    return jit(
        lambda: initialize(
            _Drawn(config.dtype, filled), layout, recipe or Recipe(), settings, jax.random.key(0)
        )
    )()


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """A configuration whose module has been drawn already."""

    dtype: str
    module: nnx.Module

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        del rngs
        return self.module


def _fill(path: tuple[Any, ...], variable: nnx.Variable) -> nnx.Variable:
    constants = {"gain": 1.0, "bias": 0.0, "multiplier": 1.0}
    kind = str(path[-1]).rpartition("_")[2]
    value = (
        np.full(variable.shape, constants[kind])
        if kind in constants
        else _normal(".".join(map(str, path)), variable.shape)
    )
    return variable.replace(jnp.asarray(value, jnp.float32))


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
