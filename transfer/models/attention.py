"""Causal attention by whichever kernel the hardware has for these shapes.

Shapes: B batch, T time, N heads, K kv heads (N a multiple of K), G = N / K, H head dim.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from transfer.errors import TransferError
from transfer.models.layers import exact
from transfer.models.products import transposed
from transfer.sharding import collectives

Backend = Literal["xla", "cudnn", "splash"]
BACKENDS: tuple[Backend, ...] = ("xla", "cudnn", "splash")
# What a kernel keeps for its backward pass goes by this name in policies of `jax.checkpoint`.
RESIDUALS = "attention"


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
    if backend not in BACKENDS:
        raise TransferError(
            f'The attention backend "{backend}" is unknown; expected one of {", ".join(BACKENDS)}.'
        )
    if backend == "xla":
        return _products(q_BTNH, k_BTKH, v_BTKH)
    kernel = _splash if backend == "splash" else _cudnn

    def attend(q_BTKGH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array) -> jax.Array:
        B, T, K, G, H = q_BTKGH.shape
        return kernel(q_BTKGH.reshape(B, T, K * G, H), k_BTKH, v_BTKH).reshape(q_BTKGH.shape)

    # The compiler cannot split a kernel; each device takes whole key/value heads with the query
    # heads that read them.
    keys, queries = "batch time kv_heads head_dim", "batch time kv_heads queries head_dim"
    (B, T, _, H), K = q_BTNH.shape, k_BTKH.shape[2]
    y_BTKGH = collectives.per_device(attend, (queries, keys, keys), queries)(
        q_BTNH.reshape(B, T, K, -1, H), k_BTKH, v_BTKH
    )
    return y_BTKGH.reshape(q_BTNH.shape)


def _products(q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array) -> jax.Array:
    """Attend by products of matrices, whose R = G T rows are all queries of a key/value head."""
    (B, T, _, H), K = q_BTNH.shape, k_BTKH.shape[2]
    q_BKRH = q_BTNH.reshape(B, T, K, -1, H).transpose(0, 2, 3, 1, 4).reshape(B, K, -1, H)
    y_BKRH = _attended(q_BKRH, k_BTKH.swapaxes(1, 2), v_BTKH.swapaxes(1, 2))
    return y_BKRH.reshape(B, K, -1, T, H).transpose(0, 3, 1, 2, 4).reshape(q_BTNH.shape)


@jax.custom_vjp
def _attended(q_BKRH: jax.Array, k_BKTH: jax.Array, v_BKTH: jax.Array) -> jax.Array:
    y_BKRH, _ = _forwards(q_BKRH, k_BKTH, v_BKTH)
    return y_BKRH


def _forwards(
    q_BKRH: jax.Array, k_BKTH: jax.Array, v_BKTH: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    rows, time = q_BKRH.shape[2], k_BKTH.shape[2]
    logits_BKRT = _product("BKRH,BKTH->BKRT", q_BKRH, k_BKTH)
    seen_RT = jnp.arange(time) <= jnp.arange(rows)[:, None] % time
    p_BKRT = jax.nn.softmax(jnp.where(seen_RT, logits_BKRT, -jnp.inf), axis=-1).astype(q_BKRH.dtype)
    y_BKRH = jnp.einsum("BKRT,BKTH->BKRH", p_BKRT, v_BKTH)
    return y_BKRH, (q_BKRH, k_BKTH, v_BKTH, p_BKRT, y_BKRH)


def _backwards(
    kept: tuple[jax.Array, ...], dy_BKRH: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    q_BKRH, k_BKTH, v_BKTH, p_BKRT, y_BKRH = kept
    dp_BKRT = _product("BKRH,BKTH->BKRT", dy_BKRH, v_BKTH)
    # The mean of dp under the probabilities is y dy, a sum of H terms instead of T.
    products_BKRH = y_BKRH.astype(dp_BKRT.dtype) * dy_BKRH
    mean_BKR1 = jnp.sum(products_BKRH, axis=-1, keepdims=True)
    dlogits_BKRT = (p_BKRT * (dp_BKRT - mean_BKR1)).astype(q_BKRH.dtype)
    dq_BKRH = jnp.einsum("BKRT,BKTH->BKRH", dlogits_BKRT, k_BKTH)
    # Transpose the small matrices before and after a product instead of the one with T^2 entries.
    dk_BKHT = jnp.matmul(transposed(q_BKRH), dlogits_BKRT)
    dv_BKHT = jnp.matmul(transposed(dy_BKRH), p_BKRT)
    return dq_BKRH, transposed(dk_BKHT), transposed(dv_BKHT)


_attended.defvjp(_forwards, _backwards)


def _product(axes: str, left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.einsum(axes, left, right, preferred_element_type=exact(left.dtype))


def _cudnn(q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array) -> jax.Array:
    return jax.nn.dot_product_attention(
        q_BTNH, k_BTKH, v_BTKH, scale=1.0, is_causal=True, implementation="cudnn"
    )


def _splash(q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array) -> jax.Array:
    # Imported here because Pallas for TPU takes a second that no other platform should pay.
    from jax.experimental.pallas.ops.tpu import splash_attention

    _, time, heads, _ = q_BTNH.shape
    mask = splash_attention.MultiHeadMask([splash_attention.CausalMask((time, time))] * heads)
    kernel = jax.vmap(
        splash_attention.make_splash_mha_single_device(mask, residual_checkpoint_name=RESIDUALS)
    )
    # Named as the kernel reads them; otherwise rotary embedding and these copies are taken again.
    q_BNTH, k_BKTH, v_BKTH = (
        checkpoint_name(x.swapaxes(1, 2), RESIDUALS) for x in (q_BTNH, k_BTKH, v_BTKH)
    )
    return kernel(q_BNTH, k_BKTH, v_BKTH).astype(q_BTNH.dtype).swapaxes(1, 2)
