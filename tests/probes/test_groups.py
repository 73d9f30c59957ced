"""A grouped convolution is a block-diagonal matrix, and each of its groups a weight of a stack."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transfer
from transfer import probes
from transfer.scaling import Annotated, Axes, Layout, Recipe

from .drawn import gaussian

SMALL = st.integers(1, 3)


def layout_of(groups, shape, axes="height width in -> out / {}"):
    """The layout of one kernel whose channels grow and whose area and groups do not."""
    annotation = Axes.parse(axes.format(groups))

    def at(scale):
        sizes = tuple(
            scale * size if place in annotation.places[-2:] else size
            for place, size in enumerate(shape)
        )
        return {"w": Annotated(axes=annotation, shape=sizes)}

    return Layout.compare(base=at(1), probe=at(2), target=at(1))


def dense(kernel, groups):
    """The matrix of the layer at one place of the image, from what it does to single inputs."""
    height, width, channels, _ = kernel.shape
    size = height * width * channels * groups
    pixels = jnp.eye(size).reshape(size, height, width, channels * groups)
    out = jax.lax.conv_general_dilated(
        pixels,
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return np.asarray(out, np.float64).reshape(size, -1)


@settings(max_examples=4, deadline=None)
@given(
    groups=st.integers(2, 4), sizes=st.tuples(SMALL, SMALL, SMALL, SMALL), seed=st.integers(0, 9)
)
def test_singular_values_are_those_of_what_the_layer_does(groups, sizes, seed):
    height, width, channels, filters = sizes
    kernel = gaussian(height, width, channels, filters * groups, seed=seed)
    expected = np.linalg.svd(dense(kernel, groups), compute_uv=False)
    layout = layout_of(groups, kernel.shape)
    for pairs in (None, 8):
        found = transfer.top_singular_values({"w": kernel}, layout, k=2, pairs=pairs)["w"]
        np.testing.assert_allclose(found, expected[: found.size], rtol=1e-4)


def test_taken_for_one_matrix_they_are_too_large():
    kernel = gaussian(1, 1, 16, 64)
    groups, one = (
        float(
            transfer.top_singular_values({"w": kernel}, layout_of(each, kernel.shape), k=1)["w"][0]
        )
        for each in (4, 1)
    )
    assert one > 1.4 * groups


def test_measurements_have_the_groups_as_the_last_axis_of_the_stack():
    shape = (2, 3, 3, 2, 12)
    layout = layout_of(4, shape, "layers | height width in -> out / {}")
    kernel = gaussian(*shape)
    found = probes.measure_spectrum(
        {"w": kernel}, layout, probes.initial_vectors(layout, 2, jax.random.key(0)), pairs=4
    )
    blocks = kernel.reshape(2, 18, 4, 3).transpose(0, 2, 1, 3)
    expected = np.linalg.svd(blocks, compute_uv=False)[..., :2]
    np.testing.assert_allclose(found.values["w"], expected, rtol=1e-4)
    rms = probes.weight_rms(kernel, layout["w"])
    np.testing.assert_allclose(rms, np.sqrt(np.square(blocks).mean((2, 3))), rtol=1e-5)


@pytest.mark.parametrize("make", [transfer.muon, transfer.adafactor])
def test_optimizers_of_matrices_step_each_group_as_if_alone(make):
    groups, kernel, gradient = 3, gaussian(3, 3, 2, 12), gaussian(3, 3, 2, 12, seed=1)
    recipe = Recipe("mup_table3")

    def stepped(layout, weight, gradient):
        tx = make(0.1, layout=layout, recipe=recipe)
        return tx.update({"w": gradient}, tx.init({"w": weight}), {"w": weight})[0]["w"]

    whole = jax.jit(lambda w, g: stepped(layout_of(groups, w.shape), w, g))(kernel, gradient)
    alone = jax.jit(lambda w, g: stepped(layout_of(1, w.shape), w, g))
    parts = [
        alone(*(each[..., 4 * group : 4 * group + 4] for each in (kernel, gradient)))
        for group in range(groups)
    ]
    # Steps of order 0.1 in float32.
    np.testing.assert_allclose(whole, np.concatenate(parts, axis=-1), atol=1e-6)
    assert np.abs(whole - alone(kernel, gradient)).max() > 1e-3
