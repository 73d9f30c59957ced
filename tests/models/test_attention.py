import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from refusals import refused

from transfer.models.attention import causal_attention, select_backend
from transfer.sharding import Rules, collectives

HALF, FULL = jnp.dtype("bfloat16"), jnp.dtype("float32")


@pytest.mark.parametrize(
    ("platform", "dtype", "time", "head_dim", "backend"),
    [
        ("cpu", HALF, 1024, 64, "xla"),
        ("gpu", HALF, 1024, 64, "cudnn"),
        ("cuda", jnp.dtype("float16"), 64, 128, "cudnn"),
        ("gpu", FULL, 1024, 64, "xla"),
        ("gpu", HALF, 1023, 64, "xla"),
        ("gpu", HALF, 1024, 68, "xla"),
        ("gpu", HALF, 1024, 256, "xla"),
        ("tpu", HALF, 1024, 64, "splash"),
        ("tpu", FULL, 128, 128, "splash"),
        ("tpu", HALF, 64, 64, "xla"),
    ],
)
def test_the_hardware_chooses_the_kernel(platform, dtype, time, head_dim, backend):
    assert select_backend(platform, dtype, time, head_dim) == backend


def inputs(time: int, heads: int, kv_heads: int, size: int, dtype: str = "float32"):
    keys = jax.random.split(jax.random.key(0), 3)
    counts = (heads, kv_heads, kv_heads)
    return [
        jax.random.normal(key, (2, time, count, size), dtype)
        for key, count in zip(keys, counts, strict=True)
    ]


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros_like(q)
    group = q.shape[2] // k.shape[2]
    for b, t, n in np.ndindex(q.shape[:3]):
        scores = np.exp(k[b, : t + 1, n // group] @ q[b, t, n])
        out[b, t, n] = scores / scores.sum() @ v[b, : t + 1, n // group]
    return out


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_it_is_a_causal_softmax_of_unscaled_products(kv_heads):
    q, k, v = inputs(7, 4, kv_heads, 6)
    np.testing.assert_allclose(causal_attention(q, k, v), reference(q, k, v), rtol=2e-5, atol=1e-5)


def plain(q, k, v):
    """The formula, for JAX to differentiate."""
    k, v = (jnp.repeat(x, q.shape[2] // x.shape[2], axis=2) for x in (k, v))
    seen = jnp.tril(jnp.ones((q.shape[1], q.shape[1]), bool))
    logits = jnp.where(seen, jnp.einsum("BTNH,BSNH->BNTS", q, k), -jnp.inf)
    return jnp.einsum("BNTS,BSNH->BTNH", jax.nn.softmax(logits), v)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_its_gradients_are_those_of_the_formula(kv_heads):
    with jax.enable_x64(True):
        q, k, v = inputs(7, 4, kv_heads, 6, "float64")
        (y, back), (_, expected) = (
            jax.vjp(attend, q, k, v)
            for attend in (lambda *each: causal_attention(*each, "xla"), plain)
        )
        dy = jax.random.normal(jax.random.key(1), y.shape, y.dtype)
        for one, other in zip(back(dy), expected(dy), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_its_backward_pass_keeps_the_probabilities_and_no_other_square():
    def squares(attend):
        _, back = jax.vjp(attend, *inputs(7, 4, 4, 6))
        return sum(leaf.shape[-2:] == (7, 7) for leaf in jax.tree.leaves(back))

    assert squares(lambda *each: causal_attention(*each, "xla")) == 1
    assert squares(plain) > 1


@pytest.fixture
def interpreted(monkeypatch):
    """The splash kernel itself, interpreted: there is no TPU to compile it for."""
    from jax.experimental.pallas.ops.tpu import splash_attention

    kernel = functools.partial(splash_attention.make_splash_mha_single_device, interpret=True)
    monkeypatch.setattr(splash_attention, "make_splash_mha_single_device", kernel)


@pytest.mark.parametrize("kv_heads", [2, 4])
@pytest.mark.usefixtures("interpreted")
def test_splash_computes_the_same(kv_heads):
    q, k, v = inputs(128, 4, kv_heads, 8)

    splash = causal_attention(q, k, v, "splash")

    np.testing.assert_allclose(splash, causal_attention(q, k, v, "xla"), rtol=2e-5, atol=2e-5)


@pytest.mark.usefixtures("interpreted")
def test_splash_splits_the_batch_by_hand_where_the_mesh_is_left_to_the_compiler():
    # A Pallas kernel that the compiler had to split would be refused on a TPU.
    mesh = jax.make_mesh((1, 1, 1, 1), ("trial", "data", "fsdp", "tensor"))

    def attended(q, k, v):
        with collectives.use_rules(Rules(mesh)):
            return causal_attention(q, k, v, "splash")

    attend = jax.shard_map(
        attended,
        mesh=mesh,
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(),
        axis_names={"trial"},
        check_vma=False,
    )
    q, k, v = inputs(128, 4, 2, 8)

    program = str(jax.make_jaxpr(attend)(q, k, v))

    assert "manual_axes=frozenset({'trial'})" in program
    assert "manual_axes=frozenset({'data', 'fsdp', 'tensor'})" in program
    np.testing.assert_allclose(
        jax.jit(attend)(q, k, v), causal_attention(q, k, v, "xla"), rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize(
    ("platform", "backend", "call"),
    [("cuda", "cudnn", "__cudnn$fmhaSoftmax"), ("tpu", "splash", "tpu_custom_call")],
)
def test_the_fused_kernels_are_called_forwards_and_backwards(platform, backend, call, monkeypatch):
    # Lowering asks for the installed cuDNN's version; a machine without a GPU has none.
    version = "jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version"
    monkeypatch.setattr(version, lambda: 91000)
    q, k, v = inputs(256, 4, 2, 64, "bfloat16")

    def loss(q, k, v):
        return jnp.sum(causal_attention(q, k, v, backend).astype(jnp.float32))

    def lowered(function):
        traced = jax.jit(function).trace(q, k, v)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    assert lowered(loss).count(call) >= 1
    assert lowered(jax.grad(loss, argnums=(0, 1, 2))).count(call) >= 2
    assert call not in lowered(lambda q, k, v: causal_attention(q, k, v, "xla"))


def test_the_dtype_of_the_queries_is_kept():
    assert causal_attention(*inputs(4, 2, 2, 8, "bfloat16")).dtype == HALF


def test_an_unknown_backend_is_refused():
    with refused("flash"):
        causal_attention(*inputs(4, 2, 2, 8), "flash")
