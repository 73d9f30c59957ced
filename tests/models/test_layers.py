"""The layers by themselves, and what a transformer's options do to its first forward pass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from transfer.models.layers import Embedding, Linear, RMSNorm, rotary

from .drawn import SMALL, TOKENS, draw, logits

# Sums of a few dozen float32 numbers of size one, in another order.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_linear_layer_contracts_all_its_inputs_and_applies_its_multiplier():
    layer = Linear(nnx.Rngs(0), "heads head_dim -> embed", (3, 4), (5,))
    layer.multiplier[...] = jnp.asarray(0.5)
    x = normal(6, 7, 3, 4)
    expected = 0.5 * np.tensordot(x, np.asarray(layer.kernel[...]), axes=2)
    np.testing.assert_allclose(layer(x), expected, **CLOSE)


def test_the_multiplier_meets_the_weight_before_it_is_rounded():
    """A third of a bfloat16 weight is rounded twice, a weight times a third once."""
    layer = Linear(nnx.Rngs(0), "embed -> ffn", (1,), (64,), dtype=jnp.bfloat16)
    layer.multiplier[...] = jnp.asarray(1 / 3)
    once = (layer.kernel[...] / 3).astype(jnp.bfloat16)
    np.testing.assert_array_equal(layer(jnp.ones((1, 1)))[0], once[0])
    assert layer.kernel[...].dtype == jnp.float32


def test_an_embedding_looks_up_and_scales_the_rows_of_its_table():
    layer = Embedding(nnx.Rngs(0), 5, 4, std=1.0, tied=True, dtype=jnp.float32)
    layer.multiplier[...] = jnp.asarray(2.0)
    layer.readout_multiplier[...] = jnp.asarray(3.0)
    table, tokens = np.asarray(layer.table[...]), np.array([[4, 0], [4, 2]])
    np.testing.assert_allclose(layer(tokens), 2.0 * table[tokens], rtol=1e-6)
    x = normal(2, 2, 4)
    np.testing.assert_allclose(layer.logits(x), 3.0 * x @ table.T, **CLOSE)


def test_rms_norm_divides_by_the_root_mean_square_and_multiplies_by_gains():
    norm, plain = (RMSNorm("embed", 16, gains=gains) for gains in (True, False))
    x = normal(3, 16)
    expected = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(plain(x), expected, rtol=1e-4)
    np.testing.assert_allclose(plain(1000 * x), expected, rtol=1e-4)
    np.testing.assert_array_equal(norm(x), plain(x))
    gains = normal(16, seed=1)
    norm.gain[...] = gains
    np.testing.assert_allclose(norm(x), expected * gains, rtol=1e-4)


def test_rms_norm_is_taken_in_float32():
    """Squares of 300 overflow no bfloat16, but their sum would lose its smaller terms."""
    norm = RMSNorm("embed", 512, gains=False)
    x = jnp.asarray(normal(2, 512), jnp.bfloat16)
    out = norm(x)
    assert out.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float32)
    exact /= np.sqrt(np.mean(exact**2, axis=-1, keepdims=True))
    # One rounding to 8 bits at the end, and no other.
    np.testing.assert_array_equal(out, jnp.asarray(exact, jnp.bfloat16))


def test_rotary_turns_each_pair_of_channels_at_its_own_frequency():
    x = normal(2, 30, 3, 8)
    y = np.asarray(rotary(x))
    turned = (y[..., :4] + 1j * y[..., 4:]) / (x[..., :4] + 1j * x[..., 4:])
    positions = np.arange(30)[:, None, None]
    # 10000^(-i / 4) per position.
    angles = positions * np.array([1.0, 0.1, 0.01, 0.001])
    np.testing.assert_allclose(
        turned, np.broadcast_to(np.exp(1j * angles), turned.shape), atol=1e-4
    )


def test_rotary_keeps_float32_for_positions_in_bfloat16():
    x = jnp.asarray(normal(1, 600, 1, 8), jnp.bfloat16)
    assert rotary(x).dtype == jnp.float32
    # Position 599 has no neighbor within 2 in bfloat16: its angle would be off by a radian.
    np.testing.assert_allclose(rotary(x), rotary(x.astype(jnp.float32)), atol=1e-6)


# Options of the transformer at init.


def test_a_zero_init_query_attends_to_the_past_evenly():
    """The order of the past then does not matter to the last position."""
    reversed_past = TOKENS.at[:, :-1].set(TOKENS[:, :-1][:, ::-1])
    for zero_init_query in (True, False):
        config = dataclasses.replace(SMALL, layers=1, zero_init_query=zero_init_query)
        model = draw(config)
        one, other = (logits(config, *model, inputs=t)[:, -1] for t in (TOKENS, reversed_past))
        assert np.allclose(one, other, atol=1e-5) == zero_init_query


def test_a_zero_init_readout_predicts_all_tokens_alike():
    config = dataclasses.replace(SMALL, zero_init_readout=True)
    np.testing.assert_array_equal(logits(config, *draw(config)), 0.0)


def test_a_tied_readout_starts_with_logits_of_the_size_of_an_untied_one():
    sizes = []
    for tied in (True, False):
        config = dataclasses.replace(
            SMALL, width=64, vocabulary=256, tied=tied, embedding_std=0.1, queries_per_kv_head=1
        )
        # Tokens and channels few enough for a scatter of a few per cent.
        sizes.append(float(np.std(logits(config, *draw(config, base_width=64)))))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.2)


def test_the_residual_stream_starts_at_one_size_however_deep():
    """2L branches of std (2L)^-1/2 add up to one: the stream does not grow with depth."""
    for layers in (2, 8):
        config = dataclasses.replace(SMALL, width=64, layers=layers)
        parameters, _ = draw(config, base_width=64)
        for owner, name in (("attention", "out"), ("feed_forward", "down")):
            kernel = np.asarray(parameters["blocks"][owner][name]["kernel"])
            fan_in = kernel[0].size // 64
            # 8192 draws or more: 0.8%.
            assert kernel.std() * fan_in**0.5 == pytest.approx((2 * layers) ** -0.5, rel=0.04)


@pytest.mark.parametrize("qk_norm", [True, False])
def test_gains_start_at_one(qk_norm):
    with_gains, without = (
        dataclasses.replace(SMALL, norm_gains=gains, qk_norm=qk_norm) for gains in (True, False)
    )
    one, other = (logits(config, *draw(config)) for config in (with_gains, without))
    np.testing.assert_allclose(one, other, **CLOSE)


def test_qk_norm_bounds_the_attention_logits():
    """Scaling queries and keys then changes nothing."""
    for qk_norm in (True, False):
        config = dataclasses.replace(SMALL, qk_norm=qk_norm)
        parameters, multipliers = draw(config)
        blocks = parameters["blocks"]
        attention = blocks["attention"] | {
            name: jax.tree.map(lambda leaf: 8.0 * leaf, blocks["attention"][name])
            for name in ("query", "key")
        }
        scaled = parameters | {"blocks": blocks | {"attention": attention}}
        one, other = (logits(config, p, multipliers) for p in (parameters, scaled))
        # The norm's epsilon of 1e-6 is felt at 1e-5 of its output.
        assert np.allclose(one, other, atol=1e-4) == qk_norm
