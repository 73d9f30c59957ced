"""What a model is trained to do: what it reads, what it should say, how that is scored."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from transfer.data import DataConfig, Dataset, ImageConfig, ImageDataset
from transfer.models import (
    Arrays,
    ImageInputs,
    InputSpec,
    ModelConfig,
    TextInputs,
    scored_pass,
)

# A tree of arrays with a leading axis of examples.
Batch = Any


class Loss(Protocol):
    """The mean loss of a batch, with its metrics and the statistics of the model after it.

    With `training` off, the model is evaluated by the statistics, which stay as they are.
    """

    def __call__(
        self,
        parameters: Arrays,
        multipliers: Arrays,
        statistics: Arrays,
        batch: Batch,
        *,
        training: bool,
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Arrays]]:
        """Return the loss, a scalar, and beside it (metrics, statistics)."""


@dataclasses.dataclass(frozen=True)
class Task:
    """To name one of several classes, for every example or every token.

    Fields:
      name: in words.
      split: a batch to the model's inputs and the classes (integers) that it should name.
    """

    name: str
    split: Callable[[Batch], tuple[jax.Array, jax.Array]]

    def loss(self, model: ModelConfig) -> Loss:
        """The mean cross-entropy of a model in nats; its metrics are `loss` and `accuracy`."""
        apply = scored_pass(model)

        def loss(
            parameters: Arrays,
            multipliers: Arrays,
            statistics: Arrays,
            batch: Batch,
            *,
            training: bool,
        ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Arrays]]:
            inputs, labels = self.split(batch)
            scores, after = apply(
                parameters, multipliers, statistics, inputs, labels, training=training
            )
            metrics = {"loss": jnp.mean(scores.losses), "accuracy": jnp.mean(scores.correct)}
            return metrics["loss"], (metrics, after)

        return loss


# A batch is token ids (batch, time + 1).
NEXT_TOKEN = Task("next token", lambda batch: (batch[:, :-1], batch[:, 1:]))
# A batch is {"image": (batch, height, width, channels), "label": (batch,)}.
CLASSIFICATION = Task("classes of images", lambda batch: (batch["image"], batch["label"]))

_TASKS: Mapping[str, Task] = {DataConfig.kind: NEXT_TOKEN, ImageConfig.kind: CLASSIFICATION}


def task_of(data: DataConfig | ImageConfig) -> Task:
    """Return what models are trained to do on this kind of data.

    Example:
      >>> task_of(ImageConfig()).name
      'classes of images'
    """
    return _TASKS[data.kind]


def input_spec(dataset: Dataset | ImageDataset) -> InputSpec:
    """Return what a data set gives a model to read, for the model to check that it fits.

    Example:
      >>> from transfer.data import load_dataset
      >>> input_spec(load_dataset(DataConfig(name="synthetic")))
      TextInputs(tokenizer='bytes', vocabulary=256)
    """
    if isinstance(dataset, ImageDataset):
        *_, channels = dataset.image_shape
        return ImageInputs(dataset.config.name, channels, dataset.classes)
    return TextInputs(dataset.config.tokenizer, dataset.vocabulary_size)
