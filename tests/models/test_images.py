"""Convolutions, pooling and norms of images against flax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from transfer.models.convolution import Convolution, max_pool
from transfer.models.normalization import BatchNorm, GroupNorm, LayerNorm

C = 8
X = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 6, C)).astype(np.float32)
# A few roundings of sums of a few hundred terms.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def shaken(norm):
    """Give a norm the gains and biases of a trained one."""
    norm.gain.set_value(jnp.linspace(0.5, 2.0, C))
    norm.bias.set_value(jnp.linspace(-1.0, 1.0, C))
    return norm


def affine():
    return {"scale": np.linspace(0.5, 2.0, C), "bias": np.linspace(-1.0, 1.0, C)}


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_flax_s_with_symmetric_padding(size, stride):
    ours = Convolution(nnx.Rngs(0), size, C, 3, stride=stride)
    theirs = linen.Conv(3, (size, size), stride, padding=size // 2, use_bias=False)
    expected = theirs.apply({"params": {"kernel": ours.kernel[...]}}, X)
    np.testing.assert_allclose(ours(X), expected, **CLOSE)


def test_a_convolution_scales_by_its_multiplier():
    layer = Convolution(nnx.Rngs(0), 3, C, 3)
    before = layer(X)
    layer.multiplier.set_value(jnp.float32(0.25))
    np.testing.assert_array_equal(layer(X), before / 4)


def test_a_pool_takes_the_largest_of_its_window():
    pooled = max_pool(X)
    assert pooled.shape == (4, 3, 3, C)
    np.testing.assert_array_equal(pooled[:, 1, 1], X[:, 1:4, 1:4].max(axis=(1, 2)))
    np.testing.assert_array_equal(pooled[:, 0, 0], X[:, :2, :2].max(axis=(1, 2)))


def test_batch_norm_is_flax_s_in_training_and_in_evaluation():
    ours, theirs = shaken(BatchNorm(C)), linen.BatchNorm(momentum=0.9)
    averages = {"mean": np.zeros(C), "var": np.ones(C)}
    for _ in range(2):
        ours.train()
        variables = {"params": affine(), "batch_stats": averages}
        expected, after = theirs.apply(
            variables, X, use_running_average=False, mutable=["batch_stats"]
        )
        np.testing.assert_allclose(ours(X), expected, **CLOSE)
        averages = after["batch_stats"]
        np.testing.assert_allclose(ours.mean[...], averages["mean"], **CLOSE)
        np.testing.assert_allclose(ours.variance[...], averages["var"], **CLOSE)

        ours.eval()
        variables = {"params": affine(), "batch_stats": averages}
        expected = theirs.apply(variables, X + 1, use_running_average=True)
        np.testing.assert_allclose(ours(X + 1), expected, **CLOSE)
        np.testing.assert_allclose(ours.mean[...], averages["mean"], **CLOSE)


@pytest.mark.parametrize("groups", [1, 2, C])
def test_group_norm_is_flax_s(groups):
    theirs = linen.GroupNorm(groups, epsilon=1e-5)
    expected = theirs.apply({"params": affine()}, X)
    np.testing.assert_allclose(shaken(GroupNorm(C, groups))(X), expected, **CLOSE)


def test_layer_norm_is_flax_s():
    expected = linen.LayerNorm(epsilon=1e-5).apply({"params": affine()}, X)
    np.testing.assert_allclose(shaken(LayerNorm(C))(X), expected, **CLOSE)


@pytest.mark.parametrize("make", [BatchNorm, LayerNorm, lambda C: GroupNorm(C, 2)])
def test_norms_compute_in_float32_and_return_what_they_were_given(make):
    # Far from 0, where moments in bfloat16 would lose all that varies.
    x = jnp.asarray(X + 300).astype(jnp.bfloat16)
    y = make(C)(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), make(C)(x.astype(jnp.float32)), atol=0.02)


def test_groups_of_a_fixed_size_are_the_same_at_every_width_and_a_fixed_number_is_not():
    """How far the variance that a channel is divided by fluctuates, from image to image.

    It falls as one over the root of what it is taken over, so by sqrt(16) = 4 in two groups of 16
    times the channels; both are measured on 256 images, to about 1/sqrt(2 * 256) = 4%.
    """

    def fluctuation(width, group):
        # Channels of one pixel differ by chance alone, as those of a wide network do.
        images = jax.random.normal(jax.random.key(width), (256, 1, 1, width))
        normalized = GroupNorm(width, width // group)(images)
        ratio = jnp.std(images[..., :group], axis=-1) / jnp.std(normalized[..., :group], axis=-1)
        return float(jnp.std(ratio))

    assert fluctuation(512, 16) == pytest.approx(fluctuation(32, 16), rel=0.2)
    assert fluctuation(512, 256) == pytest.approx(fluctuation(32, 16) / 4, rel=0.2)
