"""What a model is trained to do: what it reads, what it should say, how that is scored."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from transfer.data import DataConfig, ImageConfig
from transfer.models import Arrays, ModelConfig, stateful_pass

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
        apply = stateful_pass(model)

        def loss(
            parameters: Arrays,
            multipliers: Arrays,
            statistics: Arrays,
            batch: Batch,
            *,
            training: bool,
        ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Arrays]]:
            inputs, labels = self.split(batch)
            logits, after = apply(parameters, multipliers, statistics, inputs, training=training)
            losses = cross_entropy(logits, labels)
            metrics = {
                "loss": jnp.mean(losses),
                "accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == labels),
            }
            return metrics["loss"], (metrics, after)

        return loss


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label] of each example.

    The label's logit is picked by a mask, whose gradient is one product like that of the softmax;
    a gather's would be a scatter into an array of its own, and would not let devices split the
    classes.
    """
    classes = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    named = jnp.where(classes == labels[..., None], logits, 0.0)
    return jax.nn.logsumexp(logits, axis=-1) - jnp.sum(named, axis=-1)


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
