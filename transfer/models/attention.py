"""Causal attention by whichever kernel the hardware has for these shapes.

Shapes: B batch, T time, N heads, K kv heads (N a multiple of K), H head dim.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from transfer.errors import TransferError
from transfer.models import partition

Backend = Literal["xla", "cudnn", "splash"]
BACKENDS: tuple[Backend, ...] = ("xla", "cudnn", "splash")


def select_backend(platform: str, dtype: jnp.dtype, sequence_length: int, head_dim: int) -> Backend:
    """Name the fastest kernel that supports these shapes on a platform.

    `cudnn` on NVIDIA GPUs for 16-bit inputs, head dimensions up to 128 in steps of 8 and sequences
    of even length (its backward pass has no others); `splash`, the Pallas kernel, on TPUs for
    sequences in whole blocks of 128; else `xla`.

    Example:
      >>> select_backend("gpu", jnp.dtype("bfloat16"), 1024, 64)
      'cudnn'
      >>> select_backend("cpu", jnp.dtype("bfloat16"), 1024, 64)
      'xla'
    """
    half = jnp.dtype(dtype) in (jnp.dtype("bfloat16"), jnp.dtype("float16"))
    fits_cudnn = half and head_dim % 8 == 0 and head_dim <= 128 and sequence_length % 2 == 0
    if platform in ("gpu", "cuda") and fits_cudnn:
        return "cudnn"
    if platform == "tpu" and sequence_length % 128 == 0:
        return "splash"
    return "xla"


def causal_attention(
    q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array, backend: Backend | None = None
) -> jax.Array:
    """softmax(q k^T + causal mask) v, with the softmax in float32; returns BTNH in q's dtype.

    The logits are not scaled here: their multiplier belongs to the parametrization and has already
    met q. `backend` is selected for the default device unless it is given, which compiling ahead of
    time for another platform needs.
    """
    if backend is None:
        _, time, _, head_dim = q_BTNH.shape
        backend = select_backend(jax.default_backend(), q_BTNH.dtype, time, head_dim)
    if backend == "splash":
        return _splash(q_BTNH, k_BTKH, v_BTKH)
    if backend not in BACKENDS:
        raise TransferError(
            f'The attention backend "{backend}" is unknown; expected one of {", ".join(BACKENDS)}.'
        )
    return jax.nn.dot_product_attention(
        q_BTNH, k_BTKH, v_BTKH, scale=1.0, is_causal=True, implementation=backend
    )


def _splash(q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array) -> jax.Array:
    # Imported here because Pallas for TPU takes a second that no other platform should pay.
    from jax.experimental.pallas.ops.tpu import splash_attention

    def attend(q_BKGTH: jax.Array, k_BKTH: jax.Array, v_BKTH: jax.Array) -> jax.Array:
        B, K, G, T, H = q_BKGTH.shape
        mask = splash_attention.MultiHeadMask([splash_attention.CausalMask((T, T))] * (K * G))
        kernel = jax.vmap(splash_attention.make_splash_mha_single_device(mask))
        return kernel(q_BKGTH.reshape(B, K * G, T, H), k_BKTH, v_BKTH).reshape(q_BKGTH.shape)

    B, T, _, H = q_BTNH.shape
    K = k_BTKH.shape[2]
    # The compiler cannot split a Pallas kernel. Query heads go with the head that they read.
    keys, queries = "batch kv_heads time head_dim", "batch kv_heads queries time head_dim"
    y_BKGTH = partition.locally(attend, (queries, keys, keys), queries)(
        q_BTNH.reshape(B, T, K, -1, H).transpose(0, 2, 3, 1, 4),
        k_BTKH.swapaxes(1, 2),
        v_BTKH.swapaxes(1, 2),
    )
    return y_BKGTH.transpose(0, 3, 1, 2, 4).reshape(q_BTNH.shape).astype(q_BTNH.dtype)
