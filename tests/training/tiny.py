"""A model, data and settings small enough that a population compiles in a few seconds."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.data import DataConfig, load_dataset
from transfer.models.layers import Embedding, Linear
from transfer.models.variables import multiplier
from transfer.scaling import Hyperparameters, Recipe
from transfer.sharding import MeshConfig
from transfer.training import (
    BaseSizes,
    Checkpoints,
    Outcome,
    TrainingConfig,
    TrialGroup,
    TrialSpec,
)
from transfer.training import train as train_group
from transfer.training.kept_programs import KeptPrograms

DATA = DataConfig(name="synthetic", sequence_length=8, batch_size=8, eval_sequences=16)
BASE_WIDTH = 8
BASE = BaseSizes(width=BASE_WIDTH)
RECIPE = Recipe("mup")
STEPS, LOG_EVERY = 20, 8
# Hyperparameters, a seed, and a recipe that is not the population's.
Setting = tuple[Hyperparameters, int] | tuple[Hyperparameters, int, Recipe]
# Learning rates below the optimum, so that training does not amplify rounding. Every population of
# three trials and two seeds shares its compiled program with this one.
SETTINGS: tuple[Setting, ...] = (
    (Hyperparameters(learning_rate=2.0**-8, weight_decay=0.1), 0),
    (Hyperparameters(learning_rate=2.0**-7, readout_output=2.0), 0, Recipe("standard")),
    (
        Hyperparameters(learning_rate=2.0**-9, weight_decay=0.1, init_scale=0.5),
        3,
        Recipe("mup_table3", decay="independent", decay_readout=True),
    ),
)


def specs(settings: Sequence[Setting], recipe: Recipe = RECIPE) -> list[TrialSpec]:
    """Trials of these hyperparameters, seeds and recipes."""
    return [
        TrialSpec(hyperparameters, seed, *(own or (recipe,)))
        for hyperparameters, seed, *own in settings
    ]


@dataclasses.dataclass(frozen=True)
class Tiny:
    """Embedding, one hidden matrix, readout."""

    width: int = 16
    vocabulary: int = 128
    dtype: str = "float32"

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Bigram(self, rngs)

    def plain(self, *, zero_init: bool = False) -> "Tiny":
        return self

    def on(self, platform: str, inputs: jax.ShapeDtypeStruct) -> "Tiny":
        return self


class Bigram(nnx.Module):
    """Predicts a token from the one before it, which is all that the synthetic text has."""

    def __init__(self, config: Tiny, rngs: nnx.Rngs):
        D, V, dtype = config.width, config.vocabulary, jnp.dtype(config.dtype)
        self.embedding = Embedding(rngs, V, D, std=1.0, tied=False, dtype=dtype)
        self.hidden = Linear(rngs, "embed -> embed", (D,), (D,), dtype=dtype)
        self.readout = Linear(rngs, "embed -> vocab", (D,), (V,), dtype=dtype)
        self.logits = multiplier("head_dim ->", (4,))

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.embedding(tokens)
        return self.readout(x + jax.nn.gelu(self.hidden(x) * self.logits[...]))


def group(
    settings: Sequence[Setting] = SETTINGS,
    *,
    recipe: Recipe = RECIPE,
    base: BaseSizes = BASE,
    mesh: MeshConfig = MeshConfig(),
    **changes: Any,
) -> TrialGroup:
    """Settings of the tiny model; `changes` are those of the training configuration."""
    shared = {"steps": STEPS, "warmup": 4, "log_every": LOG_EVERY}
    return TrialGroup(
        model=Tiny(),
        base=base,
        data=DATA,
        training=TrainingConfig(**(shared | changes)),
        trials=tuple(specs(settings, recipe)),
        mesh=mesh,
    )


def train(
    settings: Sequence[Setting] = SETTINGS,
    *,
    checkpoints: Checkpoints | None = None,
    kept: KeptPrograms | None = None,
    events: Any = None,
    progress: Callable[[float, float], None] = lambda fraction, loss: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    **choices: Any,
) -> Outcome:
    """Train a group of the tiny model."""
    return train_group(
        group(settings, **choices),
        load_dataset(DATA),
        checkpoints=checkpoints,
        kept=kept,
        events=events,
        progress=progress,
        asked_to_stop=asked_to_stop,
    )
