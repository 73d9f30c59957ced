"""What a model is trained to do: its loss on a batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from transfer.models import Arrays, ModelConfig, forward_pass

Loss = Callable[[Arrays, Arrays, jax.Array], jax.Array]


def next_token_loss(model: ModelConfig) -> Loss:
    """Mean cross-entropy of predicting each token from those before it, in nats.

    The returned function takes parameters, multipliers and token ids (batch, time + 1).
    """
    apply = forward_pass(model)

    def loss(parameters: Arrays, multipliers: Arrays, tokens: jax.Array) -> jax.Array:
        logits = apply(parameters, multipliers, tokens[:, :-1])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:])
        return jnp.mean(losses)

    return loss
