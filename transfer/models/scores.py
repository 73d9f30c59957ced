"""Scores of logits by labels: cross-entropies, and whether the largest logit is the label's.

Shapes are written after a name: B batch, T time, D embed, V vocabulary.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from transfer.models.layers import exact
from transfer.models.products import matrix_product
from transfer.scaling import Axes
from transfer.sharding import collectives

_READOUT = Axes.parse("embed -> vocab")
# Maximum number of logits of a sequence materialized at once; the full float32 logits would
# dominate a step's memory.
_MAX_LOGITS = 2**21


class Scores(NamedTuple):
    """By example, or by token.

    Fields:
      losses: -log softmax(logits)[label], in nats.
      correct: whether no class has a larger logit than the label, the first of equal ones counting.
    """

    losses: jax.Array
    correct: jax.Array


def scores(logits: jax.Array, labels: jax.Array) -> Scores:
    """Score logits (..., classes) by labels (...).

    Example:
      >>> losses, correct = scores(jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([1]))
      >>> jnp.exp(-losses).round(4).tolist(), correct.tolist()
      ([0.75], [True])
    """
    named = jnp.sum(jnp.where(_is_label(logits, labels), logits, 0.0), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - named
    return Scores(losses, jnp.argmax(logits, axis=-1) == labels)


def readout_scores(x_BTD: jax.Array, kernel_DV: jax.Array, labels_BT: jax.Array) -> Scores:
    """Return the `scores` of the logits x kernel, which never exist all at once.

    The logits are computed in chunks of time steps. Each chunk keeps its gradient for the backward
    pass, softmax(logits) - onehot(label), in the inputs' dtype, in which the backward products read
    it anyway, so that nothing is computed twice.

    Example:
      >>> x, kernel, labels = jnp.ones((2, 3, 4)), jnp.eye(4), jnp.zeros((2, 3), int)
      >>> readout_scores(x, kernel, labels).losses.shape
      (2, 3)
    """
    (B, T, _), V = x_BTD.shape, kernel_DV.shape[1]
    chunks = math.gcd(T, 2 ** math.ceil(math.log2(max(1, T * V / _MAX_LOGITS))))
    length = T // chunks
    dtype = x_BTD.dtype

    def multiply(x_BTD: jax.Array, kernel_DV: jax.Array) -> jax.Array:
        return collectives.product(matrix_product, x_BTD, kernel_DV, _READOUT)

    def scored(x: jax.Array, kernel: jax.Array, labels: jax.Array, *, slopes: bool) -> Any:
        # Gather the readout only once its input exists; otherwise it is held through all layers.
        kernel, x = jax.lax.optimization_barrier((kernel, x))
        kernel = collectives.gather(kernel, _READOUT)

        def one(start: Any) -> tuple[jax.Array, ...]:
            x_BtD, labels_Bt = (
                jax.lax.dynamic_slice_in_dim(each, start, length, axis=1) for each in (x, labels)
            )
            logits_BtV = matrix_product(x_BtD, kernel, exact(dtype))
            logits_BtV = collectives.activation(logits_BtV, "batch time vocab")
            found = scores(logits_BtV, labels_Bt)
            if not slopes:
                return found
            slope_BtV = jax.nn.softmax(logits_BtV, axis=-1) - _is_label(logits_BtV, labels_Bt)
            return *found, slope_BtV.astype(dtype)

        if chunks == 1:
            return one(0)

        def put(i: jax.Array, all_of_it: Any) -> Any:
            start = i * length
            return tuple(
                jax.lax.dynamic_update_slice_in_dim(every, part, start, axis=1)
                for every, part in zip(all_of_it, one(start), strict=True)
            )

        shapes = jax.eval_shape(one, 0)
        empty = tuple(jnp.zeros((B, T, *each.shape[2:]), each.dtype) for each in shapes)
        return jax.lax.fori_loop(0, chunks, put, empty)

    def forwards(x: jax.Array, kernel: jax.Array, labels: jax.Array) -> tuple[Scores, Any]:
        *found, slope_BTV = scored(x, kernel, labels, slopes=True)
        return Scores(*found), (x, kernel, slope_BTV)

    def backwards(kept: Any, towards: Scores) -> tuple[jax.Array, jax.Array, np.ndarray]:
        x, kernel, slope_BTV = kept
        _, back = jax.vjp(multiply, x, kernel)
        of_logits = (towards.losses[..., None] * slope_BTV).astype(dtype)
        towards_both = back(collectives.activation(of_logits, "batch time vocab"))
        # Compute the kernel's gradient now; otherwise its operands are held through the backward
        # pass of the layers.
        nothing = np.zeros(labels_BT.shape, jax.dtypes.float0)
        return *jax.lax.optimization_barrier(towards_both), nothing

    @jax.custom_vjp
    def differentiable(x: jax.Array, kernel: jax.Array, labels: jax.Array) -> Scores:
        return Scores(*scored(x, kernel, labels, slopes=False))

    differentiable.defvjp(forwards, backwards)
    return differentiable(x_BTD, kernel_DV, labels_BT)


def _is_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
    # A mask instead of a gather, because a gather keeps devices from splitting the classes, and its
    # gradient is a scatter into an array of its own.
    classes = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    return classes == labels[..., None]
