"""A population against its trials one by one, and vectorised against in turn."""

import jax
import numpy as np

from benchmarks.side_by_side import Ratio, ratio
from transfer import sharding
from transfer.data import DataConfig
from transfer.models import TransformerConfig, model_layout
from transfer.scaling import Hyperparameters, Recipe
from transfer.training.config import TrainingConfig
from transfer.training.group import TrialSpec
from transfer.training.inputs import TrialInputs
from transfer.training.population import Population
from transfer.training.task import NEXT_TOKEN

TRIALS, STEPS = 8, 10
DATA = DataConfig()


def measure() -> dict[str, Ratio]:
    results = {}
    for width in (16, 64):
        model = TransformerConfig(width=width, layers=2, dtype="float32")
        in_turn = _run(model, "in_turn", TRIALS)
        one = _run(model, "in_turn", 1)
        results |= {
            f"width {width}: {TRIALS} trials vectorised / in turn": ratio(
                _run(model, "vectorized", TRIALS), in_turn
            ),
            f"width {width}: {TRIALS} trials together / {TRIALS} alone": ratio(
                in_turn, lambda one=one: [one() for _ in range(TRIALS)]
            ),
        }
    return results


def _run(model: TransformerConfig, execution: str, count: int):
    compiled, trials, batches, _ = prepare(model, execution, count)
    return lambda: compiled.run(compiled.init(trials), trials, batches, np.int32(STEPS))


def prepare(model: TransformerConfig, execution: str, count: int):
    """Return the compiled population, with trials, batches for `STEPS` steps and held-out ones."""
    training = TrainingConfig(steps=STEPS, warmup=2)
    mesh = sharding.make_mesh(trials=count, batch_size=DATA.batch_size)
    layout = model_layout(model, 16)
    population = Population(model, layout, training, STEPS, NEXT_TOKEN, mesh, execution)
    tuned = Hyperparameters(learning_rate=2.0**-6, weight_decay=0.1)
    inputs, _ = TrialInputs.of([TrialSpec(tuned, 0, Recipe("mup"))] * count, layout, training)
    trials = jax.device_put(inputs, sharding.per_trial(mesh))
    shape = (STEPS, 1, DATA.batch_size, DATA.sequence_length + 1)
    tokens = np.random.default_rng(0).integers(0, model.vocabulary, shape).astype(np.int32)
    batches = jax.device_put(tokens, sharding.batches(mesh))
    held_out = jax.device_put(tokens[:, 0], sharding.eval_batches(mesh))
    return population.compile(trials, batches, held_out), trials, batches, held_out
