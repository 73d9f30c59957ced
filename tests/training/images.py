"""A residual network with batch norm, and its population on images that are noise and a class."""

from typing import Any

import jax
import numpy as np

from transfer import sharding
from transfer.models import ResNetConfig, model_layout
from transfer.scaling import Hyperparameters
from transfer.training import Population, State, TrainingConfig, TrialInputs
from transfer.training.population import Compiled
from transfer.training.task import CLASSIFICATION

from .tiny import specs

MODEL = ResNetConfig(width=16, stages=(1,), image_channels=1, classes=4, dtype="float32")
BASE_WIDTH, BATCH, SIZE, STEPS = 8, 8, 4, 20
# Below the best rates, so that training does not amplify rounding.
SETTINGS = (
    (Hyperparameters(learning_rate=2.0**-8, weight_decay=0.1), 0),
    (Hyperparameters(learning_rate=2.0**-7, readout_output=2.0), 0),
    (Hyperparameters(learning_rate=2.0**-9, init_scale=0.5), 3),
)


def images(seed: int, steps: int = STEPS) -> dict[str, np.ndarray]:
    """Batches (steps, batch, ...) in which images of a class differ in size, as augmented ones do.

    So no part of a batch has the statistics of the whole.
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(0, MODEL.classes, (steps, BATCH))
    image = rng.standard_normal((steps, BATCH, SIZE, SIZE, 1)) + label[..., None, None, None]
    scale = rng.uniform(0.5, 2.0, (steps, BATCH, 1, 1, 1))
    return {"image": (scale * image).astype(np.float32), "label": label.astype(np.int32)}


HELD_OUT = images(100, 2)


def population(settings: Any, execution: str = "in_turn", model: Any = MODEL) -> Any:
    """Return the compiled population with its trials, batches and mesh."""
    mesh = sharding.make_mesh(trials=len(settings), batch_size=BATCH)
    layout = model_layout(model, BASE_WIDTH)
    # A smaller epsilon would make a step of the rounding of a gradient near zero.
    config = TrainingConfig(steps=STEPS, warmup=4, epsilon=1e-4)
    made = Population(model, layout, config, STEPS, CLASSIFICATION, mesh, execution)
    trials, seeds = TrialInputs.of(specs(settings), layout, config)
    trials = jax.device_put(trials, sharding.per_trial(mesh))
    batches = jax.tree.map(lambda *each: np.stack(each, 1), *[images(seed) for seed in seeds])
    batches = jax.device_put(batches, sharding.batches(mesh))
    held_out = jax.device_put(HELD_OUT, sharding.eval_batches(mesh))
    return made.compile(trials, *jax.tree.map(_abstract, (batches, held_out))), trials, batches


def train(settings: Any = SETTINGS, **choices: Any) -> tuple[State, dict[str, np.ndarray]]:
    """Return the last state, and `loss`, `grad_norm` (trial, step) and `eval_loss` (trial,)."""
    compiled, trials, batches = population(settings, **choices)
    state, history = run(compiled, compiled.init(trials), trials, batches)
    mesh = sharding.make_mesh(trials=len(settings), batch_size=BATCH)
    held_out = jax.device_put(HELD_OUT, sharding.eval_batches(mesh))
    return state, {
        **history,
        "eval_loss": np.asarray(compiled.evaluate(state, trials, held_out)["loss"]),
    }


def run(
    compiled: Compiled, state: State, trials: TrialInputs, batches: Any, steps: int = STEPS
) -> tuple[State, dict[str, np.ndarray]]:
    count = np.int32(steps)
    state, measured = compiled.run(state, trials, batches, count)
    return state, {name: np.asarray(values) for name, values in measured.items()}


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
