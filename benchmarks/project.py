"""This project's side of what is compared: the only file here that compiles a population."""

import dataclasses
from typing import Any

import jax
import numpy as np

from benchmarks import setting
from transfer.config import Experiment
from transfer.data import DataConfig, load_dataset
from transfer.models import TransformerConfig, count
from transfer.scaling import Hyperparameters, Recipe
from transfer.training import TrialSpec, build_population, group_mesh
from transfer.training.config import TrainingConfig
from transfer.training.population import Compiled

# A run so long that the learning rate stays what it is.
STEPS = 1_000_000
DATA = DataConfig(batch_size=setting.BATCH_SIZE, sequence_length=setting.SEQUENCE_LENGTH)
HYPERPARAMETERS = Hyperparameters(
    learning_rate=setting.LEARNING_RATE, weight_decay=setting.WEIGHT_DECAY
)
MUP = Recipe.parse("mup+sqrt")


@dataclasses.dataclass
class Trained:
    """A compiled population that takes steps, and is measured, when it is asked to."""

    compiled: Compiled
    trials: Any
    batches: jax.Array
    held_out: jax.Array
    state: Any

    def train(self, steps: int) -> np.ndarray:
        """Take steps from where it is; returns the losses (trial, step) before each."""
        chunk, losses = len(self.batches), []
        for start in range(0, steps, chunk):
            taken = np.int32(min(chunk, steps - start))
            self.state, curves = self.compiled.run(self.state, self.trials, self.batches, taken)
            losses.append(curves["loss"][:, :taken])
        return np.concatenate(losses, axis=1)

    def measure(self, times: int) -> None:
        """Measure the state as training does every so many steps, and wait for it."""
        earlier = self.compiled.hidden(self.state)
        for _ in range(times):
            jax.block_until_ready(
                self.compiled.measure(self.state, self.trials, earlier, self.held_out)
            )


def transformer(width: int, layers: int = setting.LAYERS) -> TransformerConfig:
    """The decoder that everyone trains."""
    return TransformerConfig(
        width=width,
        layers=layers,
        head_dim=setting.HEAD_DIM,
        vocabulary=setting.VOCABULARY,
        feed_forward_multiple=setting.FEED_FORWARD_MULTIPLE,
        dtype="float32",
    )


def prepare(
    model: TransformerConfig,
    trials: int,
    *,
    batches: np.ndarray,
    execution: str = "",
    steps: int = STEPS,
    recipe: Recipe = MUP,
) -> Trained:
    """Compile and initialize a population of equal trials on all devices.

    Arguments:
      batches: tokens (steps, batch, time + 1), of which each call of the program takes all, or as
        many of the first as it is asked for.
      execution: by default what training chooses.
      steps: of the schedule.
    """
    experiment = Experiment(
        base_width=setting.BASE_WIDTH,
        model=model,
        data=DATA,
        training=TrainingConfig(
            steps=steps,
            warmup=setting.WARMUP,
            b1=setting.BETAS[0],
            b2=setting.BETAS[1],
            epsilon=setting.EPSILON,
            clip=setting.CLIP,
            log_every=len(batches),
            execution=execution,
        ),
    )
    group = experiment.group(model.width, [TrialSpec(HYPERPARAMETERS, 0, recipe)] * trials)
    built = build_population(group, group_mesh(group))
    compiled = built.population.compile(built.trials, built.batches, built.eval_batches(1))
    inputs, by_seed, held_out = (
        jax.tree.map(lambda leaf, shape: jax.device_put(leaf, shape.sharding), given, shapes)
        for given, shapes in (
            (built.inputs, built.trials),
            (batches[:, None], built.batches),
            (batches[:1], built.eval_batches(1)),
        )
    )
    return Trained(compiled, inputs, by_seed, held_out, compiled.init(inputs))


def text_batches(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return training batches (count, batch, time + 1) and all held-out ones."""
    dataset = load_dataset(DATA)
    iterator = dataset.batches(seed)
    return np.stack([next(iterator) for _ in range(count)]), dataset.eval_batches()


def step_flops(width: int) -> float:
    """FLOPs of the products of a step of one trial: 3 times those of a forward pass."""
    tokens = jax.ShapeDtypeStruct((setting.BATCH_SIZE, setting.SEQUENCE_LENGTH), np.int32)
    return 3.0 * count(transformer(width).plain(), tokens).flops
