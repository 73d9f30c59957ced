"""What a model is trained to do: its loss on a batch."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax

from transfer.models import Arrays, ModelConfig, stateful_pass

# A tree of arrays with a leading axis of examples.
Batch = Any


class Loss(Protocol):
    """The mean loss of a batch, and the statistics of the model after it.

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
    ) -> tuple[jax.Array, Arrays]:
        """Return the loss, a scalar, and the statistics."""


def next_token_loss(model: ModelConfig) -> Loss:
    """Mean cross-entropy of predicting each token from those before it, in nats.

    A batch is token ids (batch, time + 1).
    """
    apply = stateful_pass(model)

    def loss(
        parameters: Arrays,
        multipliers: Arrays,
        statistics: Arrays,
        batch: jax.Array,
        *,
        training: bool,
    ) -> tuple[jax.Array, Arrays]:
        inputs, targets = batch[:, :-1], batch[:, 1:]
        logits, after = apply(parameters, multipliers, statistics, inputs, training=training)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return jnp.mean(losses), after

    return loss
